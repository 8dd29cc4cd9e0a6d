"""A notebook shows one view of a run, which ends with how the run ended."""

from __future__ import annotations

from pathlib import Path

import pytest

CELL = """
import time
from tunedsl import report, space, uniform

def train(config):
    for step in range(3):
        time.sleep(0.2)
        report(loss=config["x"] + 1 / (step + 1))

results = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).seed(0).run(engine="inline")
results
"""


def test_a_run_in_a_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, timeout=120).execute()
    shown = [output.data["text/html"] for output in notebook.cells[0].outputs if "text/html" in output.get("data", {})]
    assert len(shown) == 2  # the view, updated in place, and the results
    view, results = shown
    assert "3/3" in view and "workers busy" not in view and "polyline" in view
    assert "finished" in results and "<table" in results


INTERRUPTED = """
import os, signal
from tunedsl import load, report, space, uniform

def train(config):
    report(loss=config["x"])
    if not os.path.exists("mark"):
        open("mark", "w").close()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

made = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(5).seed(0)
results = made.run(engine="inline", quiet=True)
"""
AFTER = """
print(signal.getsignal(signal.SIGINT).__name__, len(made.resume(engine="inline", quiet=True).trials))
"""


def test_an_interrupted_cell_says_one_line_and_leaves_the_kernel_usable(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (INTERRUPTED, AFTER)])
    options = {"resources": {"metadata": {"path": str(tmp_path)}}, "timeout": 120, "allow_errors": True}
    nbclient.NotebookClient(notebook, **options).execute()
    first, after = (cell.outputs for cell in notebook.cells)
    said = "".join(output.text for output in first if output.output_type == "stream")
    assert said.count("The run was interrupted") == 1 and "Traceback" not in said
    assert [output.ename for output in first if output.output_type == "error"] == ["Interrupted"], first
    assert [output.text for output in after] == ["default_int_handler 5\n"]
