"""Races over repeats: a configuration whose paired results clearly lose against the best one runs no more repeats.

`searchers.repeat` runs the race; here are its rule and its state.
Sources: Birattari, Stuetzle, Paquete and Varrentrapp, A Racing Algorithm for Configuring Metaheuristics, GECCO 2002;
Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1, 1945.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import immutables
import numpy as np

from tunedsl.base.arguments import as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import wrong_value
from tunedsl.searchers.contract import ProposalReason

Losses = Mapping[int, float]
"""The loss of each repeat that has a result, by its place from 0; infinite for a failure."""


@value(repr=False)
class Wilcoxon:
    """The spec of `wilcoxon`."""

    p: float = 0.1

    def __repr__(self) -> str:
        return f"wilcoxon({self.p!r})"


@check_arguments
def wilcoxon(p: float = 0.1) -> Wilcoxon:
    """A configuration loses if the Wilcoxon signed-rank test finds it worse than the best one.

    The test is one-sided and exact. It compares repeats of the same place, such as the same fold. With `p=0.1`, a
    configuration that is always worse loses after four repeats.

    Args:
        p: the largest p value at which a configuration loses, above 0 and below 0.5.

    Raises:
        ArgumentError: for a number out of range.

    Example:
        >>> wilcoxon(p=0.05)
        wilcoxon(0.05)
    """
    found = float(as_number("wilcoxon.p", p))
    if not 0 < found < 0.5:
        raise wrong_value("wilcoxon.p", p, "above 0 and below 0.5")
    return Wilcoxon(found)


def signed_rank_p(differences: Sequence[float]) -> float:
    """The exact p of the one-sided signed-rank test that differences are above 0.

    Zeros are left out, equal sizes share their mean rank; infinities rank last. It is 1 without any other difference.

    >>> signed_rank_p([1.0, 2.0, 3.0]), signed_rank_p([1.0, 2.0, -3.0, 0.0])
    (0.125, 0.625)
    """
    kept = np.array([each for each in differences if each == each and each != 0])
    if not len(kept):
        return 1.0
    _, place, counts = np.unique(np.abs(kept), return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(counts) - counts + 1)[place]  # twice the mean rank, which is a whole number
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled.tolist():  # each rank is positive or negative with equal probability
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[:-rank]
        ways = (ways + shifted) / 2
    return float(min(1.0, ways[int(doubled[kept > 0].sum()) :].sum()))


@attrs.frozen(eq=False)
class RaceState:
    """Which configurations race.

    Attributes:
        count: number of configurations so far.
        open: configurations that still run repeats, oldest first.
        group_of: the configuration of each trial.
        lost: the configurations that lost.
        incumbent: the best configuration whose repeats are complete.
        news: the losses that no proposal has told yet.
    """

    count: int = 0
    open: tuple[int, ...] = ()
    group_of: immutables.Map[int, int] = attrs.field(factory=immutables.Map)
    lost: immutables.Map[int, None] = attrs.field(factory=immutables.Map)
    incumbent: int | None = None
    news: tuple[ProposalReason, ...] = ()

    def with_trial(self, trial: int, group: int) -> RaceState:
        """With a trial of a configuration, whose proposal tells the news."""
        is_new = group == self.count
        return attrs.evolve(
            self,
            count=self.count + is_new,
            open=(*self.open, group) if is_new else self.open,
            group_of=self.group_of.set(trial, group),
            news=(),
        )

    def with_loss(self, group: int, news: ProposalReason) -> RaceState:
        """Without a configuration that lost."""
        kept = tuple(each for each in self.open if each != group)
        return attrs.evolve(self, open=kept, lost=self.lost.set(group, None), news=(*self.news, news))

    def with_complete(self, group: int, is_best: bool) -> RaceState:
        """With a configuration whose repeats are complete."""
        kept = tuple(each for each in self.open if each != group)
        return attrs.evolve(self, open=kept, incumbent=group if is_best else self.incumbent)


def race_reason(news: Sequence[ProposalReason]) -> ProposalReason | None:
    """One reason from several; None from none."""
    if not news:
        return None
    return ProposalReason("; ".join(each.text for each in news), tuple(n for each in news for n in each.trials))


def loss_text(rule: Wilcoxon, losses: Losses, best: Losses) -> str:
    """How a configuration loses against the best one; empty if it does not lose."""
    pairs = [(losses[place], best[place]) for place in losses.keys() & best.keys()]
    differences = [0.0 if own == other else own - other for own, other in pairs]
    if not pairs or math.fsum(filter(math.isfinite, differences)) < 0:
        return ""
    p = signed_rank_p(differences)
    if p > rule.p:
        return ""
    worse = sum(each > 0 for each in differences)
    return f"worse in {worse} of {len(pairs)} pairs, p = {p:.3g} by the one-sided signed-rank test"
