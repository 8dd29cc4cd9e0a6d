"""Experiments as data: files in YAML, TOML and JSON, and clauses as text. Nothing in them is evaluated as code."""

from tunedsl.configs.experiments import SUFFIXES, experiment_from_config

__all__ = ["SUFFIXES", "experiment_from_config"]
