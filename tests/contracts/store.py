"""What every store does."""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata_store.batch import Trials
from metadata_store.errors import DuplicateTask, StoreError, UnknownTask
from metadata_store.records import NAME_BYTES, Architecture, LearningCurve, Task, TrialState
from metadata_store.store import MetadataStore
from tests.contracts.any_trial import distinct, trials
from tests.contracts.trials import a_trial

FLOWERS = Task("flowers", "image_folder", "/data/flowers", 80, 4, (3, 8, 8), 0.25, {"n": 80.0})


class StoreContract(ABC):
    @pytest.fixture
    @abstractmethod
    def store(self) -> Iterator[MetadataStore]:
        """A new, empty store."""

    # Tasks

    def test_a_task_is_read_back_as_it_was_added(self, store: MetadataStore) -> None:
        odd = Task("Ödland/ß 花", "npz", "", 0, None, (), None, {"skew": math.nan, "max": math.inf})
        store.add_task(FLOWERS)
        store.add_task(odd)
        assert store.task("flowers") == FLOWERS
        assert store.task(odd.name) == odd

    def test_names_of_the_greatest_length_are_kept(self, store: MetadataStore) -> None:
        drawn = random.Random(0)  # what repeats itself would be compressed
        name, space, metric, source = (drawn.randbytes(NAME_BYTES // 2).hex() for _ in range(4))
        architecture = Architecture(space, {"op": "conv"})
        curve = LearningCurve(metric, (1,), (0.5,))
        long = a_trial(task=name, architecture=architecture, curve=curve, source=source)
        store.add_trials([long])
        assert list(store.trials()) == [long]
        assert [task.name for task in store.tasks()] == [name]

    @pytest.mark.parametrize(
        "field",
        [
            {"task": "n" * (NAME_BYTES + 1)},
            {"source": "ö" * (NAME_BYTES // 2 + 1)},
            {"architecture": Architecture("n" * (NAME_BYTES + 1), {"op": "conv"})},
            {"curve": LearningCurve("n" * (NAME_BYTES + 1), (1,), (0.5,))},
        ],
        ids=lambda field: next(iter(field)),
    )
    def test_longer_names_are_refused_and_nothing_is_added(
        self, store: MetadataStore, field: dict
    ) -> None:
        long = a_trial(1, **field)
        for add in (store.add_trials, lambda added: store.add_batches([Trials.of(added)])):
            with pytest.raises(ValueError, match=r"a name has 2,500 bytes at most, got 2,50\d: '"):
                add([a_trial(), long])
        assert store.tasks() == []
        assert store.info().trials == 0

    def test_a_task_of_a_longer_name_is_refused(self, store: MetadataStore) -> None:
        with pytest.raises(ValueError, match=r"2,500 bytes at most, got 2,501: 'n{40}'…$"):
            store.add_task(Task.table("n" * (NAME_BYTES + 1)))
        assert store.tasks() == []

    def test_tasks_are_listed_by_name(self, store: MetadataStore) -> None:
        for name in ("b", "a", "C"):
            store.add_task(Task.table(name))
        assert [task.name for task in store.tasks()] == ["C", "a", "b"]

    def test_an_unknown_task_is_answered_with_near_names(self, store: MetadataStore) -> None:
        store.add_task(FLOWERS)
        with pytest.raises(UnknownTask, match=r"no task 'flower'.*flowers"):
            store.task("flower")

    def test_an_unknown_task_of_an_empty_store_is_a_lookup_error(
        self, store: MetadataStore
    ) -> None:
        with pytest.raises(LookupError, match="no tasks"):
            store.task("flowers")

    def test_a_second_task_of_that_name_is_refused(self, store: MetadataStore) -> None:
        store.add_task(FLOWERS)
        for task in (FLOWERS, Task.table("flowers")):
            with pytest.raises(DuplicateTask, match="'flowers' of kind 'image_folder'"):
                store.add_task(task)
        assert store.tasks() == [FLOWERS]

    def test_a_second_table_of_that_name_is_refused(self, store: MetadataStore) -> None:
        store.add_task(Task.table("flowers"))
        with pytest.raises(DuplicateTask, match="of kind 'table'"):
            store.add_task(Task.table("flowers"))

    def test_data_complete_a_task_known_by_its_trials(self, store: MetadataStore) -> None:
        store.add_trials([a_trial()])
        assert store.task("flowers") == Task.table("flowers")
        store.add_task(FLOWERS)
        store.add_trials([a_trial(1)])
        assert store.task("flowers") == FLOWERS
        assert len(list(store.trials(task="flowers"))) == 2

    # Trials

    def test_trials_come_back_in_the_order_they_came(self, store: MetadataStore) -> None:
        numbers = [3, 1, 2, 9, 0]
        added = [a_trial(number) for number in numbers]
        store.add_trials(added[:2])
        store.add_trials(added[2:])
        assert list(store.trials()) == added

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(found=st.lists(trials(), max_size=4))
    def test_any_trial_is_read_back_as_it_was_added(
        self, store: MetadataStore, found: list
    ) -> None:
        # Hypothesis does not renew the store: earlier examples are in it.
        before = {trial.identity for trial in store.trials()}
        new = [trial for trial in distinct(found) if trial.identity not in before]
        assert store.add_trials(found) == len(new)
        assert list(store.trials())[len(before) :] == new
        for trial in new:
            assert trial in list(store.trials(task=trial.task, space=trial.architecture.space))

    def test_nan_is_kept(self, store: MetadataStore) -> None:
        curve = LearningCurve("loss", (1, 2, 7), (math.nan, -2.0, math.nan))
        trial = a_trial(curve=curve, seconds=math.nan, extras={"flops": math.nan})
        store.add_trials([trial])
        assert list(store.trials()) == [trial]
        assert math.isnan(next(store.trials()).seconds)

    def test_a_failed_trial_without_curve_is_kept(self, store: MetadataStore) -> None:
        failed = a_trial(curve=LearningCurve("loss", (), ()), state=TrialState.FAILED)
        store.add_trials([failed])
        assert list(store.trials()) == [failed]

    def test_a_known_trial_is_skipped_and_kept_as_it_is(self, store: MetadataStore) -> None:
        assert store.add_trials([a_trial(0), a_trial(1)]) == 2
        again = a_trial(0, curve=LearningCurve("val_accuracy", (1,), (0.1,)))
        assert store.add_trials([again, a_trial(2)]) == 1
        assert list(store.trials()) == [a_trial(0), a_trial(1), a_trial(2)]

    def test_of_two_alike_in_one_call_the_first_counts(self, store: MetadataStore) -> None:
        assert store.add_trials([a_trial(), a_trial(seconds=9.0), a_trial()]) == 1
        assert store.add_batches([Trials.of([a_trial(1)]), Trials.of([a_trial(1)])]) == 1
        assert list(store.trials()) == [a_trial(), a_trial(1)]

    @pytest.mark.parametrize(
        "field",
        [
            {"task": "trees"},
            {"seed": 1},
            {"source": "others"},
            {"architecture": Architecture("chains", {"op": "conv", "number": 0})},
        ],
        ids=lambda field: next(iter(field)),
    )
    def test_each_field_of_the_identity_tells_trials_apart(
        self, store: MetadataStore, field: dict
    ) -> None:
        assert store.add_trials([a_trial(), a_trial(**field)]) == 2

    def test_state_metric_and_extras_do_not_tell_trials_apart(self, store: MetadataStore) -> None:
        other = a_trial(
            state=TrialState.STOPPED, curve=LearningCurve("f1", (1,), (0.5,)), extras={}
        )
        assert store.add_trials([a_trial(), other]) == 1

    def test_no_trials_are_none_added(self, store: MetadataStore) -> None:
        assert store.add_trials([]) == 0
        assert store.add_batches([]) == 0
        assert store.add_batches([Trials.of([])]) == 0
        assert list(store.trials()) == []
        assert len(store.batch()) == 0

    def test_trials_are_found_by_task_and_space(self, store: MetadataStore) -> None:
        chain = Architecture("chains", {"depth": 3})
        added = [
            a_trial(),
            a_trial(task="trees"),
            a_trial(architecture=chain),
            a_trial(task="trees", architecture=chain),
        ]
        store.add_trials(added)
        assert list(store.trials(task="trees")) == [added[1], added[3]]
        assert list(store.trials(space="chains")) == added[2:]
        assert list(store.trials(task="trees", space="chains")) == [added[3]]
        assert list(store.trials(task="bushes")) == []
        assert list(store.trials(space="graphs")) == []

    def test_a_batch_holds_the_same_as_the_trials(self, store: MetadataStore) -> None:
        chain = Architecture("chains", {"depth": 3})
        failed = a_trial(5, curve=LearningCurve("loss", (), ()), state=TrialState.FAILED)
        store.add_trials([a_trial(), a_trial(task="trees"), a_trial(architecture=chain), failed])
        store.add_trials([a_trial(7, task="bushes", curve=LearningCurve("f1", (4,), (1.0,)))])
        assert list(store.batch()) == list(store.trials())
        assert list(store.batch(space="chains")) == list(store.trials(space="chains"))
        assert list(store.batch(tasks=["trees"])) == list(store.trials(task="trees"))
        two = store.batch(tasks=["bushes", "trees"], space="cells")
        assert [trial.task for trial in two] == ["trees", "bushes"]
        assert len(store.batch(tasks=[])) == 0
        assert len(store.batch(tasks=["hedges"])) == 0

    def test_a_batch_travels_between_stores_as_columns(self, store: MetadataStore) -> None:
        added = [a_trial(number, task=f"task{number % 3}") for number in range(20)]
        batch = Trials.of(added)
        assert store.add_trials(batch) == 20
        assert store.add_trials(batch.take([3, 4])) == 0
        assert store.add_batches([batch[:5], Trials.of([a_trial(99)])]) == 1
        assert list(store.batch()) == [*added, a_trial(99)]

    def test_trials_may_be_added_while_others_are_read(self, store: MetadataStore) -> None:
        store.add_trials([a_trial(number) for number in range(3)])
        for trial in store.trials():
            store.add_trials([a_trial(10, seed=trial.architecture.choices["number"])])
        assert store.info().trials == 6

    # Whole or not at all

    def test_nothing_is_added_where_the_trials_break_off(self, store: MetadataStore) -> None:
        def broken() -> Iterator:
            yield from (a_trial(number) for number in range(6_000))
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError, match="the source broke"):
            store.add_trials(broken())
        assert store.info().trials == 0
        assert store.tasks() == []
        assert store.add_trials([a_trial()]) == 1

    def test_nothing_is_added_where_the_batches_break_off(self, store: MetadataStore) -> None:
        def broken() -> Iterator[Trials]:
            yield Trials.of([a_trial(0)])
            yield Trials.of([a_trial(1)])
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError, match="the source broke"):
            store.add_batches(broken())
        assert list(store.trials()) == []
        assert store.tasks() == []

    def test_threads_share_a_store(self, store: MetadataStore) -> None:
        def add(source: str) -> None:
            for number in range(20):
                store.add_trials([a_trial(number, source=source), a_trial(number)])

        threads = [Thread(target=add, args=(f"thread{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.info().trials == 4 * 20 + 20
        assert len(store.batch()) == 100

    # Counts

    def test_info_counts(self, store: MetadataStore) -> None:
        store.add_task(FLOWERS)
        store.add_trials(
            [
                a_trial(0, task="trees"),
                a_trial(1, task="trees", curve=LearningCurve("loss", (9,), (0.5,))),
                a_trial(task="trees", architecture=Architecture("chains", {})),
            ]
        )
        info = store.info()
        assert (info.tasks, info.trials, info.curves) == (2, 3, 2)
        assert info.points == (len(a_trial().curve.epochs),) * 2  # that of one point is no curve
        assert info.spaces == {"cells": 2, "chains": 1}
        assert list(info.spaces) == ["cells", "chains"]

    def test_info_of_an_empty_store_is_zero(self, store: MetadataStore) -> None:
        info = store.info()
        assert (info.tasks, info.trials, info.curves, info.spaces) == (0, 0, 0, {})
        assert info.points == (0, 0)

    def test_info_tells_the_shortest_and_the_longest_curve(self, store: MetadataStore) -> None:
        store.add_trials([a_trial(0, architecture=Architecture("chains", {}))])
        long = tuple(range(1, 31))
        store.add_trials([a_trial(1, curve=LearningCurve("loss", long, (0.5,) * 30))])
        assert store.info().points == (len(a_trial().curve.epochs), 30)

    def test_a_store_closes_at_the_end_of_its_block(self, store: MetadataStore) -> None:
        with store as same:
            same.add_trials([a_trial()])

    def test_store_errors_are_also_the_nearest_built_in_ones(self) -> None:
        assert issubclass(UnknownTask, StoreError)
        assert issubclass(UnknownTask, LookupError)
        assert issubclass(DuplicateTask, StoreError)
        assert issubclass(DuplicateTask, ValueError)
