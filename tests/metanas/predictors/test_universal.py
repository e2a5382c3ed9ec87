import numpy as np
import pytest

from metadata_store.records import Architecture, Task
from metanas.predictors.own_trials import OwnTrials
from metanas.predictors.residual import Hypotheses
from metanas.predictors.universal import Universal, unit_of
from metanas.spaces import NasBench201
from tests.contracts.predictor import pretended, trial
from tests.contracts.strategy import NEW, some_cells

SPACE = NasBench201()
CELLS = some_cells(60)


def _universal(*signs: float, tasks: dict[str, Task] | None = None) -> Universal:
    rows = [
        trial(f"task{place}", each, 0.5 + 0.4 * sign * (pretended(each) - 0.5))
        for place, sign in enumerate(signs)
        for each in CELLS
    ]
    return Universal(rows, tasks or {}, SPACE, members=2, steps=60, seed=0)


def _expected_trust(universal: Universal) -> float:
    shares = np.exp(universal.log_prior - universal.log_prior.max())
    return float((shares / shares.sum() * Hypotheses.grid(1.0, transfer=True).trust).sum())


def test_sources_that_contradict_each_other_are_believed_less_beforehand() -> None:
    assert _expected_trust(_universal(1, 1, 1)) > _expected_trust(_universal(1, -1, 1, -1)) + 0.2


def test_what_all_sources_need_tells_which_cells_are_alike_even_where_they_disagree() -> None:
    def pools(cells: list[Architecture]) -> np.ndarray:
        return np.array([list(c.choices.values()).count("avg_pool_3x3") for c in cells], float)

    rows = [
        trial(name, cell, 0.5 + sign * count)
        for name, sign in (("more", 0.05), ("fewer", -0.05))
        for cell, count in zip(CELLS, pools(CELLS), strict=True)
    ]
    universal = Universal(rows, {}, SPACE, members=2, steps=150, seed=0)
    new = some_cells(60, 3)
    described = SPACE.describe_all(new).astype(np.float64)
    as_described = np.linalg.norm(described[:, None] - described, axis=2)
    placed = universal.place(new)
    learned = np.sqrt(placed.apart(placed)[1])
    pairs = np.triu_indices(len(new), 1)
    unlike = np.abs(pools(new)[:, None] - pools(new))[pairs]

    def agreement(distances: np.ndarray) -> float:
        return float(np.corrcoef(unlike, distances[pairs])[0, 1])

    assert agreement(learned) > agreement(as_described) + 0.15


def test_the_sources_say_nothing_of_kernels() -> None:
    log_prior = _universal(1, 1, -1).log_prior
    np.testing.assert_array_equal(log_prior, np.broadcast_to(log_prior[0], log_prior.shape))


def test_similar_tasks_count_more() -> None:
    def task(name: str, dcn: float) -> Task:
        return Task(name, "npz", "", 100, 10, (3, 8, 8), dcn, {})

    tasks = {"task0": task("task0", 0.1), "task1": task("task1", 0.9)}
    universal = _universal(1, -1, tasks=tasks)
    placed = universal.place(CELLS)
    near = universal.expected(placed, task("new", 0.15))[0]
    far = universal.expected(placed, task("new", 0.85))[0]
    truth = [pretended(each) for each in CELLS]
    assert np.corrcoef(near, truth)[0, 1] > 0.5 > -0.5 > np.corrcoef(far, truth)[0, 1]


def test_scores_in_another_unit_are_learned_all_the_same() -> None:
    universal = _universal(1, 1)
    own = OwnTrials.of([trial(NEW.name, each, 1e4 * pretended(each)) for each in CELLS[:30]])
    seen, new = universal.place(own.measured), universal.place(CELLS[30:])
    mean, _ = universal.posterior(seen, own, NEW).predict(new.heads, new.apart(seen))
    truth = [1e4 * pretended(each) for each in CELLS[30:]]
    assert np.abs(mean - truth).mean() < 0.5 * np.std(truth)


def test_a_unit_ignores_failures_far_below() -> None:
    scores = np.random.default_rng(0).normal(0.0, 2.0, 4000)
    assert unit_of(scores) == pytest.approx(2.0, rel=0.1)
    scores[:400] = -1e6
    assert unit_of(scores) == pytest.approx(2.0, rel=0.25)
    assert unit_of(scores[:1]) == 0.0
