import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata_store.batch import NAMES, SCHEMA, Trials
from metadata_store.filters import screen, why_unusable
from metadata_store.records import Architecture, LearningCurve, Trial, TrialState
from tests.contracts.any_trial import trials
from tests.contracts.trials import a_trial

DOMAINS = {"cells": {"op": ("conv", "skip"), "number": None}, "flags": {"on": (True, 2)}}

RAW = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("task", "metric", "space", "architecture")),
        pa.field("seed", pa.int64()),
        *(pa.field(name, pa.string()) for name in ("state", "source")),
        pa.field("seconds", pa.float64()),
        pa.field("epochs", pa.list_(pa.int64())),
        pa.field("values", pa.list_(pa.float64())),
        pa.field("extras", pa.string()),
    ]
)

GOOD: dict[str, Any] = {
    "task": "flowers",
    "metric": "val_accuracy",
    "space": "cells",
    "architecture": '{"number": 1, "op": "conv"}',
    "seed": 0,
    "state": "completed",
    "source": "tests",
    "seconds": 1.5,
    "epochs": [1, 2, 3],
    "values": [0.5, 0.25, 0.75],
    "extras": '{"params": 1000}',
}


def raw(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=RAW)


def reason_of(**fields: Any) -> str | None:
    """What screening a good row with these fields says."""
    batch, rejected = screen(raw(GOOD | fields), DOMAINS)
    assert len(batch) + sum(rejected.values()) == 1
    return next(iter(rejected), None)


def test_a_good_row_becomes_its_trial():
    batch, rejected = screen(raw(GOOD), DOMAINS)
    assert list(batch) == [a_trial(1)]
    assert rejected == {}


def test_no_rows_are_no_trials():
    batch, rejected = screen(raw(), DOMAINS)
    assert (len(batch), rejected) == (0, {})
    assert batch.table.schema.names == SCHEMA.names


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        *(({name: None}, f"null in {name}") for name in GOOD if name != "seconds"),
        ({"epochs": [1, None, 3]}, "null in epochs"),
        ({"values": [0.5, None, 0.5]}, "null in values"),
        ({"task": ""}, "no task name"),
        ({"metric": ""}, "no metric name"),
        ({"space": ""}, "no space name"),
        ({"source": ""}, "no source name"),
        ({"task": "a\0b"}, "unusable task name"),
        *(({name: "ö" * 1251}, f"unusable {name} name") for name in NAMES),
        ({"architecture": ""}, "architecture is no JSON object of choices"),
        ({"architecture": "{"}, "architecture is no JSON object of choices"),
        ({"architecture": "[1]"}, "architecture is no JSON object of choices"),
        ({"architecture": '{"op": ["conv"]}'}, "architecture is no JSON object of choices"),
        ({"architecture": '{"op": null}'}, "architecture is no JSON object of choices"),
        ({"architecture": '{"number": NaN}'}, "architecture is no JSON object of choices"),
        ({"architecture": '{"number": 1e999}'}, "architecture is no JSON object of choices"),
        ({"architecture": "[" * 100_000}, "architecture is no JSON object of choices"),
        (
            {"architecture": '{"number": 1' + "0" * 400 + "}"},
            "architecture is no JSON object of choices",
        ),
        ({"architecture": '{"number": ' + "9" * 5000}, "architecture is no JSON object of choices"),
        ({"architecture": '{"number": 1, "op": "pool"}'}, "unknown choice"),
        ({"architecture": '{"number": "one", "op": "conv"}'}, "unknown choice"),
        ({"architecture": '{"number": true, "op": "conv"}'}, "unknown choice"),
        ({"architecture": '{"number": 1, "op": "conv", "width": 3}'}, "unknown choice"),
        ({"architecture": '{"op": "conv"}'}, "missing choice"),
        ({"architecture": "{}"}, "missing choice"),
        ({"space": "flags", "architecture": '{"on": 1}'}, "unknown choice"),
        ({"seed": 2**31}, "seed out of range"),
        ({"seed": -(2**31) - 1}, "seed out of range"),
        ({"state": "running"}, "unknown state"),
        ({"state": "COMPLETED"}, "unknown state"),
        ({"epochs": [1, 2]}, "epochs and values differ in length"),
        ({"values": []}, "epochs and values differ in length"),
        ({"epochs": [], "values": []}, "empty curve"),
        ({"epochs": [], "values": [], "state": "stopped"}, "empty curve"),
        ({"epochs": [0, 1, 2]}, "epochs not increasing"),
        ({"epochs": [1, 1, 2]}, "epochs not increasing"),
        ({"epochs": [1, 3, 2]}, "epochs not increasing"),
        ({"epochs": [1, 2, 2**31]}, "epoch out of range"),
        ({"values": [0.5, math.inf, 0.5]}, "infinite value"),
        ({"values": [0.5, 1e39, 0.5], "metric": "score"}, "infinite value"),
        ({"values": [0.5, 1.5, 0.5]}, "score out of range"),
        ({"values": [0.5, -0.5, 0.5]}, "score out of range"),
        ({"values": [90.0, 91.0, 92.0]}, "score out of range"),
        ({"seconds": -1.0}, "seconds out of range"),
        ({"seconds": math.inf}, "seconds out of range"),
        ({"extras": "{"}, "extras are no JSON object of numbers"),
        ({"extras": "[1]"}, "extras are no JSON object of numbers"),
        ({"extras": "[" * 100_000}, "extras are no JSON object of numbers"),
        ({"extras": '{"params": "many"}'}, "extras are no JSON object of numbers"),
        ({"extras": '{"params": true}'}, "extras are no JSON object of numbers"),
        ({"extras": '{"params": 1' + "0" * 400 + "}"}, "extras are no JSON object of numbers"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_unusable_row_is_told_why(fields: dict[str, Any], reason: str):
    assert reason_of(**fields) == reason


@pytest.mark.parametrize(
    "fields",
    [
        {"values": [math.nan, math.nan, math.nan]},
        {"values": [-4.0, 9.0, 0.0], "metric": "negative_valid_loss"},
        {"seconds": None},
        {"seconds": math.nan},
        {"epochs": [], "values": [], "state": "failed"},
        {"epochs": [200], "values": [1.0]},
        {"space": "elsewhere", "architecture": '{"anything": false}'},
        {"space": "elsewhere", "architecture": "{}"},
        {"space": "flags", "architecture": '{"on": true}'},
        {"architecture": '{"number": 0.125, "op": "skip"}'},
        {"extras": '{"flops": NaN, "params": 1e9}'},
        {"task": "Ödland 花"},
        {"seed": -(2**31)},
    ],
    ids=str,
)
def test_an_odd_but_usable_row_is_kept(fields: dict[str, Any]):
    assert reason_of(**fields) is None
    batch, _ = screen(raw(GOOD | fields), DOMAINS)
    assert why_unusable(batch[0], DOMAINS) is None


def test_a_diverged_run_is_usable_and_has_no_score():
    batch, _ = screen(raw(GOOD | {"values": [math.nan] * 3}), DOMAINS)
    assert batch[0].score is None
    assert np.isnan(batch.scores[0])


def test_rows_are_counted_by_reason_and_the_others_keep_their_order():
    rows = [
        GOOD | {"seed": 5},
        GOOD | {"task": None},
        GOOD | {"values": [2.0, 2.0, 2.0]},
        GOOD | {"seed": 3},
        GOOD | {"values": [3.0, 0.0, 0.0]},
        GOOD | {"seed": 4, "epochs": [5, 6, 70]},
    ]
    batch, rejected = screen(raw(*rows), DOMAINS)
    assert [trial.seed for trial in batch] == [5, 3, 4]
    assert batch[2].curve.epochs == (5, 6, 70)
    assert rejected == {"null in task": 1, "score out of range": 2}


def test_a_row_is_counted_once_whatever_is_wrong_with_it():
    bad = {"task": "", "seed": 2**40, "epochs": [3, 2, 1], "extras": "no"}
    _, rejected = screen(raw(GOOD | bad), DOMAINS)
    assert sum(rejected.values()) == 1


def test_spelling_does_not_make_another_architecture():
    spellings = [
        '{"number": 1, "op": "conv"}',
        '{"op":"conv","number":1}',
        '{ "op" : "\\u0063onv",\n"number" : 1 }',
    ]
    batch, _ = screen(raw(*({**GOOD, "architecture": text} for text in spellings)), DOMAINS)
    assert batch.names("architecture").count('{"number": 1, "op": "conv"}') == 1
    assert len(batch.architectures) == 1
    assert len({trial.identity for trial in batch}) == 1


def test_a_text_may_stand_for_an_architecture_in_two_spaces():
    text = '{"number": 1, "op": "conv"}'
    rows = [GOOD | {"space": space, "architecture": text} for space in ("cells", "other", "cells")]
    batch, _ = screen(raw(*rows), DOMAINS)
    assert [trial.architecture.space for trial in batch] == ["cells", "other", "cells"]


def test_a_screened_batch_passes_again_unchanged():
    batch = Trials.of([a_trial(number) for number in range(5)])
    again, rejected = screen(batch.table, DOMAINS)
    assert list(again) == list(batch)
    assert rejected == {}


def test_a_table_of_other_columns_is_a_value_error():
    with pytest.raises(ValueError, match="lacks the columns metric"):
        screen(pa.table({"task": ["a"]}), DOMAINS)


# The two doors agree

DOMAIN_CHOICES = st.fixed_dictionaries(
    {"op": st.sampled_from(["conv", "skip", "pool", True, 1])},
    optional={
        "number": st.one_of(st.booleans(), st.integers(0, 3), st.floats(0, 1), st.just("one")),
        "width": st.just(3),
    },
)


@st.composite
def near_usable(draw: st.DrawFn) -> Trial:
    """Trials on both sides of every rule that a record can break."""
    return a_trial(
        architecture=Architecture("cells", draw(DOMAIN_CHOICES)),
        curve=LearningCurve(
            draw(st.sampled_from(["accuracy", "val_accuracy", "loss", ""])),
            (1, 2),
            draw(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 1.5, -0.5, math.nan])] * 2)),
        ),
        state=draw(st.sampled_from(TrialState)),
        seconds=draw(st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf])),
    )


@settings(max_examples=150, deadline=None)
@given(found=st.lists(st.one_of(near_usable(), trials()), max_size=8))
def test_record_and_row_are_judged_alike(found: list[Trial]):
    reasons = [why_unusable(trial, DOMAINS) for trial in found]
    batch, rejected = screen(Trials.of(found).table, DOMAINS)
    assert rejected == dict(Counter(reason for reason in reasons if reason is not None))
    kept = [trial for trial, reason in zip(found, reasons, strict=True) if reason is None]
    assert list(batch) == kept


MANGLED = st.fixed_dictionaries(
    {},
    optional={
        "task": st.sampled_from(["", "a", "a\0"]),
        "metric": st.sampled_from(["", "loss", "accuracy"]),
        "architecture": st.sampled_from(["", "{}", "[]", '{"op": null}', '{"op": "skip"}']),
        "space": st.sampled_from(["", "cells", "elsewhere"]),
        "seed": st.sampled_from([-(2**31) - 1, -1, 2**31 - 1, 2**31]),
        "state": st.sampled_from(["failed", "stopped", "done"]),
        "epochs": st.lists(st.integers(-1, 4) | st.just(2**31), max_size=3),
        "values": st.lists(st.sampled_from([0.0, 2.0, math.nan, math.inf, 1e300]), max_size=3),
        "seconds": st.sampled_from([-1.0, math.nan, math.inf]),
        "extras": st.sampled_from(["", "{}", "[]", '{"a": null}', '{"a": Infinity}']),
    },
)


def as_trial(row: dict[str, Any]) -> Trial:
    extras = json.loads(row["extras"])
    if not isinstance(extras, dict):
        raise ValueError("no object")
    return Trial(
        task=row["task"],
        architecture=Architecture.from_json(row["space"], row["architecture"]),
        curve=LearningCurve(row["metric"], tuple(row["epochs"]), tuple(row["values"])),
        state=TrialState(row["state"]),
        seed=row["seed"],
        source=row["source"],
        seconds=row["seconds"],
        extras=extras,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_record_with_too_long_a_name_is_judged_as_its_row(name: str):
    long = {name: "ö" * 1251}
    reason = why_unusable(as_trial(GOOD | long), DOMAINS)
    assert reason == reason_of(**long) == f"unusable {name} name"


@settings(max_examples=200, deadline=None)
@given(mangled=MANGLED)
def test_a_row_passes_exactly_if_it_makes_a_usable_record(mangled: dict[str, Any]):
    row = GOOD | mangled
    batch, rejected = screen(raw(row), DOMAINS)
    try:
        trial = as_trial(row)
    except ValueError:
        assert len(batch) == 0
        return
    reason = why_unusable(trial, DOMAINS)
    assert rejected == ({} if reason is None else {reason: 1})
    assert list(batch) == ([trial] if reason is None else [])
