"""Specs of sinks, which write a run for other tools.

A sink decides nothing and slows nothing down: it reads the journal behind the run's back. One kind a file, each a
frozen spec and its registration; the packages that they need are imported when they begin to work.
"""

from tunedsl.sinks.comet import Comet, comet
from tunedsl.sinks.contract import RunInfo, Sink, TrialRecord
from tunedsl.sinks.csv import Csv, csv
from tunedsl.sinks.jsonl import Jsonl, jsonl
from tunedsl.sinks.mlflow import MLflow, mlflow
from tunedsl.sinks.registry import UserSink, user_sink
from tunedsl.sinks.tensorboard import TensorBoard, tensorboard
from tunedsl.sinks.wandb import Wandb, wandb

__all__ = [
    "Comet",
    "Csv",
    "Jsonl",
    "MLflow",
    "RunInfo",
    "Sink",
    "TensorBoard",
    "TrialRecord",
    "UserSink",
    "Wandb",
    "comet",
    "csv",
    "jsonl",
    "mlflow",
    "tensorboard",
    "user_sink",
    "wandb",
]
