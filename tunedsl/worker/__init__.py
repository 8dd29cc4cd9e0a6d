"""Runs the user's training code: the three forms of trainable, `report`, and the session of one trial.

The kernel and the backends decide which trial runs where, and when it stops early.
"""

from tunedsl.worker.api import Trainable, report, trial
from tunedsl.worker.execution_lock import NoLock
from tunedsl.worker.messages import Assignment, Message, Notice, Shipment, started_event
from tunedsl.worker.outbox import Outbox
from tunedsl.worker.run import run_trial
from tunedsl.worker.session import Session
from tunedsl.worker.trial_info import TrialInfo

__all__ = [
    "Assignment",
    "Message",
    "NoLock",
    "Notice",
    "Outbox",
    "Session",
    "Shipment",
    "Trainable",
    "TrialInfo",
    "report",
    "run_trial",
    "started_event",
    "trial",
]
