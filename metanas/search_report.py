"""A report on a search: one HTML file that needs nothing else to be read.

How the best score rose with trials and epochs, how each run went and ended, what the
search started from, and the best architectures.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metadata_store.records import Architecture, LearningCurve, TrialState
from metadata_store.store import MetadataStore
from metanas import plots
from metanas.protocols import SearchSpace
from metanas.report import MOST_CURVES, cells, document, table
from metanas.search.record import Ran, merit, source_of
from metanas.warm_start import Search

SHOWN = 3
"""Architectures drawn."""

LISTED = 100
"""Trials in the table."""


@dataclass(frozen=True)
class SearchReport:
    """What a report on a search shows.

    Attributes:
        curves: of the trials, by architecture and seed.
    """

    found: Search
    space: SearchSpace
    curves: Mapping[tuple[Architecture, int], LearningCurve]

    def html(self) -> str:
        """The whole document."""
        return document(self.found.study, self.parts())

    def parts(self) -> list[str]:
        """What stands in it, as HTML."""
        found = self.found
        best = "none" if found.best is None else f"{found.best.score:.4f}"
        name = html.escape(found.study)
        lead = (
            f"{len(found.trials):,} trials on task {html.escape(found.plan.task)} in space "
            f"{html.escape(found.plan.space)}, {found.epochs_used:,} epochs; best score {best}."
        )
        return [
            f"<h1>Search {name}</h1>",
            f'<p class="lead">{lead}</p>',
            *self._progress(),
            *self._objectives(),
            *self._best(),
            *self._start(),
            *self._runs(),
            *self._table(),
        ]

    @property
    def metric(self) -> str:
        """Of the curves."""
        return next((each.metric for each in self.curves.values()), "score")

    def _progress(self) -> list[str]:
        if not self.found.trials:
            return ["<p>No trial has ended yet.</p>"]
        best, so_far = math.nan, []
        ended = sorted(self.found.trials, key=lambda each: each.ended)
        for each in ended:
            if each.score is not None:
                best = each.score if math.isnan(best) else max(best, each.score)
            so_far.append(best)
        epochs = [each.epochs for each in ended]
        drawn = plots.search_progress(so_far, epochs, self.found.priors, metric=self.metric)
        return ["<h2>Progress</h2>", drawn]

    def _objectives(self) -> list[str]:
        ended = [each for each in self.found.trials if each.objectives]
        if not self.found.several or not ended:
            return []
        of_front = {each.number for each in self.found.front}
        front = [place for place, each in enumerate(ended) if each.number in of_front]
        points = [each.objectives for each in ended]
        return ["<h2>Objectives</h2>", plots.objectives(points, self.found.plan.objectives, front)]

    def _best(self) -> list[str]:
        several = self.found.several
        scored = sorted(
            (each for each in self.found.trials if each.score is not None),
            key=merit,
            reverse=True,
        )
        shown = list(self.found.front) if several else scored[:SHOWN]
        if not shown:
            return []
        drawn = cells(self.space, [each.architecture for each in shown])
        cards = [
            f'<div class="card"><h3>trial {each.number}</h3>{cell}<div>{self._facts(each)}</div>'
            f"<code>{html.escape(self.space.format(each.architecture))}</code></div>"
            for each, cell in zip(shown, drawn, strict=True)
        ]
        title = "Not beaten in all objectives" if several else "Best"
        return [f"<h2>{title}</h2>", '<div class="cards">', *cards, "</div>"]

    def _facts(self, each: Ran) -> str:
        values = self.found.values(each).items()
        told = [f"{html.escape(name.removeprefix('-'))} {_amount(value)}" for name, value in values]
        return "<br>".join([*told, f"{each.epochs} epochs"])

    def _start(self) -> list[str]:
        found = self.found
        parts = ["<h2>Started from</h2>"]
        if found.neighbours:
            weights = {each.task: each.weight for each in found.neighbours}
            parts.append(plots.neighbour_bars(weights))
            learned = f"What learned from them: {', '.join(found.learned)}. "
            tried = found.priors or "None"
            parts.append(
                f"<p>{learned * bool(found.learned)}"
                f"{tried} of their best architectures were set to be tried first.</p>"
            )
        else:
            parts.append("<p>Nothing was learned from other tasks: a cold start.</p>")
        settings = table(list(found.settings.items()))
        later = [
            (f"trial {number}", ", ".join(f"{name} {value}" for name, value in changed.items()))
            for number, changed in found.changes.items()
        ]
        if later:
            settings += f"<p>Resumed with others:</p>{table(later, ('from', 'changed'))}"
        return [*parts, f"<details><summary>Settings</summary>{settings}</details>"]

    def _runs(self) -> list[str]:
        trials = self.found.trials[-MOST_CURVES:]
        empty = LearningCurve("", (), ())
        curves = [self.curves.get((each.architecture, each.seed), empty) for each in trials]
        if not any(len(curve) > 1 for curve in curves):
            return []
        best = trials.index(self.found.best) if self.found.best in trials else None
        drawn = plots.run_curves(
            [(curve.epochs, curve.values) for curve in curves],
            [each.state is TrialState.STOPPED for each in trials],
            best,
            metric=self.metric,
        )
        return ["<h2>Runs</h2>", drawn]

    def _table(self) -> list[str]:
        counts = Counter(each.state.value for each in self.found.trials)
        told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        if len(self.found.trials) > LISTED:
            told += f"; the last {LISTED} of {len(self.found.trials):,} are listed"
        head = (
            *("trial", "best value", *self.found.further),
            *("state", "epochs", "seconds", "why", "architecture"),
        )
        rows = [self._row(each) for each in self.found.trials[-LISTED:]]
        return [f"<h2>Trials</h2><p>{told or 'none'}.</p>", table(rows, head)]

    def _row(self, each: Ran) -> Sequence[str]:
        return (
            str(each.number),
            "–" if each.best is None else f"{each.best:.4f}",
            *map(_amount, self.found.costs(each)),
            each.state.value,
            str(each.epochs),
            "–" if each.seconds is None else f"{each.seconds:.1f}",
            each.reason or "–",
            self.space.format(each.architecture),
        )


def _amount(value: float) -> str:
    """To four digits, large ones to the unit."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def search_report(found: Search, store: MetadataStore, space: SearchSpace) -> SearchReport:
    """Gathers what is known of a search."""
    stored = store.batch(tasks=[found.plan.task]).where(source=source_of(found.study))
    curves = {(each.architecture, each.seed): each.curve for each in stored}
    return SearchReport(found, space, curves)
