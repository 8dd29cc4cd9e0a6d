"""Hints for files of other tools: sweeps of W&B and Hydra, and parameters as dicts of Optuna, NNI and others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.suggestions import CLAUSES
from tunedsl.configs.entries import Entry

_METHODS: Final = {"bayes": "searcher: tpe", "random": "searcher: random_search", "grid": "lr: grid([0.1, 0.01])"}
_DOMAIN_KEYS: Final = frozenset(
    {"distribution", "type", "_type", "values", "choices", "options", "value", "_value", "probabilities", "min", "max",
     "low", "high", "lower", "upper", "mu", "sigma", "q", "step", "log", "log_scale"}
)  # fmt: skip
_CALL: Final = re.compile(r"\.(\w+)\(")


def for_key(name: str, entry: Entry, examples: Mapping[str, str]) -> str:
    """What to write instead of an unknown key of a file.

    Args:
        examples: a line for each known key.
    """
    content = entry.plain()
    match name, content:
        case "metric", {"name": str(metric), **rest}:
            return f"write {'maximize' if str(rest.get('goal', '')).startswith('max') else 'minimize'}: {metric}"
        case "direction", str(goal) if goal in ("minimize", "maximize"):
            return f"write {examples[goal]}"
        case "method", str(method) if method in _METHODS:
            return f"write {_METHODS[method]}"
        case "program", str(program):
            return f"write command: python {program} --lr {{lr}}"
        case ("project" | "entity", str(project)):
            return f"write sinks: wandb(project={project!r})" if name == "project" else "remove it"
        case ("description" | "hydra" | "defaults" | "version", _):
            return "remove it: the file holds only the clauses of the experiment"
    if nearest(name, examples, cutoff=0.8) is not None and name not in CLAUSES:
        return did_you_mean(name, examples)
    written = CLAUSES.get(name, "")
    if ".run(" in written or name in ("engine", "address", "quiet"):
        return "it is not part of the experiment: see the options of `tunedsl run`"
    clauses = [clause for clause in _CALL.findall(written) if clause in examples]
    return f"write {' or '.join(examples[clause] for clause in clauses)}" if clauses else did_you_mean(name, examples)


def for_command(content: Any) -> str:
    """What to write instead of a command with the macros of W&B; empty for any other command."""
    line = content.get("program") if isinstance(content, dict) else content
    text = " ".join(map(str, line)) if isinstance(line, list) else str(line)
    return "write command: python train.py --lr {lr}" if "${" in text else ""


def domain(content: Mapping[str, Any]) -> str:
    """The domain that a parameter in the form of another tool means; empty for any other mapping.

    >>> domain({"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1})
    'loguniform(0.0001, 0.1)'
    >>> domain({"values": ["sgd", "adam"]}), domain({"depth": 3, "width": 4})
    ("choice(['sgd', 'adam'])", '')
    """
    if not content or not _DOMAIN_KEYS.issuperset(content):
        return ""

    def first(*names: str) -> Any:
        return next((content[name] for name in names if name in content), None)

    kind = str(first("distribution", "type", "_type") or "").lower()
    options, value = first("values", "choices", "options"), first("_value")
    if "_type" in content and isinstance(value, list):
        options, (low, high) = (value, (None, None)) if "choice" in kind else (None, (*value, None, None)[:2])
    else:
        low, high = first("min", "low", "lower"), first("max", "high", "upper")
    step = first("q", "step")
    if isinstance(options, list):
        return f"choice({options!r})"
    if "mu" in content or "normal" in kind:
        spread = f"{first('mu') or 0}, {first('sigma') or 1}"
        return f"qrandn({spread}, {step})" if step is not None else f"randn({spread})"
    if low is None or high is None:
        return repr(content["value"]) if set(content) <= {"value", "distribution"} and "value" in content else ""
    return _numeric(kind, low, high, step, bool(first("log", "log_scale")) or "log" in kind)


def _numeric(kind: str, low: Any, high: Any, step: Any, log: bool) -> str:
    whole = all(isinstance(bound, int) for bound in (low, high)) and not kind.startswith(("uniform", "float", "q_u"))
    name = ("log" if log else "") + ("randint" if whole or kind.startswith("int") else "uniform")
    if kind == "log_uniform":  # W&B: the exponents of e
        return f"loguniform({_exp(low)}, {_exp(high)})"
    bounds = f"{low}, {high + 1 if name.endswith('randint') and isinstance(high, int) else high}"
    return f"q{name}({bounds}, {step})" if step not in (None, 1) or (step == 1 and not whole) else f"{name}({bounds})"


def _exp(bound: Any) -> str:
    return f"{2.718281828459045 ** float(bound):.3g}" if isinstance(bound, (int, float)) else f"exp({bound})"
