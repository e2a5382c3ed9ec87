"""The early-stopping benchmark as one HTML file: tables and the trade-off."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from metanas import plots

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:60rem;margin:2rem auto}"
    "table{border-collapse:collapse;font-size:.9rem}"
    "th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #eee}"
)


def early_stop_page(document: Mapping[str, Any]) -> str:
    """The whole file, from the document of `metanas.bench.early_stop.bench_early_stop`."""
    ranking, stopping, unit = document["ranking"], document["stopping"], document["unit"]
    lines = {
        name: [(point["epochs_share"], point["regret"]) for point in row["tradeoff"]]
        for name, row in stopping.items()
    }
    own = {name: (row["epochs_share"], row["regret"]) for name, row in stopping.items()}
    # The method's own threshold comes first: it is the one marked.
    ordered = {
        name: [own[name], *(point for point in points if point != own[name])]
        for name, points in lines.items()
        if name != "none"
    }
    lengths = list(next(iter(ranking.values()), {}))
    ranks = [(m, *(f"{row[n]['spearman']:.3f}" for n in lengths)) for m, row in ranking.items()]
    stops = [
        (m, f"{row['regret']:.4g}", _percent(row["epochs_share"], 1), _percent(row["lost"], 0))
        for m, row in stopping.items()
    ]
    plot = plots.tradeoff(ordered, unit=unit)
    targets = html.escape(", ".join(document["targets"]))
    odd = html.escape(", ".join(f"{n} of {name}" for name, n in document["left_out"].items()))
    unfit = html.escape(", ".join(document["unfit"]))
    count = document["sources"]
    sources = f"{count} architectures a source task" if count else "No other task"
    body = [
        "<h1>Early stopping</h1>",
        f"<p>Targets: {targets}. {sources}, {document['runs']} runs of a target, "
        f"{document['orders']} orders.</p>",
        f"<p>Runs left out as of another length or metric than most: {odd}.</p>" if odd else "",
        f"<p>Not compared, having nothing to learn from: {unfit}.</p>" if unfit else "",
        f"<h2>Regret against epochs used</h2>{plot}",
        "<p>A mark shows the threshold a method uses by default.</p>",
        _table(("method", f"regret, {unit}", "epochs used", "best run stopped"), stops),
        "<h2>Spearman with the outcome, by points observed</h2>",
        _table(("method", *lengths), ranks),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>metanas: early stopping</title><style>{STYLE}</style></head>\n"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{cells}</table>"
