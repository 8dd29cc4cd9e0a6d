"""Plots of an experiment, one kind per file, as plotly figures made from a run's history.

The title of a plot says what it shows; the note below says what it omits. `style` escapes users' texts.

The `customdata` of a point that stands for a trial is the trial's number, so that the web pages can open it. No other
point has any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import wrong_value
from tunedsl.base.types import Mode
from tunedsl.results.fidelity import Fidelity
from tunedsl.results.trial_history import Scope

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tunedsl.results.plots.data import PlotTrials
    from tunedsl.results.trial_history import RunHistory

KINDS: Final = (
    "best",
    "curves",
    "parallel",
    "slices",
    "contour",
    "importance",
    "pareto",
    "hypervolume",
    "rungs",
    "workers",
    "lineage",
    "schedule",
    "forecast",
)
"""The methods of `Plots`, in the order in which a report shows them."""

COMPARING: Final = ("parallel", "slices", "contour", "importance", "pareto")
"""Those that compare trials at one iteration, or each by its own last report: they take `fidelity`."""


@attrs.frozen
class Plots:
    """The plots of an experiment: `results.plot.curves().show()`.

    Each method gives a figure of plotly, with `show()`, `write_html(path)` and `write_image(path)`, and raises
    `NoResult` where there is nothing to draw, or without the extra `plots`. Those that compare trials take
    `metric` and `mode`, the experiment's objective without them, and `scope`, as `results.best_trial` does.

    Those of parameters compare trials at equal fidelity: by their values at one iteration, which their titles say.
    `fidelity` is that iteration; `auto`, the highest that 10 trials and a quarter of all reached; or `last`, each
    trial's own last report, wherever it was stopped. `results.fidelities()` shows what there is.
    """

    _history: RunHistory
    _known: dict[tuple[str | None, Mode | None, Scope, Fidelity], PlotTrials] = attrs.field(
        factory=dict, init=False, repr=False
    )

    def _trials(self, metric: str | None, mode: Mode | None, scope: Scope, fidelity: Fidelity = "last") -> PlotTrials:
        from tunedsl.results.plots.data import PlotTrials

        asked = metric, mode, scope, fidelity
        if asked not in self._known:
            self._known[asked] = PlotTrials.of(self._history, *asked)
        return self._known[asked]

    @check_arguments
    def best(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        over: Literal["seconds", "trials"] = "seconds",
    ) -> go.Figure:
        """What each trial reached and the best so far, over time or over the trials' numbers."""
        from tunedsl.results.plots.best import best

        if over not in ("seconds", "trials"):
            raise wrong_value("best.over", over, "'seconds' or 'trials'")
        return best(self._trials(metric, mode, scope), over)

    @check_arguments
    def curves(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> go.Figure:
        """Learning curves, stopped and failed trials marked; of many trials some, over the quantiles of all."""
        from tunedsl.results.plots.curves import curves

        return curves(self._trials(metric, mode, scope))

    @check_arguments
    def parallel(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        parameters: Sequence[str] | None = None,
        fidelity: Fidelity = "auto",
    ) -> go.Figure:
        """Each trial as a line through its parameters to the metric; nested names are joined by `/`."""
        from tunedsl.results.plots.parallel import parallel

        return parallel(self._trials(metric, mode, scope, fidelity), parameters)

    @check_arguments
    def slices(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        parameters: Sequence[str] | None = None,
        fidelity: Fidelity = "auto",
    ) -> go.Figure:
        """The metric over each parameter by itself."""
        from tunedsl.results.plots.slices import slices

        return slices(self._trials(metric, mode, scope, fidelity), parameters)

    @check_arguments
    def contour(
        self,
        x: str | None = None,
        y: str | None = None,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        fidelity: Fidelity = "auto",
    ) -> go.Figure:
        """The metric over two parameters, smoothed."""
        from tunedsl.results.plots.contour import contour

        return contour(self._trials(metric, mode, scope, fidelity), x, y)

    @check_arguments
    def importance(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        fidelity: Fidelity = "auto",
    ) -> go.Figure:
        """How much each parameter matters; the numbers are `results.importance()`."""
        from tunedsl.results.importance import importance
        from tunedsl.results.plots.weights import weights

        trials = self._trials(metric, mode, scope, fidelity)
        return weights(trials, importance(trials))

    @check_arguments
    def pareto(self, x: str | None = None, y: str | None = None, fidelity: Fidelity = "last") -> go.Figure:
        """Two objectives at once, and the trials that no other one beats; by last reports they are `results.pareto`.

        Args:
            x, y: which objectives; without them the first two. A third one is the colour.
        """
        from tunedsl.results.plots.pareto import pareto

        return pareto(self._history, x, y, fidelity)

    @check_arguments
    def hypervolume(self, reference: Mapping[str, float] | None = None) -> go.Figure:
        """What the Pareto front dominates, over time; the numbers are `results.hypervolume()`.

        Args:
            reference: as for `results.hypervolume`.
        """
        from tunedsl.results.plots.hypervolume import hypervolume

        return hypervolume(self._history, reference)

    @check_arguments
    def rungs(self) -> go.Figure:
        """How many trials came to each iteration at which they were compared, and what became of them there."""
        from tunedsl.results.plots.rungs import rungs

        return rungs(self._history)

    @check_arguments
    def workers(self) -> go.Figure:
        """Who ran what when, with pauses and failures."""
        from tunedsl.results.plots.workers import workers

        return workers(self._history)

    @check_arguments
    def lineage(self, metric: str | None = None, mode: Mode | None = None, scope: Scope = "last") -> go.Figure:
        """Who took over from whom, in population based training."""
        from tunedsl.results.plots.lineage import lineage

        return lineage(self._trials(metric, mode, scope))

    @check_arguments
    def schedule(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: Scope = "last",
        parameters: Sequence[str] | None = None,
    ) -> go.Figure:
        """How hyperparameters changed in mid-trial, and those that trained the best trial."""
        from tunedsl.results.plots.lineage import schedule

        return schedule(self._trials(metric, mode, scope), parameters)

    @check_arguments
    def forecast(self, forecast: Any) -> go.Figure:
        """A dry run by `experiment.dry_run()`, next to the actual run."""
        from tunedsl.results.plots.forecast import forecast as draw

        return draw(self._history, forecast)

    @check_arguments
    def what_if(self, forecast: Any, over: Literal["iterations", "seconds"] = "iterations") -> go.Figure:
        """The best value so far, next to that of a replay by `results.what_if(...)`."""
        from tunedsl.results.plots.what_if import what_if

        if over not in ("iterations", "seconds"):
            raise wrong_value("what_if.over", over, "'iterations' or 'seconds'")
        return what_if(self._history, forecast, over)
