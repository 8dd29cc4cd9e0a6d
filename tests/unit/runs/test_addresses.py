"""The Ray cluster that a run joins is determined within seconds, and named."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from tunedsl.backends.protocol import EngineLost
from tunedsl.base.errors import ResourceError, TunedslError

ray = pytest.importorskip("ray")

from tunedsl.backends.gangs import Gangs  # noqa: E402
from tunedsl.backends.ray import cluster  # noqa: E402
from tunedsl.plan import Resources  # noqa: E402

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("address", [None, "auto", "local", "10.0.0.1:6379", "head:6379", "ray://known:10001"])
def test_an_address_that_this_process_is_connected_to_is_taken(address, monkeypatch):
    assert check(address, monkeypatch) is None


@pytest.mark.parametrize("address", ["10.0.0.1:6380", "ray://head:10001"])
def test_another_address_is_refused_rather_than_ignored(address, monkeypatch):
    with pytest.raises(TunedslError, match=r"(?s)already connected to Ray .*leave out address"):
        check(address, monkeypatch)


def check(address, monkeypatch):
    monkeypatch.setattr(cluster, "_joined", ["ray://known:10001"])
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"))
    return cluster._check_connected(address)


@pytest.fixture
def server():
    """Starts servers on this machine that accept connections and answer with some bytes, or never."""
    opened = []

    def start(answer: bytes | None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                opened.append(connection)
                if answer is not None:
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def nobody() -> str:
    """An address at which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def joining(monkeypatch, tmp_path):
    """Simulates a process without Ray; returns the address passed to Ray, and the messages to the user."""
    joined, told = [], []
    for name in ("RAY_ADDRESS", "RAY_USE_TLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda address, **options: joined.append(address))
    monkeypatch.setattr(cluster, "_joined", [])
    monkeypatch.setattr(cluster, "_refusal", lambda address: "")
    monkeypatch.setattr(cluster, "_running", list)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    return SimpleNamespace(joined=joined, told=told, run=lambda address: cluster.join(address, told.append))


def leave_behind(tmp_path, address):
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(address)


@pytest.mark.parametrize(
    ("answer", "there"), [(SETTINGS, True), (b"HTTP/1.1 400 Bad", False), (b"", False), (None, False)]
)
def test_a_cluster_answers_as_ray_does_or_it_is_none(server, monkeypatch, answer, there):
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    assert cluster.answers(server(answer), 0.2) is there


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999999", "", "no.such.host.invalid:1"])
def test_what_is_no_address_answers_nobody(address):
    assert not cluster.answers(address, 0.2)


def test_where_nothing_was_named_ray_starts_here(joining):
    joining.run(None)
    assert joining.joined == ["local"] and joining.told == ["starting Ray on this machine"]


def test_a_leftover_address_where_nobody_is_does_not_count(joining, nobody, tmp_path):
    leave_behind(tmp_path, nobody)
    joining.run(None)
    assert joining.joined == ["local"]
    assert nobody in joining.told[0] and "ray_current_cluster" in joining.told[0]
    assert joining.told[1] == "starting Ray on this machine"


@pytest.mark.parametrize("address", [None, "auto"])
def test_a_leftover_address_that_answers_is_joined_by_name(joining, server, tmp_path, address):
    there = server(SETTINGS)
    leave_behind(tmp_path, there)
    joining.run(address)
    assert joining.joined == [there] and joining.told == [f"joining the Ray cluster at {there}"]


def test_a_named_address_where_nobody_is_is_an_error_that_says_what_to_type(joining, nobody, monkeypatch):
    with pytest.raises(ResourceError, match=rf"No Ray cluster answers at {nobody}.*address='{nobody}' names") as caught:
        joining.run(nobody)
    assert "ray start --head" in str(caught.value) and "leave address out" in str(caught.value)
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    with pytest.raises(ResourceError, match=r"RAY_ADDRESS names\.\n  help: .*unset RAY_ADDRESS"):
        joining.run(None)
    with pytest.raises(ResourceError, match="No Ray cluster answers"):
        joining.run(f"ray://{nobody}")
    assert not joining.joined


def test_auto_without_a_cluster_is_an_error_that_names_the_leftover(joining, nobody, tmp_path):
    leave_behind(tmp_path, nobody)
    with pytest.raises(ResourceError, match=rf"no Ray cluster on this machine; nothing answers at {nobody}"):
        joining.run("auto")


def test_auto_takes_a_cluster_that_runs_here_over_a_leftover(joining, server, nobody, tmp_path, monkeypatch):
    leave_behind(tmp_path, nobody)
    there = server(SETTINGS)
    monkeypatch.setattr(cluster, "_running", lambda: [nobody, there])
    joining.run("auto")
    assert joining.joined == [there]


def test_a_cluster_that_refuses_says_why(joining, server, monkeypatch):
    there = server(SETTINGS)
    monkeypatch.setattr(cluster, "_refusal", lambda address: "AuthenticationError: token is missing")
    with pytest.raises(ResourceError, match=r"does not let this process join: .*\n  help: set RAY_AUTH_MODE=token"):
        joining.run(there)

    def fails(address, **options):
        raise RuntimeError("Version mismatch: 2.9 and 2.60\nmore")

    monkeypatch.setattr(cluster, "_refusal", lambda address: "")
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(
        ResourceError, match=r"RuntimeError: Version mismatch: 2.9 and 2.60\.\n  help: use the same versions"
    ):
        joining.run(there)


def test_one_thread_connects_and_the_others_wait_for_it(joining, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def init(address, **options):
        begun.set()
        assert go_on.wait(100)
        joining.joined.append(address)
        monkeypatch.setattr(ray, "is_initialized", lambda: True)

    monkeypatch.setattr(ray, "init", init)
    threads = [threading.Thread(target=joining.run, args=(None,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(100)
    while sum("another run" in text for text in joining.told) < 3:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert joining.joined == ["local"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch):
    """A watch over a cluster whose presence the test sets."""
    clock = Clock()
    context = SimpleNamespace(gcs_address="10.0.0.1:6379", get_job_id=lambda: "1")
    state = SimpleNamespace(there=True, raylet=True, joined=True, clock=clock, asked=0)

    def answers(address: str) -> bool:
        state.asked += 1
        return state.there

    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray, "is_initialized", lambda: state.joined)
    monkeypatch.setattr(cluster, "answers", answers)
    monkeypatch.setattr(cluster, "_raylet_socket", lambda: "/there")
    monkeypatch.setattr(cluster, "_listens", lambda path: state.raylet)
    state.watch = cluster.Watch(clock)
    return state


def test_a_cluster_that_answers_again_in_time_is_not_lost(watch):
    assert watch.watch.answers() and watch.asked == 0, "not at every turn"
    watch.there, watch.clock.now = False, 2.5
    assert not watch.watch.answers() and not watch.watch.answers()
    watch.clock.now += cluster.LOST_SECONDS - 1
    assert not watch.watch.answers()
    watch.there, watch.clock.now = True, watch.clock.now + 1
    assert watch.watch.answers() and not watch.watch.lost
    watch.there = False
    assert not watch.watch.answers(now=True), "it is a new outage"


def test_a_cluster_that_does_not_answer_for_long_is_lost(watch):
    watch.there = False
    assert not watch.watch.answers(now=True)
    watch.clock.now += cluster.LOST_SECONDS + 1
    with pytest.raises(EngineLost, match=r"10\.0\.0\.1:6379 has not answered"):
        watch.watch.answers()
    assert watch.watch.lost


def test_a_node_or_connection_that_is_gone_is_lost_at_once(watch):
    watch.raylet = False
    with pytest.raises(EngineLost, match=r"process on this machine, which .* has ended"):
        watch.watch.answers(now=True)
    watch.joined = False
    with pytest.raises(EngineLost, match=r"ray\.shutdown\(\) was called"):
        watch.watch.answers()


def test_what_ray_raises_is_no_raw_error(watch):
    with pytest.raises(EngineLost, match=r"failed: RaySystemError: .*broken") as caught, watch.watch.guarding():
        raise ray.exceptions.RaySystemError("broken")
    assert not watch.watch.lost and isinstance(caught.value.__cause__, ray.exceptions.RaySystemError)
    with pytest.raises(KeyError), watch.watch.guarding():
        raise KeyError("a fault of another kind")
    watch.there = False
    with pytest.raises(EngineLost), watch.watch.guarding():
        raise ValueError("by Ray, which is gone")
    assert watch.watch.lost


def test_runs_in_logical_order_have_all_their_workers_or_none():
    nodes, runs = [{"CPU": 4.0}], [object(), object(), object()]
    gangs = Gangs()
    try:
        assert gangs.admit(runs[0], nodes, [Resources()] * 3)
        assert not gangs.admit(runs[1], nodes, [Resources()] * 2)
        assert gangs.admit(runs[2], nodes, [Resources()])
        gangs.release(runs[0])
        assert gangs.admit(runs[1], nodes, [Resources()] * 2)
    finally:
        for run in runs:
            gangs.release(run)
