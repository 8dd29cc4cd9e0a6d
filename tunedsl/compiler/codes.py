"""Every code a diagnostic can bear, and what it is about: one table, read by documentation and tests."""

from __future__ import annotations

from typing import Final

from tunedsl.searchers.contract import CODES as SEARCH_CODES
from tunedsl.spaces.check import CODES as SPACE_CODES

CODES: Final[dict[str, str]] = {
    "E001": "unknown name or keyword",
    "E002": "wrong arguments of a call",
    "E003": "wrong value of an argument",
    "E004": "a clause that stands already",
    "E005": "two experiments differ in a clause",
    "E006": "a change that a run cannot take",
    **SPACE_CODES,
    "E030": "no trainable",
    "E031": "the trainable does not take what it is called with",
    "E032": "the class form lacks a method",
    "E033": "a form of trainable that is not run",
    "E034": "the trainable cannot be sent to workers",
    "E035": "the trainable captures too much",
    "E040": "max_t below grace_period",
    "E041": "reduction_factor not above 1",
    "E042": "grace_period not above 0",
    "E043": "max_t not a finite number above 0",
    "E044": "wrong number of brackets",
    "E045": "a policy needs an objective",
    "E046": "a policy needs checkpoints",
    "E048": "the searcher cannot take a part of the space",
    **SEARCH_CODES,
    "E050": "a stop condition that any value meets",
    "E051": "a plateau's threshold without a direction",
    "E052": "a stop condition that compares what cannot be compared",
    "E060": "resources that no node can give",
    "E061": "a function that does not take what it is called with, fails, or returns what is refused",
    "E062": "a name that is not portable, or a second trial's too",
    "E063": "logical order without a width",
    "E064": "timing would decide under logical order",
    "E065": "a checkpoint policy without effect",
    "E066": "a retry that has no memory to grow",
    "E067": "an isolation that the engine does not have",
    "E068": "resources that Ray gives to nobody",
    "E070": "a scheduler and a searcher that do not go together",
    "E071": "a parameter that the scheduler cannot change",
    "E072": "an interval of a population that is none",
    "E073": "a share, probability or factor out of its range",
    "E074": "a package that the scheduler needs is not installed",
    "E075": "another number of trials than the scheduler goes with",
    "E076": "resources that cannot be distributed",
    "E077": "a schedule that cannot be replayed",
    "E078": "an option of the scheduler out of its range",
    "E091": "a package that a sink needs is not installed",
    "W030": "parameters that the trainable does not mention",
    "W031": "a metric that the trainable does not report",
    "W032": "no objective, so there is no best trial",
    "W040": "max_t is never reached",
    "W050": "nothing ends a trial",
    "W051": "a stop condition that only text meets",
}
"""Searchers of other rooms add codes of their own beside their `validate`."""
