"""What the dashboard answers about runs: whole, short, and harmless whatever a run contains."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.journals import reported, results, whole
from tests.pictured import HOSTILE, experiment, population
from tests.plans import make_plan
from tests.served import Client, client, eventually, stored
from tunedsl.base import codec
from tunedsl.journal import FORMAT, Header, MemoryWriter
from tunedsl.kernel import Failed, Started
from tunedsl.plan.output import Output
from tunedsl.results import Results, load
from tunedsl.web import STATIC
from tunedsl.web.trials import plain_text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    stored(store, "small", experiment(60, failing=0.3))
    stored(store, "population", population(6))
    stored(store, "other", experiment(30))
    return store


@pytest.fixture(scope="module")
def page(store: Path) -> Client:
    return client(store)


def found(page: Client, path: str, **query: Any) -> Any:
    answer = page.get(f"/api/runs/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_store_lists_each_run_with_what_it_came_to(page: Client, store: Path) -> None:
    def runs() -> Any:
        listed = {each["run"]: each for each in page.get("/api/runs").json()["runs"]}
        return listed if all(each["phase"] != "reading" for each in listed.values()) else None

    listed = eventually(runs)
    assert set(listed) == {"small", "population", "other"}
    expected, told = load(store / "small"), listed["small"]
    assert (told["best"], told["best_trial"]) == (expected.best.metrics["loss"], expected.best.number)
    assert (told["trials"], told["failed"], told["phase"]) == (60, len(expected.errors), "finished")
    assert told["statuses"] == expected.stats.statuses
    assert told["spark"][-1][0] == expected.stats.seconds and told["done"] == 1.0


def test_the_table_has_the_results_frame(page: Client, store: Path) -> None:
    table, frame = found(page, "small/table"), load(store / "small").dataframe().set_index("number")
    place = {name: at for at, name in enumerate(table["columns"])}
    assert len(table["rows"]) == len(frame) == 60
    for row in table["rows"]:
        expected = frame.loc[row[0]]
        assert row[place["trial"]] == expected["trial_id"] and row[place["status"]] == expected["status"]
        assert row[place["metric:loss"]] == expected["loss"] and row[place["config:lr"]] == expected["config/lr"]
        assert row[place["iterations"]] == expected["training_iteration"]


def test_a_reader_gets_only_the_rows_that_changed(tmp_path: Path) -> None:
    lines = [line for line, _ in experiment(60).journal.raw()]
    folder = stored(tmp_path, "growing", experiment(60))
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:100]) + lines[100][:20])  # a record is being written
    page = client(tmp_path)
    first = found(page, "growing/table")
    assert first["whole"] and found(page, "growing/table", since=first["version"])["rows"] == []
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(lines[100][20:] + lines[101])

    def later() -> Any:
        table = found(page, "growing/table", since=first["version"])
        return table if table["version"] > first["version"] else None

    table = eventually(later)
    assert not table["whole"] and 0 < len(table["rows"]) < 5


@pytest.mark.slow
def test_figures_are_the_report_s(page: Client, store: Path) -> None:
    for kind in ("best", "curves", "parallel", "slices", "contour", "importance", "rungs", "workers"):
        figure = found(page, f"small/figures/{kind}")
        assert figure["data"] and figure["title"] and "<b>" not in json.dumps(figure["data"])
    own = load(store / "small").plot.best().to_plotly_json()
    assert len(found(page, "small/figures/best")["data"]) == len(own["data"])
    assert found(page, "small/figures/parallel", fidelity="1")["title"] == "Parameters and loss at iteration 1"
    for kind in ("lineage", "schedule"):
        assert found(page, f"population/figures/{kind}")["data"]
    assert "two objectives" in found(page, "small/figures/pareto")["nothing"]
    for kind, query in [("forecast", {}), ("_trials", {}), ("best", {"metric": "none"})]:
        answer = page.get(f"/api/runs/small/figures/{kind}", params=query)
        assert answer.status_code in (400, 404) and answer.json()["error"]


def test_a_trial_is_told_with_its_story(page: Client, store: Path) -> None:
    expected = load(store / "small")
    failed = expected.errors[0]
    number = expected[failed.id].number
    told = found(page, f"small/trials/{number}")
    assert told["failures"][0]["message"] == failed.message and HOSTILE in told["failures"][0]["traceback"]
    assert told["config"][0] == ["lr", repr(expected[number].config["lr"])[:8]] or told["config"][0][0] == "lr"
    story = found(page, f"small/trials/{number}/story")
    assert [text for _, text in story["events"]] == [text for _, text in expected.why(number).events]
    curve = found(page, "small/curves", trial=number)[str(number)]["loss"]
    assert curve["values"] == list(expected[number].curve["loss"])
    changed = found(page, "population/trials/5")["configs"]
    assert len(changed) == 4
    assert page.get("/api/runs/small/trials/99").status_code == 404


def test_runs_are_compared(page: Client) -> None:
    told = page.get("/api/compare", params={"run": ["small", "other"], "over": "iterations"}).json()
    facts = {name: values for name, *values in told["facts"]}
    assert told["runs"] == ["small", "other"] and facts["trials"] == [60, 30]
    assert len(told["figure"]["data"]) == 2 and ["samples", "60", "30"] in told["differences"][1]
    assert page.get("/api/compare", params={"run": ["small"]}).status_code == 404
    assert page.get("/api/compare", params={"run": ["small", "none"]}).status_code == 404


def test_a_replay_says_what_is_censored(page: Client) -> None:
    told = found(page, "small/what-if", set="stop.training_iteration=1")
    assert not any(figure["censored"] for figure in told["figures"]) and told["estimated"] == 0
    expected = load(Path(page.store) / "small")
    recorded = {figure["name"]: figure["recorded"] for figure in told["figures"]}
    assert recorded["iterations"] == expected.stats.iterations
    assert recorded["completed"] == expected.stats.statuses["completed"]
    assert recorded["best loss"] == expected.best.metrics["loss"]
    longer = found(page, "small/what-if", set="stop.training_iteration=20")
    assert any(figure["censored"] for figure in longer["figures"]) and longer["estimated"] > 0
    endless = page.get("/api/runs/small/what-if", params={"set": "stop.training_iteration=10**9"})
    assert endless.status_code == 404 and "at most" in endless.json()["error"]
    assert found(page, "small/replay")["scheduler"]["name"] == "fifo"
    wrong = page.get("/api/runs/small/what-if", params={"set": "scheduler=__import__('os')"})
    assert wrong.status_code == 400 and "cannot call __import__" in wrong.json()["error"]


def test_the_rest_of_a_run_is_forecast(page: Client, tmp_path: Path) -> None:
    assert found(page, "small/forecast") == {"text": "the run has ended"}
    stored(tmp_path, "begun", results(whole(0, [1.0, 0.5]), 4))
    begun = client(tmp_path)
    assert "chance of a better trial" in found(begun, "begun/forecast")["text"]
    stored(tmp_path, "new", results([], 4))
    assert "No trial has reported anything yet" in begun.get("/api/runs/new/forecast").json()["error"]


def test_the_table_as_csv_has_no_formulas(tmp_path: Path) -> None:
    stored(tmp_path, "run", results(whole(0, [1.0], "=HYPERLINK(1)"), 1))
    rows = list(csv.reader(io.StringIO(client(tmp_path).get("/api/runs/run/trials.csv").text)))
    assert len(rows) == 2 and "'=HYPERLINK(1)" in rows[0]


def test_a_journal_that_is_damaged_is_shown_up_to_there(tmp_path: Path) -> None:
    lines = [line for line, _ in experiment(20).journal.raw()]
    folder = stored(tmp_path, "damaged", experiment(20))
    (folder / "journal.jsonl").write_bytes(b"".join([*lines[:40], b"nonsense\n", *lines[41:]]))
    (tmp_path / "worse").mkdir()
    (tmp_path / "worse" / "journal.jsonl").write_bytes(b"\x00\xff\n")
    page = client(tmp_path)
    told = eventually(lambda: (now := found(page, "damaged"))["error"] and now)
    assert told["trials"] > 3 and "record" in told["error"]
    worse = found(page, "worse")
    assert (worse["phase"], worse["statuses"]) == ("unreadable", {}) and worse["place"].endswith("worse")
    assert set(found(page, "worse/steering")["why_not"].values()) == {"The journal cannot be read."}

    def phases() -> set[str]:
        return {each["phase"] for each in page.get("/api/runs").json()["runs"]}

    assert eventually(lambda: phases() == {"interrupted", "unreadable"})


def test_texts_of_a_run_are_cut_to_a_size(tmp_path: Path) -> None:
    large = "x" * 1_000_000
    events = [*whole(0, [1.0], large), Started(0.0, 1, 0), Failed(1.0, 1, "crash", large, large)]
    stored(tmp_path, "large", results(events, 2))
    page = client(tmp_path)
    for path in ("large", "large/table", "large/trials/0", "large/trials/1", "large/trials/1/story", "large/plan"):
        assert len(page.get(f"/api/runs/{path}").content) < 100_000, path


def logged(store: Path, out: str, err: str = "stderr.log", name: str = "00000") -> Client:
    """A run with one trial, whose header names the files of its output."""
    made = results(whole(0, [1.0]), 1)
    lines = [line for line, _ in made.journal.raw()]
    plan = make_plan(trials=1)
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {"output": codec.encode(Output(out, err))}))
    folder = stored(store, "logged", made)
    (folder / "journal.jsonl").write_bytes(b"".join([writer.lines[0], *lines[1:]]))
    (folder / "trials" / name).mkdir(parents=True)
    return client(store)


def test_output_is_followed_without_terminal_escapes(tmp_path: Path) -> None:
    page = logged(tmp_path, "stdout.log")
    file = tmp_path / "logged" / "trials" / "00000" / "stdout.log"
    file.write_text("\x1b[31mred\x1b[0m\n10 %\r50 %\n\x1b]0;title\x07\x1b[2Jend \u202e\nhalf")
    told = found(page, "logged/trials/0/log")
    assert told["text"] == "red\n50 %\nend \n"
    with open(file, "a") as more:
        more.write(" whole\n")
    assert found(page, "logged/trials/0/log", offset=told["next"])["text"] == "half whole\n"
    assert found(page, "logged/trials/0")["logs"] == ["out"]


@pytest.mark.parametrize("out", ["../../../secret", "/etc/passwd", "..", "link.log", "folder"])
def test_output_is_read_from_the_trial_s_folder_only(tmp_path: Path, out: str) -> None:
    page = logged(tmp_path / "store", out)
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "store" / "logged" / "trials" / "00000"
    (folder / "link.log").symlink_to(tmp_path / "secret")
    (folder / "folder").mkdir()
    answer = page.get("/api/runs/logged/trials/0/log")
    assert answer.status_code == 404 and "secret\n" not in answer.text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[1;31mbold\x1b[0m", "bold"),
        ("\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x7fc\x9bd", "abcd"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("\u202eevil\u2066", "evil"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
    ],
)
def test_text_has_no_control_characters(given: str, shown: str) -> None:
    assert plain_text(given) == shown


def test_a_run_without_reports_or_an_objective_is_shown(tmp_path: Path) -> None:
    stored(tmp_path, "new", Results(results([], 2).journal))
    stored(tmp_path, "aimless", results(whole(0, [1.0]), 1, objectives=()))
    page = client(tmp_path)
    new, aimless = found(page, "new"), found(page, "aimless")
    assert (new["best"], new["trials"], new["spark"]) == (None, 2, []) and aimless["metric"] == ""
    assert new["waits"] == ["No driver runs this experiment; 2 trials wait for a resume."]
    assert "reported anything yet" in found(page, "new/figures/best")["nothing"]
    assert found(page, "new/trials/0")["metrics"] == [] and found(page, "new/curves", trial=0) == {"0": {}}


def test_a_trial_whose_driver_is_gone_was_interrupted(tmp_path: Path) -> None:
    stored(tmp_path, "left", results([Started(0.0, 0, 0), reported(0, [2.0, 1.0])], 1))
    page = client(tmp_path)
    now, trial = found(page, "left"), found(page, "left/trials/0")
    assert now["waits"] == ["No driver runs this experiment; 1 trial waits for a resume."]
    assert (trial["status"], [span["outcome"] for span in trial["spans"]]) == ("pending", ["interrupted"])
    assert now["improved"] == 2.0


def test_failures_lead_to_their_trials(page: Client, store: Path) -> None:
    expected, told = load(store / "small"), found(page, "small/outcome")["failures"]
    named = {number: name for each in told for number, name in each["trials"]}
    assert named and all(expected[number].id == name for number, name in named.items())
    assert {expected[number].status for number in named} == {"failed"}


def test_the_page_and_its_files_are_served(page: Client) -> None:
    for path in ("/", "/login"):
        text = page.get(path).text
        assert "<script>" not in text and "style=" not in text and " on" not in text.replace(" only", "")
    for name in ("app.js", "table.js", "app.css", "plotly.css"):
        assert page.get(f"/static/{name}").status_code == 200
    assert "javascript" in page.get("/static/app.js").headers["content-type"]
    assert len(page.get("/static/plotly.min.js").content) > 1_000_000


def test_no_script_makes_markup_from_text() -> None:
    scripts = list(STATIC.glob("*.js"))
    assert len(scripts) > 10
    for file in scripts:
        text = file.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc"):
            assert word not in text, f"{file.name} has {word}"
