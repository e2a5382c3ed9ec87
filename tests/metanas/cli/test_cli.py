import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metadata_store.batch import Trials
from metadata_store.errors import LostStore
from metadata_store.records import LearningCurve, Trial, TrialState
from metadata_store.sql import SqlStore, connect
from metadata_store.store import open_store
from metanas.evaluators import recipe
from metanas.spaces.nasbench201 import NasBench201
from metanas.spaces.random_chooser import RandomChooser
from tests.contracts.command_line import CommandLine, command_line

SPACE = NasBench201()
CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def metanas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    return command_line(url, capsys)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    trials = [
        Trial(
            task,
            SPACE.suggest(RandomChooser(rng)),
            LearningCurve("val_accuracy", (1, 2), (0.1, float(rng.uniform(0.2, 0.9)))),
            TrialState.COMPLETED,
            seed,
            "tests",
        )
        for task in ("a", "b")
        for seed in range(15)
    ]
    file = tmp_path / "trials.parquet"
    pq.write_table(Trials.of(trials).table, file)
    return file


def images(folder: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def test_importing_the_package_and_asking_for_help_load_nothing_heavy() -> None:
    code = (
        "import sys, metanas, metanas.cli; metanas.cli.parser().format_help();"
        "print([m for m in ('torch','numpy','pyarrow','sqlalchemy','sklearn','optuna','mlflow')"
        " if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_importing_twice_adds_once(metanas: CommandLine, table: Path) -> None:
    assert metanas.ok("store", "import", str(table)) == {"added": 30, "known": 0, "rejected": {}}
    assert metanas.ok("store", "import", str(table)) == {"added": 0, "known": 30, "rejected": {}}
    info = metanas.ok("store", "info")
    assert (info["tasks"], info["trials"], info["curves"]) == (2, 30, 30)
    assert info["spaces"] == {"nasbench201": 30}


def test_unusable_rows_are_counted_by_reason(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    rows = pq.read_table(table).to_pylist()
    rows[0]["architecture"] = rows[0]["architecture"].replace("op_0_1", "op_9_9")
    rows[1]["values"] = [0.1, 1.5]
    rows[2]["epochs"] = [2, 1]
    broken = tmp_path / "broken.parquet"
    pq.write_table(pq.read_table(table).from_pylist(rows), broken)
    report = metanas.ok("store", "import", str(broken))
    assert report["added"] == 27
    assert sum(report["rejected"].values()) == 3
    assert len(report["rejected"]) == 3


def test_an_exported_table_is_what_was_imported(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    metanas.ok("store", "import", str(table))
    out = tmp_path / "out.parquet"
    assert metanas.ok("store", "export", str(out)) == {"written": 30}
    assert list(Trials(pq.read_table(out))) == list(Trials(pq.read_table(table)))
    assert metanas.ok("store", "export", str(out), "--task", "a") == {"written": 15}


def test_a_registered_folder_is_listed_with_its_dcn(metanas: CommandLine, tmp_path: Path) -> None:
    folder = images(tmp_path / "flowers", {"rose": 12, "tulip": 8})
    added = metanas.ok("task", "add", "flowers", str(folder))
    assert 0 <= added["dcn"] <= 1
    assert added["n_classes"] == 2
    assert added["features"]["imbalance_entropy"] < 1
    assert metanas.ok("task", "list") == [added]
    assert metanas.ok("task", "show", "flowers") == added
    assert "already exists" in metanas.wrong("task", "add", "flowers", str(folder))


def test_what_cannot_be_registered_is_told_in_one_line(
    metanas: CommandLine, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    one = images(tmp_path / "one", {"only": 5})
    alone = images(tmp_path / "alone", {"many": 5, "single": 1})
    unreadable = images(tmp_path / "unreadable", {"a": 4, "b": 4})
    for file in unreadable.rglob("*.png"):
        file.write_bytes(file.read_bytes()[:20])
    for folder, words in (
        (tmp_path / "missing", "missing"),
        (empty, "found no image"),
        (one, "at least two classes"),
        (alone, "'single' needs at least 2 images"),
        (unreadable, "can be read"),
    ):
        assert words in metanas.wrong("task", "add", "t", str(folder))
    assert metanas.ok("task", "list") == []


def test_bad_files_leave_the_store_as_it_was(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing.parquet"
    nothing.write_bytes(b"")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(table.read_bytes()[:-100])
    strange = tmp_path / "strange.parquet"
    pq.write_table(pq.read_table(table).select(["task", "seed"]), strange)
    for file in (nothing, cut, strange, tmp_path / "missing.parquet"):
        assert file.name in metanas.wrong("store", "import", str(file))
        # A good file before a bad one is not imported either.
        metanas.wrong("store", "import", str(table), str(file))
    assert metanas.ok("store", "info")["trials"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("task", "show", "flower"), "flower"),
        (("task", "add", "two\nlines", "sklearn:digits"), "must be printable"),
        (("zero-shot", "nowhere"), "nowhere"),
        (("zero-shot", "nowhere", "--space", "nasbench202"), "did you mean 'nasbench201'?"),
        (("zero-shot", "nowhere", "--top", "0"), "at least 1"),
        (("zero-shot", "nowhere", "--max-params", "few"), "250k"),
        (("zero-shot", "nowhere", "--config", "no.yaml"), "no.yaml"),
        (("zero-shot", "nowhere", "--seed", "-1"), "from 0 to 2147483647"),
        (("train", "nowhere", CELL, "--seed", "99999999999"), "from 0 to 2147483647"),
        (("train", "nowhere", CELL), "nowhere"),
        (("train", "nowhere", CELL, "--export", "net.txt"), ".onnx"),
        (("report", "nowhere", "--out", "r.html"), "nowhere"),
        (("bench", "zero-shot"), "need trials of one space"),
        (("frobnicate",), "invalid choice"),
        (("store",), "COMMAND"),
        (("store", "export", "/no/such/folder/x.parquet"), "/no/such/folder"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_wrong_input_gets_one_line_and_exit_2(
    metanas: CommandLine, arguments: tuple[str, ...], words: str
) -> None:
    assert words in metanas.wrong(*arguments)


def test_a_folder_without_trials_or_tasks_to_bench_is_told_by_name(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    bench = "bench", "reference", "--folder"
    (tmp_path / "none").mkdir()
    said = metanas.wrong(*bench, str(tmp_path / "none"))
    assert "need a trial table" in said
    assert str(tmp_path / "none") in said
    (tmp_path / "tasks.json").write_text('[{"x": 1}]')
    assert f"{tmp_path / 'tasks.json'} holds no tasks" in metanas.wrong(*bench, str(tmp_path))


def test_a_store_that_cannot_be_opened_is_wrong_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database at all, but long enough to be looked at as one" * 20)
    before = text.read_bytes()
    for url in (f"sqlite:///{text}", f"sqlite:///{tmp_path}", "mysql://somewhere", "nonsense"):
        command_line(url, capsys).wrong("store", "info")
    assert text.read_bytes() == before


def test_a_store_lost_on_the_way_is_a_failure(
    metanas: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: SqlStore) -> None:
        raise LostStore("postgresql://host/db: terminating connection")

    monkeypatch.setattr(SqlStore, "info", lost)
    status, out, err = metanas.run("store", "info")
    assert (status, out) == (1, "")
    assert err == "metanas: failed: LostStore: postgresql://host/db: terminating connection\n"


def test_zero_shot_names_its_reasons(metanas: CommandLine, table: Path) -> None:
    metanas.ok("store", "import", str(table))
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    found = metanas.ok("zero-shot", "new", "--predictor", "ridge", "--top", "3", "--width", "4")
    assert found["scored"] == 15_625
    assert {each["task"] for each in found["neighbours"]} == {"a", "b"}
    assert len(found["recommendations"]) == 3
    assert found["recommendations"][0]["params"] > 0
    assert "unknown predictor 'rigde'; did you mean 'ridge'?" in metanas.wrong(
        "zero-shot", "new", "--predictor", "rigde"
    )


def test_training_records_logs_and_exports(metanas: CommandLine, tmp_path: Path) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    arguments = ("train", "new", CELL, "--width", "4", "--cells", "1", "--epochs", "2")
    network = tmp_path / "net.pt2"
    made = metanas.ok(*arguments, "--export", str(network))
    assert len(made["curve"]["values"]) == 2
    assert made["mlflow_run"]
    assert network.stat().st_size > 1000
    assert metanas.ok("store", "info")["trials"] == 1
    again = metanas.ok(*arguments, "--lr", "0.1")  # the default, named
    assert (again["added"], again["mlflow_run"]) == (0, None)
    assert again["curve"] == made["curve"]
    assert metanas.ok("store", "info")["trials"] == 1
    assert "op_0_1" in metanas.wrong("train", "new", '{"op": "none"}')
    assert "joined by '+'" in metanas.wrong("train", "new", "resnet")


def test_few_images_are_trained_on_for_enough_steps(
    metanas: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    monkeypatch.setattr(recipe, "ENOUGH_STEPS", 90)
    arguments = ("train", "new", CELL, "--width", "4", "--no-mlflow")
    made = metanas.ok(*arguments)
    assert made["curve"]["epochs"] == list(range(1, 16))  # of 6 steps
    # The same, said: known, and taken from its checkpoint.
    assert not metanas.ok(*arguments, "--epochs", "15")["added"]
    assert len(metanas.ok(*arguments, "--epochs", "2")["curve"]["epochs"]) == 2


def test_a_training_that_diverges_fails_is_stored_and_exports_nothing(
    metanas: CommandLine, tmp_path: Path
) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    network = tmp_path / "net.pt2"
    arguments = ("train", "new", CELL, "--width", "4", "--lr", "1e30", "--export", str(network))
    status, out, err = metanas.run(*arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "diverged in epoch 1" in err
    assert not network.exists()
    assert metanas.ok("store", "info")["trials"] == 1


def test_where_nothing_can_be_written_is_told_before_the_work(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    for file in (tmp_path / "missing" / "net.pt2", table / "net.pt2"):
        assert "need an existing folder" in metanas.wrong(
            "train", "new", CELL, "--export", str(file)
        )
    assert "got the folder" in metanas.wrong("report", "new", "--out", str(tmp_path))
    assert metanas.ok("store", "info")["trials"] == 0


@pytest.mark.parametrize(
    "command",
    [
        ("train", "new", CELL, "--width", "4", "--cells", "1", "--epochs", "1"),
        ("task", "add", "other", "synthetic:gratings#n=60&ways=3&size=8"),
        ("search", "new", "--budget", "1", "--no-mlflow"),
        ("store", "import", "trials.parquet"),
    ],
)
def test_a_store_that_cannot_be_written_to_is_told_before_the_work(
    metanas: CommandLine, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    before = sorted(tmp_path.rglob("*"))
    # As in a folder that cannot be written to; there is none for root.
    monkeypatch.setattr(connect, "_is_sealed", Path.is_file)
    assert "cannot open the store" in metanas.wrong(*command)
    assert [each["name"] for each in metanas.ok("task", "list")] == ["new"]
    assert sorted(tmp_path.rglob("*")) == before


def test_names_are_printed_as_they_are(metanas: CommandLine, table: Path, tmp_path: Path) -> None:
    rows = pq.read_table(table).to_pylist()
    for row in rows:
        row["task"] = "[red]t[/x] :smile: $\\frac$"
    odd = tmp_path / "odd.parquet"
    pq.write_table(pq.read_table(table).from_pylist(rows), odd)
    metanas.ok("store", "import", str(odd))
    status, out, err = metanas.run("task", "list")
    assert status == 0, err
    assert rows[0]["task"] in out
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    report = tmp_path / "report.html"
    metanas.ok("report", "new", "--predictor", "ridge", "--out", str(report))
    assert "[red]t[/x] :smile: $\\frac$" in report.read_text("utf-8")


def test_a_task_to_exclude_must_exist(metanas: CommandLine, table: Path) -> None:
    metanas.ok("store", "import", str(table))
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    assert "'bb'" in metanas.wrong("zero-shot", "new", "--exclude", "bb")


def test_another_name_drops_the_options_of_the_settings_file(
    metanas: CommandLine, table: Path, tmp_path: Path
) -> None:
    metanas.ok("store", "import", str(table))
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    config = tmp_path / "config.yaml"
    config.write_text("predictor: {name: tapas, options: {members: 2}}")
    metanas.ok("zero-shot", "new", "--config", str(config), "--predictor", "ridge")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("evaluator: {name: scratch, options: {epochs: many}}", "wanted int, got 'many'"),
        ("evaluator: {name: scratch, options: {lr: fast}}", "wanted a number, got 'fast'"),
        ("evaluator: recorded", "cannot be used here"),
        ("evaluator: {name: scratch, options: {epoch: 1}}", "did you mean 'epochs'?"),
    ],
)
def test_options_of_a_settings_file_are_checked(
    metanas: CommandLine, tmp_path: Path, text: str, words: str
) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert words in metanas.wrong("train", "new", CELL, "--config", str(config))


def test_numbers_that_yaml_reads_as_text_are_numbers(metanas: CommandLine, tmp_path: Path) -> None:
    metanas.ok("task", "add", "new", "synthetic:gratings#n=60&ways=3&size=8")
    config = tmp_path / "config.yaml"
    config.write_text("evaluator: {name: scratch, options: {lr: 1e-2, epochs: 1}}")
    made = metanas.ok("train", "new", CELL, "--config", str(config), "--no-mlflow")
    assert made["added"] == 1


def test_progress_and_logs_never_reach_standard_output(metanas: CommandLine, table: Path) -> None:
    status, out, _ = metanas.run("--verbose", "store", "import", str(table), "--json")
    assert status == 0
    assert json.loads(out)["added"] == 30
