"""Delivery of a journal to sinks: dispatch of records to hooks, during a run or after it, and the writers."""

from tunedsl.export.delivery import SinkError, export, export_during_run

__all__ = ["SinkError", "export", "export_during_run"]
