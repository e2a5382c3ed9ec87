import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from metanas.bench import few_shot
from metanas.bench.few_shot import COMPARED, bench_few_shot
from metanas.bench.few_shot_contenders import ALL, LEARN2LEARN, LINEAR
from metanas.meta.meta_architecture import MetaArchitecture
from metanas.meta.plan import Plan
from metanas.meta_training import meta_train
from tests.contracts.drawings import drawn_classes

TRAIN, TEST = drawn_classes(10, 6), drawn_classes(4, 6, seed=1)
PLAN = Plan(ways=8, shots=1, queries=2, batch=1, iterations=2, every=2, validation_episodes=2)
META = MetaArchitecture.fresh("tnas", {"width": 3, "stem": 3}, (1, 12, 12), seed=0)
OWN = tuple(name for name in ALL if name != LEARN2LEARN)


def run(
    methods: tuple[str, ...], plan: Plan = PLAN, path: Path | None = None, head: str = "own"
) -> dict[str, dict]:  # type: ignore[type-arg]
    return bench_few_shot(
        TRAIN,
        TEST,
        ways=3,
        shots=1,
        episodes=6,
        plan=plan,
        methods=methods,
        head=head,
        checkpoints=path,
    )


def test_every_method_and_control_is_compared(tmp_path: Path) -> None:
    found = run(OWN, path=tmp_path)
    assert set(found["methods"]) == set(OWN)
    assert set(COMPARED) <= set(OWN)
    for row in found["methods"].values():
        assert 0.0 <= row["accuracy"] <= 1.0
        assert row["ci95"] >= 0.0
        assert row["params"] > 0
        assert row["adapt_seconds"] > 0.0
    for name in OWN[1:]:
        pair = found["paired"][f"{OWN[0]} - {name}"]
        expected = found["methods"][OWN[0]]["accuracy"] - found["methods"][name]["accuracy"]
        assert pair["difference"] == pytest.approx(expected, abs=1e-6)
    again = run(("protonet", "maml"), path=tmp_path)
    for name in ("protonet", "maml"):
        assert again["methods"][name]["accuracy"] == found["methods"][name]["accuracy"]
        # What was trained is read, not trained anew.
        assert again["methods"][name]["train_seconds"] == found["methods"][name]["train_seconds"]


def test_what_was_trained_with_turned_classes_is_not_that_without(tmp_path: Path) -> None:
    plan = replace(PLAN, ways=6)
    asked = {"ways": 3, "shots": 1, "episodes": 2, "plan": plan, "methods": ("protonet",)}
    for train in (replace(TRAIN, turned=True), TRAIN, TRAIN):
        bench_few_shot(train, TEST, checkpoints=tmp_path, **asked)  # type: ignore[arg-type]
    assert len(list(tmp_path.iterdir())) == 2


def test_all_methods_meet_the_same_episodes() -> None:
    found = run(("protonet", "protonet"))
    assert list(found["methods"]) == ["protonet"]
    alone = run(("maml",))["methods"]["maml"]["accuracy"]
    assert run(("protonet", "maml"))["methods"]["maml"]["accuracy"] == alone


def test_a_learned_head_trains_with_the_ways_it_is_for_on_as_many_images() -> None:
    rows = run(("tnas", "maml"))["methods"]
    expense = {
        name: [row[key] for key in ("meta_batches", "tasks_each", "ways", "head")]
        for name, row in rows.items()
    }
    # Three images a class, seven classes left to train on: 21 images a meta-batch, or 18.
    assert expense == {"tnas": [2, 1, 7, "prototypes"], "maml": [2, 2, 3, "linear"]}


def test_with_the_same_head_all_train_on_the_very_same_episodes() -> None:
    rows = run(("tnas", *sorted(LINEAR)), head="prototypes")["methods"]
    assert {(row["meta_batches"], row["tasks_each"], row["ways"]) for row in rows.values()} == {
        (2, 1, 7)
    }
    assert {row["head"] for row in rows.values()} == {"prototypes"}


def test_time_can_be_the_budget() -> None:
    rows = run(("protonet", "maml"), replace(PLAN, iterations=10**6, seconds=0.3))["methods"]
    for row in rows.values():
        assert 0 < row["meta_batches"] < 10**6
        assert row["train_seconds"] > 0.3


def test_several_seeds_are_told_together_and_one_by_one() -> None:
    asked = partial(
        bench_few_shot, TRAIN, TEST, ways=3, shots=1, episodes=6, methods=("protonet", "maml")
    )
    both = asked(plan=PLAN, seeds=2)
    each = [asked(plan=replace(PLAN, seed=seed)) for seed in (0, 1)]
    for run, alone in zip(both["per_seed"], each, strict=True):
        assert run["paired"] == alone["paired"]
    pair = "protonet - maml"
    accuracies = [run["methods"]["maml"]["accuracy"] for run in each]
    assert accuracies[0] != accuracies[1]
    row = both["methods"]["maml"]
    assert row["accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert row["head"] == "linear"
    assert both["paired"][pair]["difference"] == pytest.approx(
        sum(run["paired"][pair]["difference"] for run in each) / 2
    )
    assert (both["ways"], both["episodes"]) == (3, 6)


def test_a_missing_library_is_told_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    told: list[str] = []
    with pytest.raises(ModuleNotFoundError, match=r"metanas\[few-shot\]"):
        bench_few_shot(
            TRAIN, TEST, ways=3, shots=1, episodes=2, plan=PLAN,
            methods=("protonet", LEARN2LEARN), progress=lambda done, total, what: told.append(what),
        )  # fmt: skip
    assert told == []


def test_the_librarys_maml_is_compared_where_it_is_installed() -> None:
    pytest.importorskip("learn2learn", reason="learn2learn comes with the extra few-shot")
    assert run((LEARN2LEARN,))["methods"][LEARN2LEARN]["params"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": ("nothing",)}, "unknown method 'nothing'"),
        ({"methods": ()}, "need a method"),
        ({"episodes": 0}, "need a method, an episode and a seed"),
        ({"seeds": 0}, "got 1, 2 and 0"),
        ({"meta": META}, "judged as tnas or tnas_unadapted, got protonet"),
        ({"ways": 6}, "at least 6 classes"),
        ({"shots": 6}, "images of each class"),
        ({"head": "round"}, "one of own, prototypes"),
    ],
)
def test_wrong_questions_are_told(options: dict[str, object], told: str) -> None:
    asked = {"ways": 3, "shots": 1, "episodes": 2, "methods": ("protonet",), **options}
    with pytest.raises(ValueError, match=told):
        bench_few_shot(TRAIN, TEST, plan=PLAN, **asked)  # type: ignore[arg-type]


def test_a_class_seen_in_training_cannot_be_tested_on() -> None:
    with pytest.raises(ValueError, match="10 in both"):
        bench_few_shot(TRAIN, TRAIN, ways=3, shots=1, episodes=2, plan=PLAN)


def test_a_meta_architecture_is_not_judged_by_what_it_has_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = drawn_classes(12, 6, seed=2).split([0.25, 0.25], seed=0)
    plan = replace(PLAN, ways=3, validation_ways=3)
    small = {"width": 3, "stem": 3, "operations": "none,skip_connect,sep_conv_3x3"}
    meta = meta_train(parts[0], parts[1], method="tnas", options=small, plan=plan).meta
    meta = MetaArchitecture.of(meta.state())
    judge = partial(
        bench_few_shot, TRAIN, ways=3, shots=1, episodes=2, plan=plan, methods=("tnas",)
    )
    for seen in parts[:2]:
        with pytest.raises(ValueError, match=r"has not seen, got \d that it has: drawing 2/"):
            judge(seen, meta=meta)
    judge(parts[2], meta=meta)
    assert not caplog.text
    judge(parts[2], meta=replace(meta, seen=frozenset()))
    assert "does not tell" in caplog.text


def test_a_given_meta_architecture_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    inner = few_shot._judged

    def counted(judge: object, name: str, **given: object) -> object:
        judged.append(name)
        return inner(judge, name, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(few_shot, "_judged", counted)
    found = bench_few_shot(
        TRAIN,
        TEST,
        ways=3,
        shots=1,
        episodes=6,
        plan=PLAN,
        methods=["tnas", "protonet"],
        meta=META,
        seeds=3,
    )
    assert sorted(judged) == ["protonet"] * 3 + ["tnas"]
    rows = [each["methods"]["tnas"] for each in found["per_seed"]]
    assert rows[0] == rows[1] == rows[2]


def test_what_is_measured_does_not_depend_on_torchs_own_seed() -> None:
    torch.manual_seed(0)
    one = run(("protonet",))
    torch.manual_seed(1)
    assert (
        run(("protonet",))["methods"]["protonet"]["accuracy"]
        == (one["methods"]["protonet"]["accuracy"])
    )
