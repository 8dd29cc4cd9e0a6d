"""Delivery of a journal to sinks: dispatch of records, beside a run or afterwards."""
