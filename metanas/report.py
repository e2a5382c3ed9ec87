"""A report on a task: one HTML file that needs nothing else to be read.

Says what is known of the task, which tasks the recommendation was learned from,
draws the recommended cells, and sets what was predicted against what has been
measured since.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metadata_store.batch import Trials
from metadata_store.records import Architecture, Task
from metadata_store.store import MetadataStore
from metanas import plots
from metanas.assemble import make_predictor, run_zero_shot
from metanas.protocols import Prediction, SearchSpace
from metanas.search.record import SOURCE as SEARCHED
from metanas.settings import ZeroShotSettings
from metanas.zero_shot import NothingToLearnFrom, Recommendation, ZeroShot

MOST_CURVES = 200
"""A plot of more learning curves shows nothing more."""

LISTED = 10
"""Trials in the table."""

WRAP = ' class="wrap"'

CSS = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
.lead { color: #555; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #eee; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; }
.card { border: 1px solid #ddd; border-radius: 6px; padding: 0.6rem 0.9rem; flex: 0 1 26rem; }
.card h3 { margin: 0 0 0.3rem; font-size: 1rem; }
.card code, .wrap { font-size: 0.75rem; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; }
details { margin-top: 0.8rem; }
"""


@dataclass(frozen=True)
class TaskReport:
    """What a report on a task shows.

    Attributes:
        trials: of the task, in the recommendation's space and of one metric, each measurement
            once.
        prediction: for ``trials``' distinct architectures, made without these
            trials; None where nothing could be learned from.
        repeats: trials left out because they repeat one of ``trials``.
        others: how many trials have another metric and are left out, by its name.
    """

    task: Task
    space: SearchSpace
    trials: Trials
    zero_shot: ZeroShot | None
    prediction: Prediction | None
    repeats: int = 0
    others: Mapping[str, int] = field(default_factory=dict)

    def html(self) -> str:
        """The whole document."""
        return document(self.task.name, self.parts())

    def parts(self) -> list[str]:
        """What stands in it, as HTML."""
        name = html.escape(self.task.name)
        sources = len(self.trials.present("source"))
        lead = f"{len(self.trials):,} trials in space {html.escape(self.space.name)}"
        lead += f", from {sources} sources" * (sources > 1)
        lead += f"; {self.repeats:,} more only repeat some of them" * (self.repeats > 0)
        if self.others:
            told = ", ".join(
                f"{count:,} of {name or 'none'}" for name, count in self.others.items()
            )
            metric = self.trials.present("metric")[0]
            lead += html.escape(f"; left out because they are not of {metric}: {told}")
        return [
            f"<h1>{name}</h1>",
            f'<p class="lead">{lead}.</p>',
            self._facts(),
            *self._recommended(),
            *self._measured(),
        ]

    def _facts(self) -> str:
        task = self.task
        shape = " × ".join(map(str, task.input_shape)) or "unknown"
        rows = [
            ("Samples", f"{task.n_samples:,}" if task.n_samples else "unknown"),
            ("Classes", str(task.n_classes or "unknown")),
            ("Input", shape),
            ("DCN", "not characterised" if task.dcn is None else f"{task.dcn:.3f}"),
        ]
        features = table([(name, f"{value:.4g}") for name, value in task.features.items()])
        more = f"<details><summary>All features</summary>{features}</details>" if features else ""
        return f"<h2>The task</h2>{table(rows)}{more}"

    def _recommended(self) -> list[str]:
        if self.zero_shot is None:
            return [
                "<h2>Recommended</h2><p>No other task has trials in this space, "
                "so nothing can be recommended yet.</p>"
            ]
        found = self.zero_shot
        drawn = cells(self.space, [each.architecture for each in found.recommendations])
        weights = {neighbour.task: neighbour.weight for neighbour in found.neighbours}
        return [
            "<h2>Learned from</h2>",
            plots.neighbour_bars(weights),
            f"<h2>Recommended</h2><p>Best of {found.scored:,} architectures scored in "
            f"{found.seconds:.1f} s, none of them trained.</p>",
            '<div class="cards">',
            *map(self._card, range(1, len(drawn) + 1), found.recommendations, drawn),
            "</div>",
        ]

    def _card(self, rank: int, each: Recommendation, drawn: str) -> str:
        facts = [f"score {each.score:.3f} ± {each.std:.3f}"]
        if each.params is not None and each.flops is not None:
            facts.append(f"{each.params:,} parameters, {each.flops / 1e6:.2f} M multiply-adds")
        measured = self._best_of(each)
        if measured is not None:
            score, source = measured
            facts.append(f"<b>measured since: {score:.4f}</b> ({html.escape(source)})")
        text = html.escape(self.space.format(each.architecture))
        return (
            f'<div class="card"><h3>{rank}</h3>{drawn}<div>{"<br>".join(facts)}</div>'
            f"<code>{text}</code></div>"
        )

    def _best_of(self, each: Recommendation) -> tuple[float, str] | None:
        """The highest score, and its source: other sources may have trained otherwise."""
        key = self.space.canonical(each.architecture)
        same = [
            code
            for code, other in enumerate(self.trials.architectures)
            if self.space.canonical(other) == key
        ]
        trials = self.trials.take(np.isin(self.trials.architecture_codes, same))
        if not np.isfinite(trials.scores).any():
            return None
        best = trials[int(np.nanargmax(trials.scores))]
        return float(np.nanmax(trials.scores)), best.source

    def _measured(self) -> list[str]:
        trials = self.trials
        if len(trials) == 0:
            where = html.escape(self.space.name)
            return [f"<h2>Measured</h2><p>No trial on this task in space {where} yet.</p>"]
        metric = trials.present("metric")[0]
        order = np.argsort(-np.nan_to_num(trials.best, nan=-math.inf), kind="stable")
        more = len(trials) > LISTED
        told = f"<p>The best {LISTED} of {len(trials):,}.</p>" if more else ""
        # The best three are named; of the others enough to see where they run.
        rest = np.linspace(3, len(order) - 1, min(max(len(order) - 3, 0), MOST_CURVES)).astype(int)
        shown = np.concatenate([order[:3], order[rest]])
        rows = [trials[int(row)].curve for row in shown]
        names = {i: f"{i + 1}. best: {trials.best[row]:.4f}" for i, row in enumerate(shown[:3])}
        drawn = plots.learning_curves([(c.epochs, c.values) for c in rows], names, metric=metric)
        return [
            f"<h2>Measured</h2>{told}",
            self._best_table(order[:LISTED].tolist(), metric),
            "<h2>Learning curves</h2>",
            drawn,
            *self._agreement(metric),
        ]

    def _agreement(self, metric: str) -> list[str]:
        groups = self._groups()
        if sum(len(group.measured) for group in groups) < 3:
            return []
        return [
            "<h2>Predicted against measured</h2>",
            "<p>The predictor saw none of these trials.</p>",
            plots.predicted_against_measured(
                groups, metric=metric, correlation=rank_correlation(groups)
            ),
        ]

    def _groups(self) -> list[plots.Points]:
        """What was predicted and measured by source, the largest first.

        Scores of several sources do not compare: they may have trained longer, or wider
        networks.
        """
        if self.prediction is None:
            return []
        place = {each: index for index, each in enumerate(self.trials.architectures)}
        groups = []
        for source in self.trials.present("source"):
            own = self.trials.where(source=source)
            measured = mean_scores(own)
            some = np.isfinite(measured)
            if some.any():
                at = np.array([place[each] for each in own.architectures])[some]
                mean, std = self.prediction.mean[at], self.prediction.std[at]
                groups.append(plots.Points(source, mean, std, measured[some]))
        return sorted(groups, key=lambda group: -len(group.measured))

    def _best_table(self, rows: Sequence[int], metric: str) -> str:
        head = ("best " + metric, "state", "epochs", "seed", "source", "architecture")
        body = []
        for row in rows:
            trial = self.trials[int(row)]
            body.append(
                (
                    "–" if trial.curve.best is None else f"{trial.curve.best:.4f}",
                    trial.state.value,
                    str(len(trial.curve)),
                    str(trial.seed),
                    trial.source,
                    self.space.format(trial.architecture),
                )
            )
        return table(body, head)


def task_report(
    settings: ZeroShotSettings, store: MetadataStore, task: Task, space: SearchSpace
) -> TaskReport:
    """Gathers what is known of a task; the prediction never sees the task's own trials."""
    stored, others = _of_one_metric(store.batch(tasks=[task.name], space=space.name))
    trials = without_repeats(stored)
    repeats = len(stored) - len(trials)
    predictor = make_predictor(settings.predictor, space, seed=settings.seed)
    try:
        found = run_zero_shot(settings, store, task, space, predictor)
    except NothingToLearnFrom:
        return TaskReport(task, space, trials, None, None, repeats, others)
    prediction = predictor.predict(trials.architectures, task) if len(trials) else None
    return TaskReport(task, space, trials, found, prediction, repeats, others)


def _of_one_metric(trials: Trials) -> tuple[Trials, dict[str, int]]:
    """The trials of the metric that most scored ones have, and how many each other one has.

    Why one: values of several cannot share an axis.
    """
    if len(trials) == 0:
        return trials, {}
    names, codes = trials.names("metric"), trials.codes("metric")
    scored = np.isfinite(trials.scores)
    votes = codes[scored] if scored.any() else codes
    most = int(np.bincount(votes, minlength=len(names)).argmax())
    counts = np.bincount(codes, minlength=len(names)).tolist()
    others = {
        name: count
        for code, (name, count) in enumerate(zip(names, counts, strict=True))
        if count and code != most
    }
    return trials.where(metric=names[most]), others


def without_repeats(trials: Trials) -> Trials:
    """Without the trials of searches whose curve another source has of the same architecture.

    A search on a table stores again what the table knew, perhaps under another seed.
    """
    sources = trials.names("source")
    codes = trials.codes("source")
    searched = np.array([name.startswith(SEARCHED) for name in sources], bool)[codes]
    first: dict[tuple[int, bytes, bytes], int] = {}
    kept = []
    for row in np.argsort(searched, kind="stable").tolist():
        part = slice(trials.offsets[row], trials.offsets[row + 1])
        values = trials.flat_values[part].tobytes()
        key = int(trials.architecture_codes[row]), trials.flat_epochs[part].tobytes(), values
        source = first.setdefault(key, codes[row])
        if not values or not searched[row] or source == codes[row]:
            kept.append(row)
    return trials.take(sorted(kept))


def rank_correlation(groups: Sequence[plots.Points]) -> float | None:
    """Spearman's within each group, averaged by their size; None where none has one."""
    from scipy.stats import spearmanr

    # Of equal values there is no order, of two there is one of two.
    usable = [
        group
        for group in groups
        if len(group.measured) > 2 and np.ptp(group.measured) > 0 and np.ptp(group.predicted) > 0
    ]
    if not usable:
        return None
    found = [float(spearmanr(group.predicted, group.measured).statistic) for group in usable]
    return float(np.average(found, weights=[len(group.measured) for group in usable]))


def cells(space: SearchSpace, architectures: Sequence[Architecture]) -> list[str]:
    """Each architecture drawn, or nothing where the space's are no graphs."""
    graphs = [space.edges(each) for each in architectures]
    if not all(graphs):
        return [""] * len(graphs)
    values = [value for allowed in space.domain.values() for value in allowed or ()]
    return plots.cells([edges or () for edges in graphs], list(dict.fromkeys(map(str, values))))


def mean_scores(trials: Trials) -> NDArray[np.float64]:
    """Mean score over the seeds of each distinct architecture, NaN for none; shape (m,)."""
    total = len(trials.architectures)
    scored = np.isfinite(trials.scores)
    codes = trials.architecture_codes[scored]
    counts = np.bincount(codes, minlength=total)
    sums = np.bincount(codes, weights=trials.scores[scored], minlength=total)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = sums / counts
    return mean


def document(title: str, parts: Sequence[str]) -> str:
    """A page of these parts, which are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>metanas: {html.escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A table; empty for no rows."""
    if not rows:
        return ""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td{WRAP * (len(cell) > 40)}>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<table>{'<tr>' + top + '</tr>' if top else ''}{body}</table>"
