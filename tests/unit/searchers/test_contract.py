"""The registry of searchers."""

import attrs
import pytest

from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.searchers import RandomSearch, random_search, register_searcher, registered_searchers, searcher_of, sobol


def test_a_spec_leads_to_its_searcher():
    assert searcher_of(random_search()).name == "random_search"
    assert searcher_of(sobol()).name == "sobol"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (random_search, "did you mean random_search"),
        (RandomSearch, "did you mean random_search"),
        ("tpe", r"did you mean tpe\("),
    ],
)
def test_what_is_no_spec_is_told_with_what_would_be(wrong, hint):
    with pytest.raises(ArgumentError, match=f"(?s)E003: The argument of searcher.* must be a searcher .*{hint}"):
        searcher_of(wrong)


def test_the_registry_is_read_only():
    with pytest.raises(TypeError):
        registered_searchers()[int] = None  # type: ignore[index]


def test_a_searcher_that_learns_has_no_batch():
    @value
    class Spec:
        pass

    with pytest.raises(ArgumentError, match="learns from results, so it cannot propose in batches"):
        register_searcher(Spec, attrs.evolve(searcher_of(random_search()), learns=True))
