"""An adapter finds the sequence of its library called bare, where the encoding changes nothing."""

import warnings

import numpy as np
import pytest

from tests.unit.searchers.adapters.bare import CASES, KEY, OBJECTIVES, loss
from tunedsl.base import keys
from tunedsl.searchers import Observation, searcher_of

TRIALS = {"optuna": 16, "hyperopt": 16, "cmaes": 24, "flaml": 24, "skopt": 5, "bayes_opt": 5}


@pytest.mark.slow
@pytest.mark.parametrize("module", CASES)
def test_the_sequence_is_the_libraries_own(module):
    pytest.importorskip(module)
    spec, space, make = CASES[module]
    searcher = searcher_of(spec)
    if searcher.validate(spec):
        pytest.skip("another version is installed")
    state = searcher.init(spec, space, OBJECTIVES, KEY)
    with warnings.catch_warnings(), keys.seeded_globals(KEY):
        warnings.simplefilter("ignore")
        ask, tell = make(space)
        for trial in range(TRIALS[module]):
            handle, expected = ask(trial)
            state, answer = searcher.ask(spec, state, trial, KEY)
            assert answer.config == {name: np.asarray(raw).item() for name, raw in expected.items()}
            value = loss(answer.config)
            tell(handle, value)
            state = searcher.tell(spec, state, trial, Observation("done", 1, (value,)))
