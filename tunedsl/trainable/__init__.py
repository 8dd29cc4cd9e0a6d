"""What runs the user's training code: the three forms of trainable, `report`, and one trial's session.

A session knows one trial. Which trial runs where, and when it ends early, is decided elsewhere.
"""

from tunedsl.trainable.api import Trainable, TrialInfo, report, trial
from tunedsl.trainable.run import run_trial
from tunedsl.trainable.session import Assignment, Message, Noticed, Outbox, Session, Shipment, Turn, started

__all__ = [
    "Assignment",
    "Message",
    "Noticed",
    "Outbox",
    "Session",
    "Shipment",
    "Trainable",
    "TrialInfo",
    "Turn",
    "report",
    "run_trial",
    "started",
    "trial",
]
