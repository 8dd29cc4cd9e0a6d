"""Reasons of decisions as sentences: what was compared, with its numbers. A rule without words here lists its facts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from tunedsl.base.objective import violation_in
from tunedsl.base.types import TRAINING_ITERATION
from tunedsl.journal.trial_changes import CLOSING
from tunedsl.plan import Plan
from tunedsl.schedulers.contract import OBJECTIVE_FACTS, Reason, scheduler_of

Facts = Mapping[str, Any]

_NEGATED: Final = {"inf": "-inf", "-inf": "inf"}


def reason_text(note: Reason, plan: Plan, rank: int = 0) -> str:
    """The reason of a decision, with the compared values.

    Args:
        plan: the plan of the decision.
        rank: the trial's place among those that it was compared with, itself included; 0 if it is not known.
    """
    if note.rule == CLOSING:
        return str(note.facts.get("reason", "the experiment ended"))
    if note.rule == "asked":
        return f"a user requested it: {note.facts.get('text', '')}".removesuffix(": ")
    told, words = "", _SENTENCES.get(note.rule)
    if words is not None:
        with suppress(TypeError, ValueError, AttributeError):  # a journal may hold any facts
            told = words(_Speaker(note.rule, plan), note.facts, rank)
    told = told or _listed(note.facts, plan)
    return f"{note.rule}: {told}" if told else note.rule


class _Speaker:
    """Says values of the objective, and times, as the user named them."""

    def __init__(self, rule: str, plan: Plan) -> None:
        self.spec: Any = plan.scheduler
        while scheduler_of(self.spec).name != rule and hasattr(self.spec, "base"):
            self.spec = self.spec.base
        self.plan = plan
        self.metric = plan.objectives[0].metric if plan.objectives else "value"

    def measured(self, facts: Facts) -> str:
        """The metric and its value; empty for several objectives."""
        return f"{self.metric} {self.value(facts['value'])}" if "value" in facts else ""

    def value(self, fact: Any) -> str:
        """A value of the metric."""
        return _fact("value", fact, self.plan, 6)

    def limit(self, fact: Any) -> str:
        """A limit of the metric, beyond which a value is worse."""
        is_max = bool(self.plan.objectives) and self.plan.objectives[0].mode == "max"
        return f"{self.value(fact)} or {'more' if is_max else 'less'}"

    def time(self, fact: Any) -> str:
        """A time, in units of the scheduler."""
        name = getattr(self.spec, "time_attr", TRAINING_ITERATION)
        return f"{'iteration' if name == TRAINING_ITERATION else name} {_number(fact)}"


def _asha(says: _Speaker, facts: Facts, rank: int) -> str:
    match facts:
        case {"reached": time, "max_t": most}:
            return f"it reached {says.time(time)}, and max_t is {_number(most)}"
        case {"milestone": time, "value": value, "cut": cut, "competitors": others}:
            what = f"{says.measured(facts)} at {says.time(time)}{_bracket(says, facts)}"
            if not others:
                return f"{what}, as the first trial there"
            if math.isnan(float(value)):
                return f"{what}, which cannot be compared"
            ranked = f" ranked {rank:,} of {others + 1:,}" if rank else ""
            share = f"the best 1/{_number(says.spec.reduction_factor)} of " if rank else ""
            needed = f"{says.limit(cut)}, the limit of {share}{_count(others, 'earlier trial')}"
            return f"{what}{ranked}; to continue, it needed {needed}"
        case {"milestone": time, "front": front, "place": place, "places": places, "competitors": others}:
            ranked = f"ranked {place:,} of {others + 1:,} at {says.time(time)}{_bracket(says, facts)}, in front {front}"
            return f"{ranked}; the best {places:,} continue"
    return ""


def _promotion(says: _Speaker, facts: Facts, rank: int) -> str:
    match facts:
        case {"rung": _, "place": place, "places": places, "competitors": count}:
            continues = f"the best {places:,} continue" if places else "none continues"
            return f"{_at_rung(says, facts)} ranked {place:,} of {count:,}; {continues}"
    return _asha(says, facts, rank)


def _hyperband(says: _Speaker, facts: Facts, rank: int) -> str:
    match facts:
        case {"rung": _, "place": place, "kept": kept, "competitors": count}:
            return f"{_at_bracket(says, facts)} ranked {place:,} of {count:,}; the best {kept:,} continue"
        case {"rung": _, "waits_for": missing}:
            waits = f"it is compared when {_count(missing, 'more trial')} of the bracket got there"
            return f"{_at_bracket(says, facts)}; {waits}"
    return _asha(says, facts, rank)


def _median(says: _Speaker, facts: Facts, rank: int) -> str:
    match facts:
        case {"time": time, "value": value, "median": median, "competitors": others}:
            own = f"the best running average of {says.metric} is {says.value(value)} at {says.time(time)}"
            return f"{own}; the median of {_count(others, 'other trial')} is {says.value(median)}"
        case {"time": time, "competitors": others, "required": required}:
            return f"{_count(others, 'other trial')} reached {says.time(time)}; it compares from {required:,}"
        case {"paused": why}:
            return f"it was paused {why}, and a worker is free"
    return ""


def _population(says: _Speaker, facts: Facts, rank: int) -> str:
    rest = dict(facts)

    def take(*names: str) -> list[Any] | None:
        return [rest.pop(name) for name in names] if all(name in rest for name in names) else None

    if (found := take("time", "value")) is None:
        return ""
    told = [f"{says.metric} {says.value(found[1])} at {says.time(found[0])}"]
    if found := take("interval"):
        told[0] += f", interval {found[0]}"
    if found := take("there", "of"):
        told.append(f"it waits until all members are there: {found[0]:,} of {found[1]:,} are")
    if found := take("lower", "upper", "competitors"):
        low, high, count = found
        told.append(f"of {_count(count, 'member')}, the worst end at {says.value(low)}, the best at {says.value(high)}")
    if found := take("donor", "donor_value"):
        told.append(f"it copies trial {found[0]}, which has {says.value(found[1])}")
    elif found := take("donor"):
        told.append(f"it will copy trial {found[0]}")
    if found := take("gives way to"):
        told.append(f"its worker goes to {found[0]}")
    return "; ".join(filter(None, (*told, _listed(rest, says.plan))))


_SENTENCES: Final[Mapping[str, Callable[[_Speaker, Facts, int], str]]] = {
    "asha": _asha,
    "asha_promote": _promotion,
    "pasha": _promotion,
    "hyperband": _hyperband,
    "median_stopping": _median,
    "pbt": _population,
    "pb2": _population,
}
"""The sentence of a rule's facts, or empty for facts that it does not know."""


def _at_rung(says: _Speaker, facts: Facts) -> str:
    return f"{says.measured(facts)} at {says.time(facts['rung'])}".lstrip()


def _at_bracket(says: _Speaker, facts: Facts) -> str:
    return f"{_at_rung(says, facts)} of bracket {facts.get('bracket')}"


def _bracket(says: _Speaker, facts: Facts) -> str:
    return f" of bracket {facts['bracket']}" if getattr(says.spec, "brackets", 1) > 1 and "bracket" in facts else ""


def _count(amount: Any, what: str) -> str:
    return f"{amount:,} {what}{'' if amount == 1 else 's'}"


def _number(fact: Any) -> str:
    return f"{fact:.6g}" if isinstance(fact, float) else str(fact)


def _listed(facts: Facts, plan: Plan) -> str:
    return ", ".join(f"{name} {_fact(name, fact, plan)}" for name, fact in facts.items())


def _fact(name: str, fact: Any, plan: Plan, digits: int = 9) -> str:
    """A fact; scores, which are larger where they are better, as values of the metric."""
    compared = name.rpartition(" ")[2] in OBJECTIVE_FACTS
    if compared and isinstance(fact, float) and (violation := violation_in(fact)) is not None:
        return f"infeasible by {violation:.{digits}g}"
    if compared and plan.objectives and plan.objectives[0].mode == "min":
        fact = 0 - fact if isinstance(fact, (int, float)) else _NEGATED.get(str(fact), fact)
    return f"{fact:.{digits}g}" if isinstance(fact, float) else str(fact)
