"""What runs the user's training code: the three forms of trainable, `report`, and one trial's session.

A session knows one trial. Which trial runs where, and when it ends early, is decided elsewhere.
"""

from tunedsl.worker.api import Trainable, TrialInfo, report, trial
from tunedsl.worker.run import run_trial
from tunedsl.worker.session import Assignment, Message, NoLock, Notice, Outbox, Session, Shipment, started_event

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
