"""Trials that are programs: reports, stops, checkpoints, failures, and that no process is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunedsl
from tests.commands import call
from tests.experiments import Breaker
from tests.programs import FAMILY, c_program, is_alive, pids, tuned, wait_until_gone
from tunedsl import Interrupted, command, grid, pbt, space, uniform
from tunedsl.experiment import Experiment
from tunedsl.metrics import jsonl, key_values, pattern, tensorboard_events
from tunedsl.results import Results
from tunedsl.worker.program_metrics import MAX_LINE

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def one(script: str, store: Path, **keywords: Any) -> Experiment:
    """One trial of a shell script, in its own folder."""
    program = command(["sh", "-c", script.replace("{", "{{").replace("}", "}}")], cwd="{folder}", **keywords)
    return space(x=grid([0.5])).trainable(program).minimize("loss").seed(0).store(store).log_to_file()


def run(experiment: Experiment) -> Results:
    return experiment.run(engine="inline", quiet=True)


def losses(results: Results, metric: str = "loss") -> dict[str, list[float]]:
    return {trial.id: list(trial.curve[metric]) for trial in results.trials}


def test_a_program_in_c_is_stopped_early_and_equals_itself(tmp_path: Path) -> None:
    program = c_program(tmp_path)
    results = run(tuned(program, tmp_path / "a"))
    assert {trial.status for trial in results.trials} == {"stopped", "completed"}
    for trial in results.trials:
        expected, loss = [], 0.0
        for step in range(1, 10):
            loss = 0.5 * loss + (trial.config["x"] - 0.3) ** 2 + 1 / step
            expected.append(loss)
        found = losses(results)[trial.id]
        assert found == pytest.approx(expected[: len(found)], rel=1e-12)


@pytest.mark.parametrize("after", [15, 40])
def test_an_interrupted_run_of_a_program_resumes_to_the_same_end(after: int, tmp_path: Path) -> None:
    program = c_program(tmp_path)
    whole = run(tuned(program, tmp_path / "a"))
    with pytest.raises(Interrupted) as broken:
        tuned(program, tmp_path / "b").run(engine="inline", quiet=True, listeners=(Breaker(after),))
    resumed = tunedsl.resume(broken.value.path, quiet=True)
    assert losses(resumed) == losses(whole)


def test_a_run_is_resumed_in_the_terminal_without_the_experiment(tmp_path: Path) -> None:
    program = c_program(tmp_path)
    with pytest.raises(Interrupted) as broken:
        tuned(program, tmp_path / "b").run(engine="inline", quiet=True, listeners=(Breaker(20),))
    done = call("resume", broken.value.path, "--quiet")
    assert done.exit_code == 0, done.output
    assert len(tunedsl.load(broken.value.path).trials) == 12


@linux
def test_a_stopped_trial_leaves_no_process(tmp_path: Path) -> None:
    results = run(one(FAMILY, tmp_path, grace=0.3).stop(training_iteration=1))
    assert not results.errors
    assert len(pids(tmp_path)) == 6
    assert not any(map(is_alive, pids(tmp_path)))


@linux
def test_a_daemon_ends_with_its_program(tmp_path: Path) -> None:
    script = "setsid sh -c 'echo $$ > pids; sleep 1000' & while [ ! -s pids ]; do sleep 0.01; done; echo loss=1"
    results = run(one(script, tmp_path, grace=0.3))
    assert not results.errors
    assert len(pids(tmp_path)) == 1
    assert not any(map(is_alive, pids(tmp_path)))


DRIVER = """
import sys
from tests.programs import FAMILY
from tests.unit.worker.test_commands import one
from pathlib import Path
one(FAMILY, Path(sys.argv[1]), grace=0.3).run(engine="inline", quiet=True)
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_a_killed_driver_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stderr=subprocess.DEVNULL)
    while len(pids(tmp_path)) < 6:
        assert driver.poll() is None
    assert all(map(is_alive, pids(tmp_path)))
    driver.send_signal(number)
    driver.wait(60)
    assert wait_until_gone(pids(tmp_path)) == []


@linux
def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo $$ > pids; echo loss=1; while true; do sleep 0.05; done"
    run(one(script, tmp_path, grace=0.1).stop(training_iteration=1))
    assert pids(tmp_path) and not any(map(is_alive, pids(tmp_path)))


def test_a_program_may_clean_up_and_its_last_words_are_logged(tmp_path: Path) -> None:
    script = "trap 'echo bye; touch cleaned; exit 3' TERM; echo loss=1; while true; do sleep 0.02; done"
    results = run(one(script, tmp_path, grace=30).stop(training_iteration=1))
    assert not results.errors
    (trial,) = results.trials
    assert (Path(trial.path) / "cleaned").exists()
    assert (Path(trial.path) / "stdout.log").read_text() == "loss=1\nbye\n"


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (
            "echo loss=1; echo first >&2; echo 'ValueError: no' >&2; exit 3",
            "crash",
            "exited with code 3: ValueError: no",
        ),
        ("kill -SEGV $$", "crash", "SIGSEGV"),
        ("echo 'MemoryError' >&2; exit 1", "oom", "MemoryError"),
        ("exit 0", "bad_report", "help: the program must print loss=0.5, or pass command(..., metrics=...)"),
        ("echo los=1", "bad_report", "'loss'"),
        ("sleep 1000", "idle", "did not report"),
        ("exec /no/such/program", "crash", "code 127"),
    ],
)
def test_a_failure_has_its_kind_and_its_reason(script: str, kind: str, words: str, tmp_path: Path) -> None:
    experiment = one(script, tmp_path)
    (failed,) = run(experiment.timeout(idle=0.4) if kind == "idle" else experiment).errors
    assert failed.kind == kind
    assert words in failed.message


def test_the_last_lines_of_standard_error_are_in_the_error(tmp_path: Path) -> None:
    (failed,) = run(one("for i in $(seq 1 100); do echo line $i >&2; done; exit 1", tmp_path)).errors
    assert "line 1\n" not in failed.traceback
    assert failed.traceback.endswith("line 99\nline 100\n")


def test_a_program_that_is_missing_where_it_runs_fails_the_trial(tmp_path: Path) -> None:
    program = command(["no-such-program", "{x}"], env={"PATH": "/nowhere"})
    (failed,) = run(space(x=grid([1])).trainable(program).minimize("loss").seed(0).store(tmp_path)).errors
    assert "'no-such-program' cannot be started" in failed.message


def test_a_missing_working_directory_fails_the_trial(tmp_path: Path) -> None:
    program = command("echo loss={x}", cwd=str(tmp_path / "none"))
    (failed,) = run(space(x=grid([1])).trainable(program).minimize("loss").seed(0).store(tmp_path)).errors
    assert "cannot be started" in failed.message


@pytest.mark.parametrize(
    "script",
    [
        "printf 'loss=2\\nloss=1'",
        "printf '\\377\\376\\0binary loss=2 \\200\\nloss=1\\n'",
        f"head -c {3 * MAX_LINE} /dev/zero | tr '\\0' x; echo; echo loss=2; echo loss=1",
        "printf 'lo'; sleep 0.1; printf 'ss=2\\rloss='; sleep 0.1; echo 1",
        "echo loss=2; exec 1>&-; sleep 0.2; echo loss=1 >&2",
    ],
    ids=["no newline", "binary", "huge line", "partial lines", "closed stdout"],
)
def test_any_output_is_read(script: str, tmp_path: Path) -> None:
    results = run(one(script, tmp_path, metrics=[key_values(), key_values("stderr")]))
    assert not results.errors
    assert losses(results) == {"00000": [2, 1]}


@pytest.mark.parametrize(
    ("source", "script"),
    [
        (jsonl(), 'echo \'{"loss": 2}\'; echo text; echo \'{"loss": "1"}\''),
        (jsonl("m.jsonl"), "for i in 2 1; do echo '{\"loss\": '$i'}' >> m.jsonl; done"),
        (pattern(r"loss is (?P<loss>\S+)"), "echo loss is 2; echo loss is 1"),
        (
            pattern(r"loss is (?P<loss>\S+)", "out.log"),
            "echo loss is 2 > out.log; sleep 0.2; echo loss is 1 >> out.log",
        ),
        (key_values("stderr"), "echo loss=5; echo loss=2 >&2; echo loss=1 >&2"),
    ],
    ids=repr,
)
def test_each_source_of_metrics(source: Any, script: str, tmp_path: Path) -> None:
    assert losses(run(one(script, tmp_path, metrics=source))) == {"00000": [2, 1]}


WRITER = """
import sys
from tensorboardX import SummaryWriter
with SummaryWriter(sys.argv[1]) as writer:
    for step in (1, 2):
        writer.add_scalar("loss", 3 - step, step)
        writer.add_scalar("acc", step, step)
"""


def test_event_files_are_a_source(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    program = command([sys.executable, "-c", WRITER, "{folder}/logs"], metrics=tensorboard_events("{folder}/logs"))
    results = run(space(x=grid([1])).trainable(program).minimize("loss").seed(0).store(tmp_path))
    assert losses(results) == {"00000": [2, 1]}
    assert list(results.trials[0].curve["acc"]) == [1, 2]


def test_sources_are_joined_by_their_iteration(tmp_path: Path) -> None:
    script = (
        "for i in 1 2; do echo epoch=$i lr=0.$i; echo '{\"epoch\": '$i', \"loss\": '$i'}' >> m.jsonl; sleep 0.2; done"
    )
    results = run(one(script, tmp_path, metrics=[key_values(), jsonl("m.jsonl")], iteration="epoch"))
    assert list(results.trials[0].curve["lr"]) == [0.1, 0.2]


HOSTILE = [
    "; touch hacked",
    "$(touch hacked)",
    "`touch hacked`",
    "a'b\"c",
    "two\nlines",
    "--flag",
    "* ?",
    "{x}",
    "",
    "é",
]


@pytest.mark.parametrize("shell", [False, True])
def test_values_reach_the_program_as_they_are(shell: bool, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps({'loss': 0, 'seen': [sys.argv[1], os.environ['A'], os.environ['P_X']]}))"
    )
    words = [sys.executable, str(tmp_path / "show.py"), "{x}"]
    keywords: dict[str, Any] = {"metrics": jsonl(), "env": {"A": "{x}"}, "env_prefix": "P_", "cwd": "{folder}"}
    program = command(" ".join(words) if shell else words, shell=shell, **keywords)
    results = run(space(x=grid(HOSTILE)).trainable(program).minimize("loss").seed(0).store(tmp_path / "runs"))
    assert not results.errors
    assert [trial.metrics["seen"] for trial in results.trials] == [[text] * 3 for text in HOSTILE]
    assert not list(tmp_path.rglob("hacked"))


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_configuration_is_a_file(form: Any, tmp_path: Path) -> None:
    code = "import sys, yaml; c = yaml.safe_load(open(sys.argv[1])); print('loss=%r' % (c['lr'] * c['model']['depth']))"
    program = command([sys.executable, "-c", code, "{config}"], config=form)
    nested = space(lr=grid([0.25]), model=space(depth=grid([2])))
    assert losses(run(nested.trainable(program).minimize("loss").seed(0).store(tmp_path))) == {"00000": [0.5]}


def test_the_environment_tells_the_trial(tmp_path: Path) -> None:
    script = "env > env.txt; echo loss=1; test -d $TUNEDSL_CHECKPOINT"
    (trial,) = run(one(script, tmp_path, env={"MINE": "{x}"}, env_prefix="HP_")).trials
    lines = (Path(trial.path) / "env.txt").read_text().splitlines()
    assert {"MINE=0.5", "HP_X=0.5", "TUNEDSL_TRIAL=00000", "TUNEDSL_ITERATION=0", "PYTHONUNBUFFERED=1"} <= set(lines)
    assert not list(Path(trial.path).glob("checkpoint-*"))


COUNTER = """
n=$(cat $TUNEDSL_CHECKPOINT/n 2>/dev/null || echo 0)
while [ $n -lt 6 ]; do
  n=$((n + 1))
  echo $n > $TUNEDSL_CHECKPOINT/new; mv $TUNEDSL_CHECKPOINT/new $TUNEDSL_CHECKPOINT/n
  echo loss=$n
  if [ $n = 3 ] && [ ! -e failed ]; then sleep 0.3; touch failed; exit 1; fi
  sleep 0.2
done
"""


def test_a_retry_continues_from_the_newest_checkpoint(tmp_path: Path) -> None:
    (trial,) = run(one(COUNTER, tmp_path).retry(crash=1)).trials
    assert list(trial.curve["loss"]) == [1, 2, 3, 4, 5, 6]
    assert (Path(trial.path) / "stdout.log").read_text().count("loss=2\n") == 1


@pytest.mark.parametrize(
    "first",
    [
        "echo 3 > $C/state; printf 'epoch=1 loss=1\\nepoch=2 loss=2\\nepoch=3 loss=3\\n'",  # read late, so ahead
        "mkdir $C/a; echo 1 > $C/a/state; printf 'epoch=1 loss=1\\nepoch=2 loss=2 checkpoint=a\\n'",  # behind
        "printf 'epoch=1 loss=1\\nepoch=2 loss=2\\n'",  # without a checkpoint
    ],
)
def test_a_retry_neither_loses_nor_repeats_an_iteration(first: str, tmp_path: Path) -> None:
    script = f"""
    C=$TUNEDSL_CHECKPOINT
    if [ ! -f tried ]; then touch tried; {first}; exit 3; fi
    i=0; [ -f $C/state ] && i=$(cat $C/state)
    while [ $i -lt 5 ]; do i=$((i+1)); echo epoch=$i loss=$i; done
    """
    results = run(one(script, tmp_path, iteration="epoch").retry(crash=1))
    assert not results.errors
    assert losses(results) == {"00000": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_an_unchanged_folder_is_not_saved_again(tmp_path: Path) -> None:
    script = "echo 1 > $TUNEDSL_CHECKPOINT/n; echo loss=3; sleep 0.2; echo loss=2; sleep 0.2; echo loss=1"
    (trial,) = run(one(script, tmp_path).checkpoint(keep=5)).trials
    assert [path.name for path in sorted((Path(trial.path) / "checkpoints").iterdir())] == ["00000001"]


FORKER = """
for i in 1 2 3 4 5 6 7 8 9; do
  echo $i > $TUNEDSL_CHECKPOINT/n
  echo loss=$i
  for j in 1 2 3 4 5 6 7 8 9 10; do n=$(echo $j); done
done
"""


def test_a_program_that_forks_while_it_is_suspended_continues(tmp_path: Path) -> None:
    program = command(["sh", "-c", FORKER, "{x}"])
    results = run(
        space(x=grid(list(range(20)))).trainable(program).minimize("loss").parallel(4).seed(0).store(tmp_path)
    )
    assert {trial.iterations for trial in results.trials} == {9}


WALKER = """
w=$(cat $TUNEDSL_CHECKPOINT/w 2>/dev/null || echo 0)
for i in 1 2 3 4 5 6 7 8; do
  w=$(awk "BEGIN { print $w + $1 }")
  mkdir $TUNEDSL_CHECKPOINT/$i
  echo $w > $TUNEDSL_CHECKPOINT/$i/w
  echo "score=$w checkpoint=$i"
done
"""


def test_a_population_exchanges_the_folders_of_programs(tmp_path: Path) -> None:
    program = command(["sh", "-c", WALKER.replace("{", "{{").replace("}", "}}"), "walk", "{rate}"])
    experiment = (
        space(rate=uniform(0, 1))
        .trainable(program)
        .maximize("score")
        .scheduler(pbt(perturbation_interval=2))
        .stop(training_iteration=8)
        .samples(4)
        .parallel(4)
        .order("logical")
        .seed(1)
        .store(tmp_path)
    )
    results = run(experiment)
    assert not results.errors
    assert any(len(trial._record.configs) > 1 for trial in results.trials)
    assert losses(run(experiment), "score") == losses(results, "score")


def test_a_scheduler_that_pauses_says_what_a_program_has_to_save(tmp_path: Path) -> None:
    from tunedsl.schedulers import hyperband

    experiment = one("echo loss=1; echo loss=2", tmp_path).scheduler(hyperband(max_t=4, reduction_factor=2))
    (failed,) = run(experiment.samples(1)).errors[:1]
    assert "TUNEDSL_CHECKPOINT" in failed.message


@linux
def test_a_trial_beyond_its_time_ends_with_its_processes(tmp_path: Path) -> None:
    (failed,) = run(one(FAMILY, tmp_path, grace=0.1).timeout(seconds=1)).errors
    assert failed.kind == "timeout"
    assert pids(tmp_path) and not any(map(is_alive, pids(tmp_path)))


def test_programs_of_an_inline_run_run_at_the_same_time(tmp_path: Path) -> None:
    """Each of two trials waits for the file of the other."""
    script = "touch ../$0; while [ ! -e ../$((1 - $0)) ]; do sleep 0.01; done; echo loss=1"
    program = command(["sh", "-c", script, "{x}"], cwd="{folder}")
    experiment = space(x=grid([0, 1])).trainable(program).minimize("loss").parallel(2).timeout(60)
    assert not run(experiment.seed(0).store(tmp_path)).errors


def test_a_command_is_explained_and_tried_dry(tmp_path: Path) -> None:
    experiment = one("echo loss=1", tmp_path)
    assert "a command" in experiment.explain()
    assert experiment.dry_run(curve=lambda config, iteration: config["x"], iterations=3) is not None


def test_configurations_are_json_of_any_value(tmp_path: Path) -> None:
    program = command("cp {config} {folder}/seen.json", metrics=jsonl("{folder}/none"))
    (trial,) = run(space(a={"b": (1, None)}, x=grid([float("inf")])).trainable(program).seed(0).store(tmp_path)).trials
    assert json.loads((Path(trial.path) / "seen.json").read_text()) == {"a": {"b": [1, None]}, "x": float("inf")}
    assert os.path.exists(trial.path)
