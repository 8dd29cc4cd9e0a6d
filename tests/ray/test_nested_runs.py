"""A run inside a trial of a run on the same cluster."""

from __future__ import annotations

import pytest

from tunedsl import report, space, uniform

pytestmark = pytest.mark.usefixtures("cluster")


def test_a_run_inside_a_trial_warns_of_what_it_waits_for(tmp_path, capsys):
    def inner(config):
        report(loss=config["x"])

    def outer(config):
        e = space(x=uniform(0, 1)).trainable(inner).minimize("loss").samples(1).seed(0).store(tmp_path / "inner")
        results = e.budget(seconds=12).run(quiet=True)
        report(loss=float(len(results.trials)))

    e = space(y=1).trainable(outer).minimize("loss").resources(cpu=4).seed(0).store(tmp_path / "outer")
    assert not e.run(quiet=True).errors
    told = capsys.readouterr().err
    assert "inside trial 00000 of another run, which uses CPU=4" in told
    assert 'run("inline")' in told and ".parallel(1)" in told
