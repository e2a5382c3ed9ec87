"""``metanas zero-shot``: ranked architectures for a task with no trial."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metanas.cli.arguments import (
    Commands,
    add_config,
    add_network_options,
    chosen_space,
    command,
    count,
    names,
    positive,
    seed,
)
from metanas.cli.opened import opened
from metanas.cli.output import emit, table
from metanas.settings import Named, ZeroShotSettings, read_settings

if TYPE_CHECKING:
    from metanas.protocols import SearchSpace
    from metanas.zero_shot import ZeroShot


def add_commands(commands: Commands) -> None:
    """Adds the command."""
    asked = command(
        commands, "zero-shot", _zero_shot, "ranked architectures for a task, none of them trained"
    )
    asked.add_argument("task", metavar="TASK")
    add_zero_shot_options(asked)
    add_network_options(asked)
    add_config(asked, "zero_shot")


def add_zero_shot_options(parser: Any) -> None:
    """Everything but the task, the network and the settings file."""
    parser.add_argument("--top", type=positive, metavar="K", help="how many to recommend")
    parser.add_argument("--predictor", metavar="P", help="default tapas")
    parser.add_argument("--max-params", type=count, metavar="N", help="e.g. 300k")
    parser.add_argument("--max-flops", type=count, metavar="N", help="multiply-adds, e.g. 20M")
    parser.add_argument("--neighbours", type=positive, metavar="K", help="tasks to learn from")
    parser.add_argument("--candidates", type=positive, metavar="N", help="to draw, if too many")
    parser.add_argument(
        "--exclude", type=names, metavar="A,B", help="tasks not to learn from, e.g. the same data"
    )
    parser.add_argument("--seed", type=seed, metavar="N")


def settings(given: Namespace) -> ZeroShotSettings:
    """The settings file's, overridden by the options given."""
    read = read_settings(given.config, ZeroShotSettings) if given.config else ZeroShotSettings()
    options = ("top", "max_params", "max_flops", "neighbours", "candidates", "exclude", "seed")
    chosen: dict[str, Any] = {
        name: getattr(given, name) for name in options if getattr(given, name) is not None
    }
    if given.predictor is not None:
        same = given.predictor == read.predictor.name
        chosen["predictor"] = read.predictor if same else Named(given.predictor)
    return replace(read, space=chosen_space(given, read.space), **chosen)


def _zero_shot(given: Namespace) -> None:
    from metanas.assemble import make_predictor, make_space, run_zero_shot

    asked = settings(given)
    with opened(given) as store:
        space = make_space(asked.space, store)
        predictor = make_predictor(asked.predictor, space, seed=asked.seed)
        found = run_zero_shot(asked, store, store.task(given.task), space, predictor)
    emit(given, document(found), described(found, space))


def document(found: ZeroShot) -> dict[str, Any]:
    """The result as JSON."""
    return {
        "task": found.task,
        "space": found.space,
        "scored": found.scored,
        "seconds": round(found.seconds, 3),
        "neighbours": [
            {"task": each.task, "weight": round(each.weight, 6)} for each in found.neighbours
        ],
        "recommendations": [
            {
                "architecture": dict(each.architecture.choices),
                "score": each.score,
                "std": each.std,
                "params": each.params,
                "flops": each.flops,
            }
            for each in found.recommendations
        ],
    }


def described(found: ZeroShot, space: SearchSpace) -> list[Any]:
    """The result for people."""
    rows = [
        (
            rank,
            each.score,
            each.std,
            each.params if each.params is not None else "–",
            each.flops if each.flops is not None else "–",
            space.format(each.architecture),
        )
        for rank, each in enumerate(found.recommendations, start=1)
    ]
    learned = ", ".join(f"{each.task} {each.weight:.0%}" for each in found.neighbours)
    return [
        table("", ("", "score", "± std", "params", "flops", "architecture"), rows),
        f"{found.scored:,} architectures scored in {found.seconds:.1f} s; learned from {learned}",
    ]
