"""The kind of a worker's death, recognized from Ray's texts."""

from __future__ import annotations

from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError, RayActorError

from tunedsl.backends.ray.worker_failures import failure_of
from tunedsl.base.machine import count_oom_kills
from tunedsl.worker import Assignment

KILLED = """The actor died unexpectedly before finishing this task.
	class_name: RayWorker
	actor_id: 3b8507e43a8aa27ffa60d73501000000
	pid: 7253
	namespace: e257dafd-e497-407b-9656-748fcefd5fb4
	ip: 192.0.2.2
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed \
by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed."""
LOW = """1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: f9) was \
5.28GB used / 23.54GB limit (0.224307)
OOM kill reason: Memory usage 5635915776B exceeded threshold."""


def told(error, killed=False):
    event = failure_of(Assignment(1, "00001", 0, {}, 1, {"memory": 5.0}), error, killed).event
    return event.kind, event.message, event.resources


def test_rays_memory_monitor_is_out_of_memory():
    kind, message, given = told(OutOfMemoryError(LOW))
    assert kind == "oom" and message.endswith("5.28GB used / 23.54GB limit") and given == {"memory": 5.0}
    assert told(RayActorError(None, LOW))[0] == "oom"


def test_a_kill_is_a_loss_though_its_text_speaks_of_memory():
    kind, message, given = told(RayActorError(None, KILLED))
    assert (kind, given) == ("lost", {}) and "pid 7253 on 192.0.2.2" in message and "without a message" in message


def test_a_kill_that_the_kernel_counts_is_out_of_memory():
    kind, message, given = told(RayActorError(None, KILLED), killed=True)
    assert kind == "oom" and "kernel" in message and given == {"memory": 5.0}


def test_nodes_that_were_preempted_or_shut_down_are_told_from_dead_ones():
    error = RayActorError(None, KILLED)
    error._preempted = True
    assert told(error)[:2] == ("preempted", "the node of its worker (pid 7253 on 192.0.2.2) was preempted")
    shut_down = (
        "The actor died because its node has died.\n\tthe actor's node was terminated expectedly: received SIGTERM"
    )
    assert told(RayActorError(None, shut_down))[0] == "preempted"
    crashed = shut_down.replace("terminated expectedly", "terminated unexpectedly")
    assert told(RayActorError(None, crashed))[0] == "lost"
    assert (
        failure_of(Assignment(1, "00001", 0, {}, 1, {}), NodeDiedError("gone"), False, True).event.kind == "preempted"
    )
    assert told(NodeDiedError("gone"))[0] == "lost"
    kind, message, _ = told(ActorUnavailableError("The actor is temporarily unavailable: Socket closed", None))
    assert kind == "lost" and message.endswith("its process or its node has died")


def test_the_kernels_count_never_goes_back():
    before = count_oom_kills()
    assert isinstance(before, int) and count_oom_kills() >= before >= 0
