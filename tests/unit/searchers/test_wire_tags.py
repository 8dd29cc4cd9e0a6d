"""Data of renamed specs: tags and digests remain those that existing journals and plans contain."""

from typing import Any

import pytest

from tunedsl.base import codec
from tunedsl.searchers import botorch, per_grid_cell, random_search, warm_start, with_results

SPECS = [
    (with_results(random_search(), [({"lr": 0.1}, 0.5)]), "Known"),
    (warm_start(random_search(), "results/a"), "Warm"),
    (per_grid_cell(random_search()), "EachCell"),
    (botorch(n_initial=16), "BoTorchGp"),
]


@pytest.mark.parametrize(("spec", "tag"), SPECS)
def test_a_renamed_spec_keeps_its_tag(spec: Any, tag: str) -> None:
    data = codec.encode(spec)
    assert isinstance(data, dict) and data["$value"][0] == tag
    assert codec.decode(data) == spec


def test_a_renamed_spec_keeps_its_digest() -> None:
    assert codec.digest(botorch(n_initial=16)) == "0ede27f45896ea1bf27727034e539a65"


def test_a_class_has_the_tag_of_its_decorator() -> None:
    @codec.value(tag="tests.FormerName")
    class CurrentName:
        number: int

    assert codec.to_json(CurrentName(1)) == '{"$value":["tests.FormerName",{"number":1}]}'
    assert codec.from_json('{"$value":["tests.FormerName",{"number":1}]}') == CurrentName(1)
