from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from metadata_store.store import open_store
from metanas import meta_shelf, meta_training
from tests.contracts.command_line import CommandLine, command_line
from tests.contracts.drawings import drawn_classes

SMALL = ("--size", "12", "--option", "width=4", "--option", "stem=4", "--option",
    "operations=none,skip_connect,sep_conv_3x3")  # fmt: skip
SHORT = ("--iterations", "4", "--every", "2", "--train-ways", "4", "--ways", "3")


@pytest.fixture
def metanas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    return command_line(url, capsys)


def folder(path: Path, n: int, images: int, seed: int = 0) -> str:
    drawings = drawn_classes(n, images, seed=seed)
    pairs = zip(drawings.images.numpy(), drawings.labels.tolist(), strict=True)
    for index, (image, label) in enumerate(pairs):
        file = path / f"class {seed} {label}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(file)
    return str(path)


def test_the_journey_from_many_classes_to_a_network_of_five(
    metanas: CommandLine, tmp_path: Path
) -> None:
    many = folder(tmp_path / "many", 12, 6)
    trained = metanas.ok("meta-train", "--episodes", many, "--name", "mine", *SMALL, *SHORT)
    assert {"accuracy", "ci95", "architecture", "seconds", "params"} <= trained.keys()
    assert [point["iteration"] for point in trained["curve"]] == [2, 4]
    assert meta_shelf.fetch("mine").method == "tnas"
    assert trained["mlflow_run"]
    again = metanas.ok("meta-train", "--episodes", many, "--name", "mine", *SMALL, *SHORT)
    assert again["curve"] == trained["curve"]

    few = folder(tmp_path / "few", 5, 5, seed=1)
    out = tmp_path / "few.pt2"
    made = metanas.ok("adapt", few, "--meta", "mine", "--export", str(out))
    assert {"accuracy", "ci95", "architecture", "seconds"} <= made.keys()
    assert made["task"].startswith("few-")
    assert (made["shots"], made["learned"], made["judged"]) == (4, 20, 5)
    network = torch.export.load(out).module()
    assert network(torch.rand(2, 1, 12, 12)).shape == (2, 5)
    info = metanas.ok("store", "info")
    assert (info["tasks"], info["trials"]) == (1, 1)
    stored = metanas.ok("store", "export", str(tmp_path / "trials.parquet"))
    assert stored["written"] == 1
    assert made["mlflow_run"]


def test_a_settings_file_says_it_all_and_options_overrule_it(
    metanas: CommandLine, tmp_path: Path
) -> None:
    many = folder(tmp_path / "many", 12, 6)
    file = tmp_path / "meta.yaml"
    file.write_text(
        f"episodes: {many}\nname: mine\nways: 3\nsize: 12\n"
        "method: {name: tnas, options: {width: 4, stem: 4, operations: 'none,sep_conv_3x3'}}\n"
        "plan: {iterations: 4, every: 2, train_ways: 4, validation_episodes: 5}\n"
    )
    train = ("meta-train", "--config", str(file), "--no-mlflow")
    trained = metanas.ok(*train)
    assert (trained["name"], trained["method"]) == ("mine", "tnas")
    assert [point["iteration"] for point in trained["curve"]] == [2, 4]
    assert meta_shelf.fetch("mine").input_shape == (1, 12, 12)
    other = metanas.ok(
        *train, "--name", "other", "--iterations", "2", "--option", "width=5", "--seed", "3"
    )
    assert [point["iteration"] for point in other["curve"]] == [2]
    assert meta_shelf.fetch("other").options["width"] == 5
    # Another method has other options: those of the file are not its.
    told = metanas.wrong(*train, "--name", "third", "--method", "maml")
    assert "need a method with an architecture" in told


def test_the_command_that_ships_needs_nothing_but_its_data(
    metanas: CommandLine, tmp_path: Path
) -> None:
    config = Path(__file__).parents[3] / "configs" / "meta_omniglot.yaml"
    many = folder(tmp_path / "many", 12, 6)
    trained = metanas.ok(
        "meta-train", "--config", str(config), "--episodes", many, "--iterations", "1",
        "--train-ways", "3", "--no-mlflow",
    )  # fmt: skip
    assert trained["name"] == "alphabets"
    assert meta_shelf.fetch("alphabets").input_shape == (1, 28, 28)


def test_a_registered_task_is_adapted_to_as_well(metanas: CommandLine, tmp_path: Path) -> None:
    few = folder(tmp_path / "few", 3, 6, seed=1)
    metanas.ok("task", "add", "mine", few)
    made = metanas.ok("adapt", "mine", "--shots", "2", "--no-mlflow")
    assert (made["task"], made["meta"], made["shots"]) == ("mine", "omniglot", 2)
    assert made["input_shape"] == [1, 28, 28]
    assert made["mlflow_run"] is None


def test_a_logged_meta_training_is_no_trial_to_import(metanas: CommandLine, tmp_path: Path) -> None:
    many, few = folder(tmp_path / "many", 12, 6), folder(tmp_path / "few", 3, 6, seed=1)
    runs = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert metanas.ok("meta-train", "--episodes", many, "--name", "mine", *SMALL, *SHORT)[
        "mlflow_run"
    ]
    assert "want finished runs, got none" in metanas.wrong(
        "store", "import", runs, "--format", "mlflow"
    )
    assert metanas.ok("adapt", few, "--meta", "mine")["mlflow_run"]
    imported = metanas.ok("store", "import", runs, "--format", "mlflow")
    assert (imported["added"], imported["known"]) == (0, 1)
    assert metanas.ok("store", "info")["trials"] == 1


def test_the_interval_that_is_told_holds_the_accuracy(metanas: CommandLine, tmp_path: Path) -> None:
    few = folder(tmp_path / "few", 2, 2)  # two images held out
    adapt = ("adapt", few, "--no-mlflow")
    made = metanas.ok(*adapt)
    assert made["judged"] == 2
    assert 0.0 <= made["low"] <= made["accuracy"] <= made["high"] <= 1.0
    assert made["ci95"] == max(made["accuracy"] - made["low"], made["high"] - made["accuracy"])
    _, out, _ = metanas.run(*adapt)
    interval = f"(95 %: {made['low']:.4f} to {made['high']:.4f})"
    assert f"accuracy {made['accuracy']:.4f} {interval} on 2 images held out" in out


def test_images_that_were_meta_trained_on_are_not_passed_off_as_held_out(
    metanas: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many, few = folder(tmp_path / "many", 12, 6), folder(tmp_path / "few", 3, 6, seed=1)
    metanas.ok("meta-train", "--episodes", many, "--name", "mine", *SMALL, *SHORT, "--no-mlflow")
    adapt = ("adapt", "--meta", "mine", "--shots", "1", "--no-mlflow")
    assert metanas.ok(*adapt, many)["seen"] == 60
    assert "60 of 60 images held out were seen in meta-training" in caplog.text
    limited = metanas.ok(*adapt, f"{many}#limit=36&size=20")
    assert limited["seen"] == limited["judged"] == 24
    assert metanas.ok(*adapt, few)["seen"] == 0


def test_a_class_that_limits_the_shots_is_named(metanas: CommandLine, tmp_path: Path) -> None:
    few = folder(tmp_path / "few", 3, 6)
    for _ in range(2):
        next((tmp_path / "few" / "class 0 1").glob("*.png")).unlink()
    made = metanas.ok("adapt", few, "--no-mlflow")
    assert (made["shots"], made["smallest_class"]) == (3, "class 0 1")
    _, out, _ = metanas.run("adapt", few, "--no-mlflow")
    assert "3 of each of 3 classes learned from, as many as 'class 0 1' has" in out


def test_a_folder_is_no_task_that_only_shares_its_name(
    metanas: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, other = folder(tmp_path / "few", 3, 6), folder(tmp_path / "x" / "few", 3, 6, seed=1)
    monkeypatch.chdir(tmp_path)
    adapted = [
        metanas.ok("adapt", data, "--shots", "2", "--no-mlflow")["task"]
        for data in ("few", "few", other)  # the second time the store knows it by its trial
    ]
    assert adapted[0] == adapted[1] != adapted[2]
    assert all(name.startswith("few-") for name in adapted)
    metanas.ok("task", "add", "few", few)
    assert metanas.ok("adapt", "few", "--shots", "2", "--no-mlflow")["task"] == "few"


def test_a_folder_named_with_its_kind_is_where_it_lies(
    metanas: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, seed in (("here", 0), ("there", 1)):
        folder(tmp_path / place / "few", 3, 6, seed=seed)
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    names = []
    for place, data in (
        ("here", "few"),
        ("here", "image_folder:few"),
        ("there", "image_folder:~/few"),
        ("there", "image_folder:few"),
    ):
        monkeypatch.chdir(tmp_path / place)
        names.append(metanas.ok("adapt", data, "--shots", "2", "--no-mlflow")["task"])
    assert names[0] == names[1] == names[2] != names[3]
    assert all(name.startswith("few-") for name in names)
    assert "no task, file or folder" in metanas.wrong("adapt", "image_folder:nothing")


def test_what_replaced_a_meta_architecture_adapts_anew(
    metanas: CommandLine, tmp_path: Path
) -> None:
    many, few = folder(tmp_path / "many", 12, 6), folder(tmp_path / "few", 3, 6, seed=1)
    for seed in ("0", "1"):
        metanas.ok(
            "meta-train", "--episodes", many, "--name", "mine", *SMALL, *SHORT, "--no-mlflow",
            "--seed", seed, "--replace",
        )  # fmt: skip
        metanas.ok("adapt", few, "--meta", "mine", "--no-mlflow")
    metanas.ok("adapt", few, "--no-mlflow")
    out = tmp_path / "trials.parquet"
    metanas.ok("store", "export", str(out))
    sources = set(pq.read_table(out)["source"].to_pylist())
    assert len(sources) == 3
    assert "few-shot:omniglot" in sources


def test_results_of_other_shots_are_trials_of_their_own(
    metanas: CommandLine, tmp_path: Path
) -> None:
    few = folder(tmp_path / "few", 3, 6)
    for shots in ("1", "2"):
        metanas.ok("adapt", few, "--shots", shots, "--no-mlflow")
    assert metanas.ok("store", "info")["trials"] == 2


def test_methods_are_compared_on_the_same_episodes(metanas: CommandLine, tmp_path: Path) -> None:
    train, test = folder(tmp_path / "a", 8, 5), folder(tmp_path / "b", 4, 5, seed=1)
    document = metanas.ok(
        "bench", "few-shot", "--train", train, "--test", test, "--ways", "3", "--episodes", "4",
        "--size", "12", "--iterations", "2", "--every", "2", "--methods", "protonet,fine_tuning",
    )  # fmt: skip
    assert set(document["methods"]) == {"protonet", "fine_tuning"}
    assert set(document["paired"]) == {"protonet - fine_tuning"}
    row = document["methods"]["protonet"]
    assert "per_seed" not in document
    assert {"accuracy", "ci95", "adapt_seconds", "params"} <= row.keys()


def test_a_table_tells_of_each_seed_and_of_all(metanas: CommandLine, tmp_path: Path) -> None:
    train, test = folder(tmp_path / "a", 8, 5), folder(tmp_path / "b", 4, 5, seed=1)
    status, out, err = metanas.run(
        "bench", "few-shot", "--train", train, "--test", test, "--ways", "3", "--episodes", "4",
        "--size", "12", "--iterations", "2", "--every", "2", "--methods", "protonet,fine_tuning",
        "--seeds", "2", "--seed", "3",
    )  # fmt: skip
    assert status == 0, err
    told = [line.strip() for line in out.splitlines()]
    for name in ("protonet", "fine_tuning", "protonet - fine_tuning"):
        for which in (" (seed 3) ", " (seed 4) ", "   "):
            assert any(line.startswith(f"{name}{which}") for line in told), (name, which, out)


def test_wrong_input_is_one_line(metanas: CommandLine, tmp_path: Path) -> None:
    many, few = folder(tmp_path / "many", 12, 6), folder(tmp_path / "few", 3, 5, seed=1)
    train = ("meta-train", "--name", "x", *SMALL)
    bench = ("bench", "few-shot", "--methods", "protonet", "--size", "12", "--iterations", "1")
    told = {
        (*train, "--episodes", few): "at least 10 classes",
        train: "need --episodes DATA",
        (*train, "--config", str(tmp_path / "no.yaml")): "cannot be read",
        (*train, "--episodes", many, "--seconds", "0"): "seconds must be above 0",
        (*train, "--episodes", many, "--shots", "9", "--ways", "3"): "images of each class",
        (*train, "--episodes", str(tmp_path / "nothing")): "no task, file or folder",
        (*train, "--episodes", many, "--ways", "3", "--validation", many): "12 in both",
        (*train, "--episodes", many, "--ways", "3", "--method", "maml"): "got 'maml'",
        (*train, "--episodes", many, "--ways", "3", "--option", "depth=2"): "no option 'depth'",
        (*train, "--episodes", many, "--option", "depth"): "NAME=VALUE",
        ("meta-train", "--episodes", many, "--name", "a/b"): "meta-architecture's name",
        (*train, "--episodes", f"{many}#noise=0.3", "--ways", "3"): "need noise=0, got 0.3",
        ("adapt", few, "--meta", "nobody"): "known are omniglot",
        ("adapt", few, "--shots", "5"): "1 to 4 shots",
        ("adapt", str(tmp_path / "nothing")): "no task, file or folder",
        ("adapt", few, "--export", "network.txt"): ".pt2",
        ("adapt", few, "--export", f"{'a' * 250}.onnx"): "bytes at most, got 255",
        (*bench, "--train", many, "--test", few, "--meta", "omniglot"): "got --size 12",
        (
            *bench[:2],
            "--methods",
            "protonet",
            "--train",
            many,
            "--test",
            few,
            "--ways",
            "3",
            "--meta",
            "omniglot",
        ): "judged as tnas or tnas_unadapted, got protonet",
        (
            *bench[:2],
            *("--methods", "tnas,tnas_unadapted", "--train", many, "--test", few, "--ways", "3"),
            *("--meta", "omniglot", "--seeds", "2", "--seconds", "9", "--no-rotations"),
        ): "nothing is trained, so --seeds, --no-rotations, --seconds would play no part",
        (*bench, "--methods", ",", "--train", many, "--test", few): "need a method",
        (*bench, "--train", many, "--test", many, "--ways", "3"): "12 in both",
        (*bench, "--train", many, "--test", few, "--ways", "4"): "at least 4 classes",
        (*bench, "--train", many, "--test", few, "--ways", "3", "--shots", "5"): "images of each",
        (*bench, "--train", many, "--test", few, "--methods", "x", "--ways", "3"): "method",
    }
    for arguments, text in told.items():
        assert text in metanas.wrong(*arguments), arguments
    assert metanas.ok("store", "info")["trials"] == 0


def test_another_of_that_name_is_not_overwritten_unasked(
    metanas: CommandLine, tmp_path: Path
) -> None:
    many = folder(tmp_path / "many", 12, 6)
    train = ("meta-train", "--episodes", many, "--name", "mine", *SMALL, *SHORT, "--no-mlflow")
    metanas.ok(*train)
    assert "give --replace" in metanas.wrong(*train, "--seed", "1")
    metanas.ok(*train, "--seed", "1", "--replace")


def test_a_name_taken_while_it_trained_is_left_and_the_training_is_not_lost(
    metanas: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = folder(tmp_path / "many", 12, 6)
    train = ("meta-train", "--episodes", many, *SMALL, *SHORT, "--no-mlflow")
    other = meta_shelf.fetch("omniglot")
    trained = meta_training.meta_train
    spent: list[float] = []

    def raced(*given: Any, **more: Any) -> meta_training.MetaTrained:
        made = trained(*given, **more)
        spent.append(made.seconds)
        meta_shelf.keep(other, "mine")
        return made

    with monkeypatch.context() as patch:
        patch.setattr(meta_training, "meta_train", raced)
        status, out, err = metanas.run(*train, "--name", "mine")
    assert (status, out) == (2, "")
    told = err.splitlines()[-1]
    assert "'mine' exists; give --replace or another name" in told
    assert str(next((tmp_path / "cache").rglob("meta-*.pt"))) in told
    assert meta_shelf.fetch("mine").digest == other.digest
    # Either goes on from what is kept: no second is spent again.
    for given in (("--name", "second"), ("--name", "mine", "--replace")):
        assert metanas.ok(*train, *given)["seconds"] == spent[0]
    assert meta_shelf.fetch("mine").digest == meta_shelf.fetch("second").digest != other.digest


def test_other_images_and_turns_are_another_training(
    metanas: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, seed in (("here", 1), ("there", 2)):
        folder(tmp_path / place / "others", 4, 6, seed=seed)
    many = folder(tmp_path / "many", 12, 6)
    train = (
        "meta-train", "--episodes", many, "--name", "mine", "--validation", "others", *SMALL,
        *SHORT, "--no-mlflow",
    )  # fmt: skip
    monkeypatch.chdir(tmp_path / "here")
    metanas.ok(*train)
    assert metanas.ok(*train, "--option", "steps=1")["name"] == "mine"
    exists = "give --replace"
    assert exists in metanas.wrong(*train, "--no-rotations")
    monkeypatch.chdir(tmp_path / "there")
    assert exists in metanas.wrong(*train)
    monkeypatch.chdir(tmp_path / "here")
    Image.new("L", (12, 12), 7).save(tmp_path / "many" / "class 0 3" / "9.png")
    assert exists in metanas.wrong(*train)


def test_a_task_whose_images_are_elsewhere_is_named(metanas: CommandLine, tmp_path: Path) -> None:
    few = folder(tmp_path / "few", 3, 6)
    metanas.ok("task", "add", "mine", few)
    (tmp_path / "few").rename(tmp_path / "moved")
    assert "the images of task 'mine' are not on this machine" in metanas.wrong("adapt", "mine")
