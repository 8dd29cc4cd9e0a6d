"""A run with hostile texts, put through every reader: what each of them may show."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

import tunedsl.cli.commands  # noqa: F401  # registers the commands
from tests.hostile import CONTROLS, hostile_run
from tunedsl import load
from tunedsl.base.printable import printable
from tunedsl.cli.group import cli
from tunedsl.export import export
from tunedsl.sinks.csv import Csv
from tunedsl.sinks.jsonl import Jsonl
from tunedsl.views.watch import watch


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return hostile_run(tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("hostile"))


TERMINAL = {
    "str": lambda path: str(load(path)),
    "why": lambda path: "".join(str(load(path).why(trial.number)) for trial in load(path)),
    "errors": lambda path: "\n".join(map(str, load(path).errors)),
    "trial": lambda path: repr(load(path).best),
    "explain": lambda path: load(path).plan.explain(),
    **{
        name: lambda path, name=name: CliRunner().invoke(cli, [name, str(path)]).output
        for name in ("show", "list", "replay")
    },
    "tunedsl why": lambda path: CliRunner().invoke(cli, ["why", str(path), "0"]).output,
}


@pytest.mark.parametrize("reader", TERMINAL)
def test_a_terminal_gets_no_control_characters(run, reader):
    shown = TERMINAL[reader](run)
    assert shown and not CONTROLS.search(shown)


def test_a_view_of_a_run_prints_none_either(run, capsys):
    watch(run, once=True)
    assert not CONTROLS.search("".join(capsys.readouterr()))


class Tags(HTMLParser):
    """The tags of a page, as a browser finds them."""

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found |= {tag, *(name for name, _ in attrs)}


HTML = {
    "results": lambda path: load(path)._repr_html_(),
    "why": lambda path: load(path).why(0)._repr_html_(),
    "trial": lambda path: load(path).best._repr_html_(),
    "plan": lambda path: load(path).plan._repr_html_(),
    "report": lambda path: load(path).report(path / "report.html").read_text(),
}


@pytest.mark.parametrize("reader", HTML)
def test_a_page_has_no_elements_of_others(run, reader):
    shown = HTML[reader](run)
    assert shown and not {"img", "onerror"} & Tags(shown).found
    assert not CONTROLS.search(shown) or reader == "report"  # browsers show control characters as nothing


def test_a_spreadsheet_gets_no_formulas_and_files_stay_in_their_folder(run, tmp_path):
    export(run, Csv(), Jsonl(), out=tmp_path / "inside" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    tables = [*tmp_path.rglob("progress.csv")]
    assert tables
    for table in tables:
        for row in csv.reader(io.StringIO(table.read_bytes().decode(), newline="")):
            assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in row)


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "λ → 中"])
def test_other_texts_are_printed_as_they_are(text):
    assert printable(text) == text


def test_colours_of_a_trial_are_kept_where_asked():
    assert printable("\x1b[31mred\x1b[0m\x1b[2J", keep_colours=True) == "\x1b[31mred\x1b[0m\\x1b[2J"


def test_a_link_in_the_folder_is_not_followed_out_of_it(run, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").write_bytes((Path(run) / "journal.jsonl").read_bytes())
    (tmp_path / "run" / "trials").symlink_to(tmp_path)
    runner = CliRunner()
    result = runner.invoke(cli, ["clean", str(tmp_path / "run"), "--yes"])
    assert outside.read_text() == "secret", result.output
