"""The pictures of a report, each an SVG text.

Why SVG by matplotlib: a report is one file of some hundred kB that opens
anywhere, prints sharply and needs no script.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from metanas.protocols import Edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by people with any colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#8a8a8a",
)
CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)

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


def predicted_against_measured(
    predicted: ArrayLike, std: ArrayLike, measured: ArrayLike, *, metric: str, correlation: float
) -> str:
    """One point an architecture, with the prediction's uncertainty; shapes (n,).

    The predictor's scale is its own, so only the order of its values says something.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.errorbar(
            np.asarray(predicted),
            np.asarray(measured),
            xerr=np.asarray(std),
            fmt="o",
            color=BLUE,
            ecolor="#b8d4e8",
            markersize=5,
            elinewidth=1,
        )
        axes.set_xlabel("predicted before any training (predictor's scale)")
        axes.set_ylabel(f"measured: best {metric}")
        axes.set_title(f"rank correlation (Spearman) {correlation:.2f}", loc="left", fontsize=10)
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
        for index, (epochs, values) in enumerate(curves):
            if index not in highlighted:
                axes.plot(epochs, values, color="#c4c4c4", linewidth=0.9, zorder=1)
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
        for index, (epochs, values) in enumerate(curves):
            if not epochs:
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
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        markers = ("o", "s", "^", "D", "v", "P", "X")
        for index, (name, points) in enumerate(methods.items()):
            colour = CYCLE[index % len(CYCLE)]
            marker = markers[index // len(CYCLE) % len(markers)]
            shares = [100 * share for share, _ in sorted(points)]
            regrets = [regret for _, regret in sorted(points)]
            axes.plot(shares, regrets, color=colour, linewidth=1.4, label=name)
            own = points[0]
            axes.plot([100 * own[0]], [own[1]], marker=marker, color=colour, markersize=7)
        # Regrets span orders of magnitude, and zero is the aim.
        shown = [regret for points in methods.values() for _, regret in points if regret > 0]
        axes.set_yscale(
            "symlog", linthresh=max(min(shown, default=1.0), 1e-3 * max(shown, default=1))
        )
        axes.set_ylim(bottom=0)
        axes.set_xscale("log")
        axes.set_xlabel("share of epochs used, %")
        axes.set_ylabel(f"regret, {unit}")
        axes.legend(fontsize=8)
        return _svg(figure)


def cells(graphs: Sequence[Sequence[Edge]]) -> list[str]:
    """Cells as graphs, an operation in the same colour in all of them.

    Nodes from left to right, an arrow an operation; edges that no signal passes are left out.
    """
    operations = sorted({edge.operation for edges in graphs for edge in edges if edge.live})
    colours = dict(zip(operations, _colours(len(operations)), strict=True))
    return [_cell(edges, colours) for edges in graphs]


def _cell(edges: Sequence[Edge], colours: Mapping[str, str]) -> str:
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(4.2, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_aspect("equal")
        nodes = sorted({edge.tail for edge in edges} | {edge.head for edge in edges})
        place = dict(zip(nodes, _places(len(nodes)), strict=True))
        for edge in edges:
            if edge.live:
                _arrow(axes, place[edge.tail], place[edge.head], edge.operation, colours)
        for node in nodes:
            label = "in" if node == nodes[0] else "out" if node == nodes[-1] else str(node)
            x, y = place[node].tolist()
            axes.scatter([x], [y], s=460, color="white", edgecolor="#333333", zorder=3)
            axes.annotate(label, (x, y), ha="center", va="center", fontsize=9, zorder=4)
        if not any(edge.live for edge in edges):
            axes.set_title("no path from input to output", fontsize=9)
        axes.margins(0.16)
        return _svg(figure)


def _arrow(
    axes: Axes,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    operation: str,
    colours: Mapping[str, str],
) -> None:
    axes.annotate(
        "",
        xy=tuple(end),
        xytext=tuple(start),
        arrowprops={
            "arrowstyle": "-|>",
            "color": colours[operation],
            "linewidth": 1.8,
            "shrinkA": 12,
            "shrinkB": 12,
        },
    )
    # Nearer the start than the middle: in a complete graph the middles coincide.
    x, y = start + 0.36 * (end - start)
    axes.annotate(
        operation.replace("_", " "),
        (x, y),
        ha="center",
        va="center",
        fontsize=8,
        color=colours[operation],
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


def _colours(count: int) -> list[str]:
    return [CYCLE[index % len(CYCLE)] for index in range(count)]


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
