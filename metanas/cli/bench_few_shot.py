"""``metanas bench few-shot``: methods that learn new classes from a few images."""

from __future__ import annotations

from argparse import Namespace

from metanas.cli.arguments import Commands, command, names, positive
from metanas.cli.episodes import (
    add_plan_options,
    chosen_plan,
    classes_of,
    plan_of,
    plan_options,
)
from metanas.cli.opened import opened
from metanas.cli.output import emit, progress, table
from metanas.settings import PlanSettings

SIZE = 28

COLUMNS = (
    "accuracy",
    "ci95",
    "head",
    "params",
    "meta_batches",
    "tasks_each",
    "ways",
    "train_seconds",
    "adapt_seconds",
)
"""What the table tells of each method: how good it was, and at what expense."""


def add_command(commands: Commands) -> None:
    """Adds ``bench few-shot``."""
    bench = command(
        commands, "few-shot", _bench, "learning new classes from a few images: T-NAS and others"
    )
    bench.add_argument("--train", required=True, metavar="DIR", help="classes to meta-train on")
    bench.add_argument("--test", required=True, metavar="DIR", help="other classes, to judge by")
    bench.add_argument("--ways", type=positive, default=5, metavar="N")
    bench.add_argument("--shots", type=positive, default=1, metavar="K")
    bench.add_argument("--episodes", type=positive, default=600, metavar="E")
    bench.add_argument("--methods", type=names, metavar="A,B", help="default: the main ones")
    bench.add_argument(
        "--head",
        choices=("own", "prototypes"),
        default="own",
        help="prototypes: for every method but learn2learn's that of T-NAS, its centred images, "
        "and the very same training episodes; own (default): each as published",
    )
    bench.add_argument("--meta", metavar="NAME", help="judge this one as tnas, train none")
    bench.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help=f"side of images (default {SIZE}, or that of --meta)",
    )
    bench.add_argument("--seeds", type=positive, default=1, metavar="N", help="of training")
    add_plan_options(bench)


def _bench(given: Namespace) -> None:
    from metanas.bench.few_shot import COMPARED, bench_few_shot
    from metanas.bench.few_shot_contenders import TNAS, UNADAPTED
    from metanas.evaluators import checkpoint
    from metanas.meta_shelf import fetch

    if given.meta is not None and given.size is not None:
        raise ValueError(f"images are of the size of --meta {given.meta}, got --size {given.size}")
    asked = COMPARED if given.methods is None else given.methods
    idle = [*(["--seeds"] if given.seeds > 1 else []), *plan_options(given)]
    if given.meta is not None and idle and {TNAS, UNADAPTED}.issuperset(asked):
        raise ValueError(
            f"with --meta {given.meta} and --methods {','.join(asked)} nothing is trained, so "
            f"{', '.join(idle)} would play no part"
        )
    meta = fetch(given.meta) if given.meta is not None else None
    size = given.size or (SIZE if meta is None else meta.input_shape[1])
    settings = chosen_plan(given, PlanSettings())
    turned = settings.rotations
    with opened(given) as store, progress(given) as advance:
        train = classes_of(given.train, store, size=size, turned=turned, advance=advance)
        test = classes_of(given.test, store, size=size, turned=False, advance=advance)
        plan = plan_of(settings, ways=given.ways, shots=given.shots, n_classes=len(train))
        document = bench_few_shot(
            train,
            test,
            ways=given.ways,
            shots=given.shots,
            episodes=given.episodes,
            plan=plan,
            methods=asked,
            head=given.head,
            meta=meta,
            seeds=given.seeds,
            checkpoints=checkpoint.default_folder(),
            progress=advance,
        )
    runs = {f" (seed {plan.seed + i})": run for i, run in enumerate(document.get("per_seed", []))}
    rows = [
        (f"{name}{which}", *(row[c] for c in COLUMNS))
        for which, run in {**runs, "": document}.items()
        for name, row in run["methods"].items()
    ]
    paired = [
        (f"{pair}{which}", row["difference"], row["ci95"])
        for which, run in {**runs, "": document}.items()
        for pair, row in run["paired"].items()
    ]
    text = [table("", ("method", *(name.replace("_", " ") for name in COLUMNS)), rows)]
    if paired:
        text.append(table("paired, on the same episodes", ("pair", "difference", "ci95"), paired))
    emit(given, document, text)
