"""Notebook displays of trials, results, plans, differences and code locations."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

from tests.journals import journal, opened, reported, whole
from tests.plans import make_plan
from tunedsl import report, space, uniform
from tunedsl.base.diagnostics import Diagnostics
from tunedsl.base.errors import ArgumentError
from tunedsl.kernel import Failed, Proposed, Started
from tunedsl.results import Results
from tunedsl.spaces import Space, choice

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def results() -> Results:
    """A trial that ended and one that failed, both with hostile text."""
    named = Space.of({"x": uniform(0, 1), HOSTILE: choice([HOSTILE, "b"])})
    events: list[Any] = [opened(1)[0]]
    for trial in range(2):
        events.append(Proposed(0.0, trial, {"x": 0.25, HOSTILE: HOSTILE}, f"{trial:05d}"))
    events += whole(0, [3.0, 1.0])
    failed = Failed(4.0, 1, "crash", HOSTILE, f"Traceback\n{HOSTILE}")
    events += [
        Started(0.0, 1, 0, HOSTILE),
        reported(1, [2.0]),
        failed,
    ]
    return Results(journal(make_plan(trials=2, space=named, name=HOSTILE), events))


def safe(html: str) -> str:
    """The page, after a check that no text in it is a tag."""
    assert "<img" not in html and "&lt;img" in html
    return html


class TestStory:
    def test_it_is_text_and_a_table(self, results: Results) -> None:
        story = results.why(1)
        assert isinstance(story, str) and repr(story) == str(story)
        assert story.splitlines()[0] == story.heading and story.splitlines()[-1] == story.outcome
        assert len(story.splitlines()) == len(story.events) + 2
        html = safe(story._repr_html_())
        assert html.count("<tr>") == len(story.events) + 1 and "4.00 s" in html

    def test_it_goes_through_a_pickle(self, results: Results) -> None:
        again = pickle.loads(pickle.dumps(results.why(0)))
        assert again == results.why(0) and again._repr_html_() == results.why(0)._repr_html_()


def test_a_trial_shows_its_configuration_and_last_report(results: Results) -> None:
    html = safe(results.best._repr_html_())
    assert "trial 00000" in html and "0.25" in html and "training_iteration" in html
    failed = safe(results[1]._repr_html_())
    assert "Traceback" in failed and "crash" in failed


def test_all_results_show_the_best(results: Results) -> None:
    html = safe(results._repr_html_())
    assert "<b>best</b> loss 1 in trial 00000" in html
    assert "no best trial" in Results(journal(make_plan(name=HOSTILE), opened(2)))._repr_html_()
    assert "best" not in Results(journal(make_plan(objectives=()), opened(2)))._repr_html_()


def test_plans_and_their_differences(results: Results) -> None:
    assert "Normalised" in safe(results.plan._repr_html_())
    differences = results.compare(Results(journal(make_plan(trials=2), opened(2)))).diff
    assert "<td" in safe(differences._repr_html_()) and differences._repr_html_().count("<table>") == 1
    assert "no difference" in results.compare(results).diff._repr_html_()


class TestExperiment:
    def test_each_clause_is_a_row(self) -> None:
        e = space(x=uniform(0, 1), o=choice([HOSTILE, "b"])).trainable(_train).minimize("loss").data(words="w" * 5000)
        html = safe(e._repr_html_())
        for row in ("space.x", "uniform(0.0, 1.0)", "space.o", "trainable", "_train", "minimize"):
            assert row in html
        assert len(html) < 3000

    def test_one_that_is_not_complete_has_its_rows_too(self) -> None:
        assert "samples" in space().samples(3)._repr_html_()


class TestDiagnostics:
    def test_nothing_wrong_says_so_and_is_an_empty_tuple(self) -> None:
        found = space(x=uniform(0, 1)).trainable(_train).minimize("loss").samples(2).check()
        assert str(found) == repr(found) == "The experiment has no errors." and "no errors" in found._repr_html_()
        assert found == () and not found and list(found) == [] and isinstance(found, tuple)

    def test_what_is_wrong_is_counted_and_told(self) -> None:
        found = space(x=uniform(1, 0)).minimize(HOSTILE).check()
        assert str(found).splitlines()[0] == f"The experiment has {len(found)} error{'s' * (len(found) > 1)}."
        assert [each.code for each in found] == [
            line.split(":")[0] for line in str(found).splitlines() if line[:1] == "E"
        ]
        html = found._repr_html_()
        assert html.count("<tr>") == len(found) + 1 and "did you mean" in html and "test_displays.py" in html
        assert "<img" not in html

    def test_warnings_are_no_errors(self) -> None:
        found = space(x=uniform(0, 1)).trainable(_train).samples(2).check()
        assert Diagnostics(found).summary == "no errors and 1 warning"


def _train(config: dict[str, Any], words: str = "") -> None:
    report(loss=config["x"] + len(config["o"]))


CELLS = """
import tempfile
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
def cell(code):
    ran = shell.run_cell(code, store_history=True)
    ran.raise_error()
cell("import tunedsl")
cell("wrong = tunedsl.space(\\n  x=tunedsl.uniform(1, 0)\\n)")
cell("y = 1\\nfound = wrong.minimize('loss').check()\\nprint(*[each.place for each in found], sep='|')")
cell("try:\\n  wrong.samples(-1)\\nexcept ValueError as error:\\n  print(error.diagnostic.place)")
"""


def test_a_notebook_cell_is_the_location() -> None:
    pytest.importorskip("IPython")
    made = subprocess.run([sys.executable, "-c", CELLS], capture_output=True, text=True, check=True)
    diagnosed, refused = made.stdout.splitlines()
    assert set(diagnosed.split("|")) <= {"cell In[2], line 1", "cell In[2], line 2", "cell In[3], line 2"}
    assert "cell In[2], line 1" in diagnosed
    assert refused == "cell In[4], line 2"


def test_a_place_elsewhere_is_a_file() -> None:
    with pytest.raises(ArgumentError) as caught:
        space().samples(-1)
    place = caught.value.diagnostic.place
    assert place is not None and place.cell == "" and str(place) == f"{__file__}:{place.line}"
