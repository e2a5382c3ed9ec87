from pathlib import Path

import pytest
import torch

from metadata_store.records import Task, TrialState
from metanas.evaluators.scratch import Scratch
from metanas.networks.counts import count
from metanas.spaces.nasbench201 import NasBench201
from metanas.train import Trained, train

SPACE = NasBench201(width=4, cells=1)
CELL = SPACE.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
)
TASK = Task("made", "synthetic", "gratings#n=60&ways=3&size=8", 60, 3, (1, 8, 8), None, {})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))


def test_a_training_becomes_a_trial_and_a_plain_module(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def once() -> Trained:
        return train(
            CELL,
            TASK,
            evaluator=Scratch(SPACE, epochs=2, device="cpu", checkpoints=tmp_path),
            seed=3,
            source="tests",
            progress=lambda done, total, what: told.append((done, total)),
        )

    trained = once()
    trial = trained.trial
    assert (trial.task, trial.architecture, trial.seed, trial.source) == ("made", CELL, 3, "tests")
    assert trial.state is TrialState.COMPLETED
    assert trial.curve.epochs == (1, 2)
    assert trial.seconds > 0
    counts = count(trained.module, TASK.input_shape)
    assert (trial.extras["params"], trial.extras["flops"]) == (counts.params, counts.flops)
    assert told == [(0, 2), (1, 2), (2, 2)]
    told.clear()
    assert once().trial == trial
    assert told == [(2, 2)]
    assert trained.module(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def test_a_training_that_diverges_is_a_failed_trial_with_the_curve_so_far() -> None:
    wild = Scratch(SPACE, epochs=3, device="cpu", lr=1e30)
    trial = train(CELL, TASK, evaluator=wild, seed=0, source="tests").trial
    assert trial.state is TrialState.FAILED
    assert trial.score is None
    assert len(trial.curve) >= 1
