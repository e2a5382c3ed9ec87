import json
from pathlib import Path

import pytest
import yaml

from metadata_store.store import open_store
from metanas.cli import main
from metanas.demo import write_digits
from metanas.evaluators import recipe

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METANAS_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_all_journeys_run_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    arguments = ["demo", "--config", str(CONFIGS / "smoke.yaml"), "--out", str(folder), "--json"]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["task"]["name"] == "smoke"
    assert {each["task"] for each in shown["zero_shot"]["neighbours"]} == {
        "smoke-gratings",
        "smoke-blobs",
    }
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        trials = list(store.trials(task="smoke"))
        scores = sorted(each.score or 0 for each in trials if each.source != "search:demo")
        assert sorted([shown["picked"], shown["random"]]) == pytest.approx(scores)
        assert len(trials) == len(scores) + len(shown["search"]["trials"]) == 5
        assert len(list(store.trials(task="smoke-blobs"))) == 6
        adapted = list(store.trials(task="few-digits"))
        assert [each.score for each in adapted] == [shown["few_shot"]["accuracy"]]
    assert shown["few_shot"]["classes"] == ["7", "8", "9"]
    assert (shown["few_shot"]["shots"], shown["few_shot"]["judged"]) == (2, 15)
    assert shown["few_shot"]["accuracy"] > 1 / 3
    assert len(list((folder / "few-digits").rglob("*.png"))) == 21
    report = (folder / "report.html").read_text("utf-8")
    assert "Recommended" in report
    assert "Progress" in (folder / "search.html").read_text("utf-8")
    # Once more: what a demo wrote, a demo may replace, and it trains anew.
    (folder / "checkpoints").rename(tmp_path / "earlier")
    assert main(arguments) == 0
    assert len(list((folder / "checkpoints").iterdir())) == len(
        list((tmp_path / "earlier").iterdir())
    )


def test_a_demo_trains_as_long_as_train_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = yaml.safe_load((CONFIGS / "smoke.yaml").read_text("utf-8"))
    del told["search"], told["few_shot"], told["train"]["evaluator"]["options"]["epochs"]
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(told), "utf-8")
    monkeypatch.setattr(recipe, "ENOUGH_STEPS", 112)
    folder = tmp_path / "out"
    assert main(["demo", "--config", str(tmp_path / "short.yaml"), "--out", str(folder)]) == 0
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        trials = list(store.trials(task="smoke"))
    # Of 64 images, an epoch has eight steps.
    assert [len(each.curve) for each in trials] == [14, 14]
    assert {each.source for each in trials} == {"train:cells=1,epochs=14,width=4"}


def test_a_demo_deletes_nothing_it_did_not_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "need an empty folder" in capsys.readouterr().err
    assert (tmp_path / "precious.txt").read_text() == "keep"


def test_a_store_that_cannot_be_opened_costs_no_earlier_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".metanas-demo").touch()
    (tmp_path / "report.html").write_text("keep")
    assert main(["--store", "nonsense", "demo", "--out", str(tmp_path)]) == 2
    assert (tmp_path / "report.html").read_text() == "keep"


@pytest.mark.parametrize("made", [False, True])
def test_a_demo_may_have_its_store_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    folder = tmp_path / "out"
    if made:
        folder.mkdir()
    reached: list[bool] = []

    def begun(*given: object, **more: object) -> None:
        reached.append((folder / "own.db").exists())
        raise ValueError("enough")

    monkeypatch.setattr("metanas.demo.demo", begun)
    assert main(["--store", f"sqlite:///{folder / 'own.db'}", "demo", "--out", str(folder)]) == 2
    assert reached == [True]


def test_a_few_digits_become_a_small_folder(tmp_path: Path) -> None:
    write_digits(tmp_path, only=(3, 8), each=4)
    assert sorted(each.parent.name for each in tmp_path.rglob("*.png")) == ["3"] * 4 + ["8"] * 4


def test_the_digits_become_a_folder_of_images(tmp_path: Path) -> None:
    write_digits(tmp_path)
    assert len(list(tmp_path.rglob("*.png"))) == 1797
    assert sorted(each.name for each in tmp_path.iterdir()) == [str(digit) for digit in range(10)]
