"""The pictures of a report, each an SVG text.

Why SVG by matplotlib: a report is one file of some hundred kB that opens
anywhere, prints sharply and needs no script.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from metanas.protocols import Edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by people with any colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#222222",
    "#8a8a8a",
)
CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
OPERATIONS = (*CYCLE, BLACK)
"""Of operations, by their place in the space's list."""

NAMED = 6
"""Nodes of a cell whose arrows have room for the names of their operations."""

FEWEST, LOW = 5, 0.02
"""Of fewer values none is an outlier; of more, this share may be."""

RUN: dict[str, Any] = {"color": "#c4c4c4", "linewidth": 0.9, "zorder": 1}
"""A learning curve among many."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    # A name is a name, also with a "$" in it.
    "text.parse_math": False,
    "svg.hashsalt": "metanas",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
}


def neighbour_bars(weights: Mapping[str, float]) -> str:
    """How much each task counted; weights in [0, 1]."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.6 + 0.3 * len(weights)), layout="constrained")
        axes = figure.subplots()
        names = list(weights)[::-1]
        shares = [100 * weights[name] for name in names]
        bars = axes.barh(names, shares, color=BLUE, height=0.65)
        axes.bar_label(bars, fmt="%.1f %%", padding=3, fontsize=9)
        axes.set_xlim(0, max(shares, default=1) * 1.18)
        axes.set_xlabel("share in what was learned, %")
        axes.grid(axis="y", visible=False)
        return _svg(figure)


@dataclass(frozen=True)
class Points:
    """What was predicted and measured under one source, n architectures.

    Attributes:
        name: of the source.
        predicted, std, measured: shape (n,).
    """

    name: str
    predicted: NDArray[np.float64]
    std: NDArray[np.float64]
    measured: NDArray[np.float64]


def predicted_against_measured(
    groups: Sequence[Points], *, metric: str, correlation: float | None
) -> str:
    """One point an architecture, with the prediction's uncertainty; a colour a source.

    The predictor's scale is its own, so only the order of its values says something.

    Args:
        groups: the largest first; those that no colour is left for share a grey.
        correlation: by rank, within the groups; None where it is not defined.
    """
    with rc_context(STYLE):
        named = min(len(groups), len(CYCLE) + 1) if len(groups) > 1 else 0
        figure = Figure(figsize=(6.4, 4.2 + 0.17 * named), layout="constrained")
        axes = figure.subplots()
        measured = np.concatenate([group.measured for group in groups])
        low = _cut(axes, measured, measured)
        for index, group in enumerate(groups):
            own = index < len(CYCLE)
            colour, name = (CYCLE[index], group.name) if own else (GREY, "others")
            inside = group.measured >= low
            axes.errorbar(
                group.predicted[inside],
                group.measured[inside],
                xerr=group.std[inside],
                fmt="o",
                color=colour,
                ecolor=(colour, 0.25),
                markersize=5,
                elinewidth=1,
                label=name if index <= len(CYCLE) else None,
            )
            _at_edge(axes, group.predicted[~inside], colour)
        _told_below(axes, int((measured < low).sum()))
        axes.set_xlabel("predicted before any training (predictor's scale)")
        axes.set_ylabel(f"measured: best {metric}")
        told = "not defined here" if correlation is None else f"{correlation:.2f}"
        within = " within sources" if len(groups) > 1 else ""
        axes.set_title(f"rank correlation (Spearman){within}: {told}", loc="left", fontsize=10)
        if named:
            figure.legend(loc="outside lower left", fontsize=8)
        return _svg(figure)


def learning_curves(
    curves: Sequence[tuple[Sequence[int], Sequence[float]]],
    highlighted: Mapping[int, str],
    *,
    metric: str,
) -> str:
    """Curves as (epochs, values); those at `highlighted` positions in colour, with a name."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        below = _cut_curves(axes, curves)
        for index, (epochs, values) in enumerate(curves):
            if index not in highlighted and index not in below:
                axes.plot(epochs, values, **RUN)
        for colour, (index, name) in zip(
            _colours(len(highlighted)), highlighted.items(), strict=True
        ):
            epochs, values = curves[index]
            marker = "o" if len(epochs) == 1 else None
            axes.plot(epochs, values, color=colour, linewidth=2, label=name, marker=marker)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(metric)
        if highlighted:
            axes.legend(loc="lower right", fontsize=9)
        return _svg(figure)


def search_progress(
    best: Sequence[float], epochs: Sequence[int], priors: int, *, metric: str
) -> str:
    """Best score so far, against trials and against epochs spent.

    Args:
        best: after each trial, NaN before the first score.
        epochs: of each trial.
        priors: how many of the first trials were known to be good elsewhere.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        trials = np.arange(1, len(best) + 1)
        left.step(trials, best, where="post", color=BLUE, linewidth=2, marker="o", markersize=3)
        if priors:
            left.axvspan(0.5, priors + 0.5, color=SKY, alpha=0.2, linewidth=0)
            left.text(0.7, 0.02, "from sources", transform=left.get_xaxis_transform(), fontsize=8)
        left.set_xlabel("trials that ended")
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.set_ylabel(f"best {metric} so far")
        right.step(np.cumsum(epochs), best, where="post", color=BLUE, linewidth=2)
        right.set_xlabel("epochs trained")
        return _svg(figure)


def objectives(
    points: Sequence[Sequence[float]], names: Sequence[str], front: Sequence[int]
) -> str:
    """The first of two or more objectives against each other one, the front in colour.

    Args:
        points: by trial, its value of each objective.
        names: of the objectives, "-" before those that are to be small.
        front: which of the points no other beats in all objectives.
    """
    plain = [name.removeprefix("-") for name in names]
    others = len(names) - 1
    with rc_context(STYLE):
        figure = Figure(figsize=(3.0 + 3.4 * others, 3.8), layout="constrained")
        every = figure.subplots(1, others, sharey=True, squeeze=False)[0]
        values = np.asarray(points, np.float64)
        best = np.zeros(len(values), np.bool_)
        best[list(front)] = True
        low = -math.inf if names[0] != plain[0] else _cut(every[0], values[:, 0], values[:, 0])
        below = values[:, 0] < low
        for index, axes in enumerate(every, 1):
            of_front = np.flatnonzero(best)[np.argsort(values[best, index], kind="stable")]
            x, y = values[:, index], values[:, 0]
            axes.plot(x, y, "o", color=RUN["color"], markersize=5, zorder=1)
            axes.plot(
                x[of_front],
                y[of_front],
                # Between more objectives than two the front is no line.
                "o-" if others == 1 else "o",
                linewidth=1.2,
                color=BLUE,
                label="not beaten in all objectives",
                zorder=3,
            )
            _at_edge(axes, x[below & ~best], GREY)
            _at_edge(axes, x[below & best], BLUE)
            axes.set_xlabel(plain[index])
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        _told_below(every[0], int(below.sum()))
        every[0].set_ylabel(plain[0])
        every[-1].legend(loc="lower right", fontsize=9)
        return _svg(figure)


def run_curves(
    curves: Sequence[tuple[Sequence[int], Sequence[float]]],
    stopped: Sequence[bool],
    best: int | None,
    *,
    metric: str,
) -> str:
    """Curves as (epochs, values): stopped ones end in a cross, the best is in colour."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        below = _cut_curves(axes, curves)
        for index, (epochs, values) in enumerate(curves):
            if not epochs or index in below:
                continue
            style = {"color": BLUE, "linewidth": 2, "zorder": 3} if index == best else RUN
            lone = "o" if len(epochs) == 1 else None
            axes.plot(epochs, values, marker=lone, markersize=3, **style)
            if stopped[index]:
                axes.plot(epochs[-1], values[-1], marker="x", color=RED, linestyle="none", zorder=2)
        shown = {"best": (BLUE, "-", None), "stopped": (RED, "", "x")}
        used = {"best": best is not None, "stopped": any(stopped)}
        for name, (colour, line, marker) in shown.items():
            if used[name]:
                axes.plot([], [], color=colour, linestyle=line, marker=marker, label=name)
        if any(used.values()):
            axes.legend(loc="lower right", fontsize=9)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(metric)
        return _svg(figure)


def tradeoff(methods: Mapping[str, Sequence[tuple[float, float]]], *, unit: str) -> str:
    """Regret against the share of epochs used: one line a method, its own threshold first.

    Args:
        methods: (share in [0, 1], regret) of each threshold.
        unit: of the regret.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        axes = figure.subplots()
        markers = ("o", "s", "^", "D", "v", "P", "X")
        for index, (name, points) in enumerate(methods.items()):
            shares, regrets = zip(*sorted(points), strict=True)
            again = index // len(CYCLE)
            axes.plot(
                [100 * share for share in shares],
                regrets,
                color=CYCLE[index % len(CYCLE)],
                linestyle=("-", "--", ":")[again % 3],
                linewidth=1.4,
                marker=markers[again % len(markers)],
                markersize=7,
                markevery=[sorted(points).index(points[0])],
                label=name,
            )
        # Regrets span orders of magnitude, and zero is the aim.
        shown = [regret for points in methods.values() for _, regret in points if regret > 0]
        least = max(min(shown, default=1.0), 1e-3 * max(shown, default=1.0))
        axes.set_yscale("symlog", linthresh=least)
        axes.set_ylim(bottom=0, top=None if shown else 1.0)
        axes.set_xscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_plain)
            axis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.set_xlabel("share of epochs used, %")
        axes.set_ylabel(f"regret, {unit}")
        figure.legend(fontsize=8, loc="outside right upper")
        return _svg(figure)


def _plain(value: float, place: float) -> str:
    """A tick's number as text: mathematics is not typeset, see `STYLE`."""
    return f"{value:g}"


def cells(graphs: Sequence[Sequence[Edge]], operations: Sequence[str]) -> list[str]:
    """Cells as graphs.

    Nodes from left to right, an arrow an operation; edges that no signal passes are left out.
    Where there are too many for a name on each arrow, a legend says what colours stand for.

    Args:
        operations: all that the space has, in its order: an operation's colour is that of
            its place, so the same in every report. What is not among them is grey.
    """
    colours = {name: OPERATIONS[i % len(OPERATIONS)] for i, name in enumerate(operations)}
    return [(_arcs if len(_nodes(edges)) > NAMED else _cell)(edges, colours) for edges in graphs]


def _nodes(edges: Sequence[Edge]) -> list[int]:
    return sorted({edge.tail for edge in edges} | {edge.head for edge in edges})


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """For a graph; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    return figure, axes


def _arcs(edges: Sequence[Edge], colours: Mapping[str, str]) -> str:
    """Nodes on a line; operations are arcs above it, what only gathers them arcs below."""
    with rc_context({**STYLE, "axes.grid": False}):
        figure, axes = _canvas(7.2, 3.6)
        nodes = _nodes(edges)
        at = {node: float(i) for i, node in enumerate(nodes)}
        between: Counter[tuple[int, int]] = Counter()
        top, bottom, seen = 0.5, -0.5, dict[str, str]()
        for edge in edges:
            if not edge.live:
                continue
            gathers = edge.operation not in colours
            colour = seen.setdefault(edge.operation, colours.get(edge.operation, GREY))
            # Arcs between the same two nodes one above the other.
            bend = 0.5 + 0.25 * between[edge.tail, edge.head]
            between[edge.tail, edge.head] += 1
            height = bend * (at[edge.head] - at[edge.tail]) / 2
            top, bottom = (top, min(bottom, -height)) if gathers else (max(top, height), bottom)
            axes.annotate(
                "",
                xy=(at[edge.head], 0.0),
                xytext=(at[edge.tail], 0.0),
                arrowprops={
                    "arrowstyle": "-|>",
                    "connectionstyle": f"arc3,rad={bend if gathers else -bend}",
                    "color": colour,
                    "linewidth": 0.8 if gathers else 1.6,
                    "shrinkA": 8,
                    "shrinkB": 8,
                },
            )
        _draw_nodes(axes, {node: (x, 0.0) for node, x in at.items()}, size=260)
        axes.set_xlim(-0.5, len(nodes) - 0.5)
        axes.set_ylim(bottom - 0.2, top + 0.2)
        used = sorted(seen, key=[*colours, *seen].index)
        lines = [Line2D([], [], color=seen[name], linewidth=1.6) for name in used]
        names = [name.replace("_", " ") for name in used]
        figure.legend(lines, names, ncols=4, fontsize=8, loc="outside lower center", frameon=False)
        return _svg(figure)


def _draw_nodes(axes: Axes, places: Mapping[int, tuple[float, float]], *, size: float) -> None:
    """Circles with their numbers, the first and last as input and output."""
    first, last = min(places), max(places)
    for node, (x, y) in places.items():
        label = "in" if node == first else "out" if node == last else str(node)
        axes.scatter([x], [y], s=size, color="white", edgecolor="#333333", zorder=3)
        axes.annotate(label, (x, y), ha="center", va="center", fontsize=9, zorder=4)


def _cell(edges: Sequence[Edge], colours: Mapping[str, str]) -> str:
    with rc_context({**STYLE, "axes.grid": False}):
        figure, axes = _canvas(4.2, 2.9)
        nodes = _nodes(edges)
        place = dict(zip(nodes, _places(len(nodes)), strict=True))
        for edge in edges:
            if edge.live:
                # Nearer the start than the middle: in a complete graph the middles coincide.
                # From inner nodes nearer still, off the label of the edge from in to out.
                later = 0.30 if edge.head == nodes[-1] else 0.22
                along = 0.36 if edge.tail == nodes[0] else later
                colour = colours.get(edge.operation, GREY)
                _arrow(axes, place[edge.tail], place[edge.head], edge.operation, colour, along)
        _draw_nodes(axes, {node: (float(x), float(y)) for node, (x, y) in place.items()}, size=460)
        if not any(edge.live for edge in edges):
            axes.set_title("no path from input to output", fontsize=9)
        axes.margins(0.16)
        return _svg(figure)


def _arrow(
    axes: Axes,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    operation: str,
    colour: str,
    along: float,
) -> None:
    """Labelled with its operation, `along` of the way from start to end."""
    axes.annotate(
        "",
        xy=tuple(end),
        xytext=tuple(start),
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour,
            "linewidth": 1.8,
            "shrinkA": 12,
            "shrinkB": 12,
        },
    )
    x, y = start + along * (end - start)
    axes.annotate(
        operation.replace("_", " "),
        (x, y),
        ha="center",
        va="center",
        fontsize=8,
        color=colour,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        zorder=5,
    )


def _places(count: int) -> NDArray[np.float64]:
    """Positions from left to right, the inner nodes above and below in turn; (count, 2)."""
    x = np.linspace(0.0, 3.0, count)
    # The inner nodes at different heights, so that no three lie on one line.
    y = np.array(
        [0.0 if i in (0, count - 1) else (0.8 + 0.35 * i) * (-1) ** (i + 1) for i in range(count)]
    )
    return np.stack([x, y], axis=1)


def _cut(axes: Axes, lows: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Ends the y axis above the outliers, where else they would leave the rest a flat band.

    Args:
        lows: lowest value of each thing drawn.
        values: all that is drawn.

    Returns:
        What lies below this is out of sight; -inf for nothing.
    """
    lows, values = lows[np.isfinite(lows)], values[np.isfinite(values)]
    if len(lows) < FEWEST:
        return -math.inf
    top, low = float(values.max()), float(np.quantile(lows, LOW, method="higher"))
    if top - low >= (top - lows.min()) / 2:
        return -math.inf
    # Where the rest is one value its height says nothing of how much room it needs.
    margin = 0.08 * (top - low) or 0.02 * (top - float(lows.min()))
    axes.set_ylim(low - margin, top + margin)
    return low - margin


def _cut_curves(axes: Axes, curves: Sequence[tuple[Sequence[int], Sequence[float]]]) -> set[int]:
    """As `_cut`; marks the curves that are wholly below, and says which they are."""
    values = [np.asarray(each, float) for _, each in curves]
    values = [each[np.isfinite(each)] for each in values]
    lows = np.array([each.min(initial=math.inf) for each in values])
    low = _cut(axes, lows, np.concatenate([np.empty(0), *values]))
    below = {
        index
        for index, each in enumerate(values)
        if len(each) and each.max(initial=-math.inf) < low
    }
    _at_edge(axes, [curves[index][0][0] for index in sorted(below)], GREY)
    _told_below(axes, len(below))
    return below


def _at_edge(axes: Axes, x: ArrayLike, colour: str) -> None:
    """Marks what lies below the lower edge."""
    axes.plot(
        np.asarray(x),
        np.full(len(np.asarray(x)), 0.02),
        "v",
        color=colour,
        markersize=5,
        transform=axes.get_xaxis_transform(),
    )


def _told_below(axes: Axes, count: int) -> None:
    if count:
        axes.text(0.02, 0.06, f"▾ {count} below", transform=axes.transAxes, fontsize=8)


def _colours(count: int) -> list[str]:
    return [CYCLE[index % len(CYCLE)] for index in range(count)]


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
