import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_store.batch import SCHEMA, STATES, Trials
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from tests.contracts.any_trial import trials
from tests.contracts.trials import a_trial

FAILED = a_trial(5, curve=LearningCurve("loss", (), ()), state=TrialState.FAILED, extras={})
STOPPED = a_trial(
    1, task="trees", curve=LearningCurve("loss", (2,), (-1.5,)), state=TrialState.STOPPED, seed=7
)
DIVERGED = a_trial(2, curve=LearningCurve("loss", (1, 2), (math.nan, math.nan)), seconds=math.nan)
MIXED = [a_trial(), FAILED, STOPPED, DIVERGED, a_trial(1)]


@pytest.fixture
def batch() -> Trials:
    return Trials.of(MIXED)


class TestAsSequence:
    @settings(max_examples=50, deadline=None)
    @given(found=st.lists(trials(), max_size=5))
    def test_any_trials_are_read_back(self, found: list[Trial]) -> None:
        batch = Trials.of(found)
        assert list(batch) == found
        assert [batch[index] for index in range(len(batch))] == found

    def test_a_batch_of_a_batch_is_itself(self, batch: Trials) -> None:
        assert Trials.of(batch) is batch

    def test_it_counts_and_slices_as_a_list_does(self, batch: Trials) -> None:
        assert len(batch) == 5
        assert batch[-1] == MIXED[-1]
        assert list(batch[1:4]) == MIXED[1:4]
        assert list(batch[::-2]) == MIXED[::-2]
        assert STOPPED in batch
        for index in (5, -6):
            with pytest.raises(IndexError, match="of 5"):
                batch[index]

    def test_rows_are_taken_by_number_or_by_mask(self, batch: Trials) -> None:
        assert list(batch.take([4, 0, 0])) == [MIXED[4], MIXED[0], MIXED[0]]
        assert list(batch.take(batch.seeds == 7)) == [STOPPED]
        assert list(batch.take([])) == []

    def test_batches_are_joined_in_their_order(self, batch: Trials) -> None:
        others = Trials.of([a_trial(9, task="bushes", source="others")])
        joined = Trials.concat([others, batch, batch[2:3]])
        assert list(joined) == [*others, *MIXED, STOPPED]
        assert len(set(joined.names("task"))) == len(joined.names("task"))
        assert len(Trials.concat([])) == 0

    def test_it_survives_pickling(self, batch: Trials) -> None:
        assert list(pickle.loads(pickle.dumps(batch[1:]))) == MIXED[1:]


class TestAsColumns:
    def test_names_and_codes_are_the_strings(self, batch: Trials) -> None:
        names = np.array(batch.names("task"))
        assert names[batch.codes("task")].tolist() == [trial.task for trial in MIXED]
        assert batch.present("task") == ["flowers", "trees"]
        assert batch[2:3].present("task") == ["trees"]

    def test_where_finds_rows(self, batch: Trials) -> None:
        assert list(batch.where(task="trees")) == [STOPPED]
        assert list(batch.where(task="flowers", metric="loss")) == [FAILED, DIVERGED]
        assert list(batch.where(task="bushes")) == []
        assert batch.where(source="tests") is batch

    def test_architectures_are_distinct_and_in_order(self, batch: Trials) -> None:
        found = [batch.architectures[code] for code in batch.architecture_codes]
        assert found == [trial.architecture for trial in MIXED]
        assert len(batch.architectures) == 4

    def test_spaces_may_share_a_text(self) -> None:
        two = [a_trial(architecture=Architecture(space, {"x": 1})) for space in ("s", "t")]
        assert [arch.space for arch in Trials.of([*two, two[0]]).architectures] == ["s", "t"]

    def test_curves_are_padded_and_flat(self, batch: Trials) -> None:
        assert batch.lengths.tolist() == [3, 0, 1, 2, 3]
        assert batch.curves().shape == (5, 3)
        assert batch.curves()[2, 0] == -1.5
        assert np.isnan(batch.curves()[1]).all()
        assert batch.flat_epochs.tolist() == [1, 2, 3, 2, 1, 2, 1, 2, 3]
        assert batch.offsets.tolist() == [0, 3, 3, 4, 6, 9]

    @pytest.mark.parametrize("rows", [slice(None), slice(1, 4), slice(1, 2), slice(0, 0)])
    def test_numbers_are_those_of_the_trials(self, batch: Trials, rows: slice) -> None:
        part, trials = batch[rows], MIXED[rows]
        best = [math.nan if trial.curve.best is None else trial.curve.best for trial in trials]
        scores = [math.nan if trial.score is None else trial.score for trial in trials]
        np.testing.assert_array_equal(part.best, best)
        np.testing.assert_array_equal(part.scores, scores)
        np.testing.assert_array_equal(part.seconds, [trial.seconds for trial in trials])
        assert part.seeds.tolist() == [trial.seed for trial in trials]
        assert part.stopped.tolist() == [trial.state is TrialState.STOPPED for trial in trials]
        params = [trial.extras.get("params", math.nan) for trial in trials]
        np.testing.assert_array_equal(part.extra("params"), params)
        assert part.lengths.tolist() == [len(trial.curve) for trial in trials]
        assert part.flat_values.dtype == np.float32

    def test_an_empty_batch_has_empty_columns(self) -> None:
        empty = Trials.of([])
        assert empty.curves().shape == (0, 0)
        assert empty.scores.shape == empty.seeds.shape == empty.codes("task").shape == (0,)
        assert empty.architectures == []
        assert empty.present("space") == []

    def test_a_slice_of_a_table_is_read_from_its_own_start(self, batch: Trials) -> None:
        part = Trials(batch.table.slice(2, 2))
        assert part.offsets.tolist() == [0, 1, 3]
        assert list(part) == MIXED[2:4]


def test_the_schema_and_the_states_are_those_of_the_trial_table():
    assert SCHEMA.names[:4] == ["task", "metric", "space", "architecture"]
    assert STATES == ("completed", "stopped", "failed")
