from pathlib import Path

import pytest

from metadata_store.table import write_table
from metanas.settings import (
    SOURCE_BYTES,
    DemoSettings,
    ExperienceSettings,
    FewShotSettings,
    MetaTrainSettings,
    Named,
    SearchSettings,
    SettingsError,
    TaskSettings,
    TrainSettings,
    ZeroShotSettings,
    check_source,
    read_settings,
)

CONFIGS = Path(__file__).parents[2] / "configs"
KINDS = {
    "reference": ExperienceSettings,
    "reference_darts": ExperienceSettings,
    "smoke": DemoSettings,
    "meta_omniglot": MetaTrainSettings,
    "search": SearchSettings,
    "train": TrainSettings,
    "zero_shot": ZeroShotSettings,
}


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_in_configs_can_be_read(file: Path) -> None:
    assert isinstance(read_settings(file, KINDS[file.stem]), KINDS[file.stem])


def test_a_name_alone_is_an_object_without_options(tmp_path: Path) -> None:
    read = read_settings(written(tmp_path, "predictor: ridge"), ZeroShotSettings)
    assert read.predictor == Named("ridge")


def test_lists_become_tuples_and_nested_mappings_dataclasses(tmp_path: Path) -> None:
    text = "{source: s, architectures: 3, seeds: [1, 2], tasks: [{name: a, data: b}]}"
    read = read_settings(written(tmp_path, text), ExperienceSettings)
    assert read.seeds == (1, 2)
    for number, wanted in (("3", 3), ("[3]", (3,))):
        each = text.replace("tasks", f"repeated: {number}, tasks")
        assert read_settings(written(tmp_path, each), ExperienceSettings).repeated == wanted
    assert read.tasks[0].kind is None


@pytest.mark.parametrize("source", ["", "a/b", "a\0", ".", "..", "a/"])
def test_a_source_whose_trials_no_file_could_hold_is_refused_at_once(source: str) -> None:
    with pytest.raises(ValueError, match=r"^need a source that can name a file, got '[^\n]*'$"):
        ExperienceSettings((TaskSettings("a", "b"),), source, 1)


@pytest.mark.parametrize("letter", ["a", "ö"])
def test_the_longest_source_names_a_file_that_can_be_written(tmp_path: Path, letter: str) -> None:
    longest = letter * (SOURCE_BYTES // len(letter.encode()))
    check_source(longest)
    assert write_table(tmp_path / f"{longest}.parquet", []) == 0
    with pytest.raises(ValueError, match=r"^need a source of at most 209 bytes [^\n]+, got 210: "):
        check_source(longest + letter)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("predicter: tapas", ZeroShotSettings, "did you mean 'predictor'?"),
        ("zzz: 1", TrainSettings, "known are evaluator, seed, space"),
        ("top: many", ZeroShotSettings, "top: wanted int, got 'many'"),
        ("top: true", ZeroShotSettings, "top: wanted int, got True"),
        ("max_params: 1.5", ZeroShotSettings, "max_params: wanted int, got 1.5"),
        ("exclude: a", ZeroShotSettings, "exclude: wanted a list, got 'a'"),
        ("- a", TrainSettings, "wanted a mapping, got ['a']"),
        ("{source: s, architectures: 1}", ExperienceSettings, "needs the key 'tasks'"),
        ("space: {name: a, options: [1]}", TrainSettings, "options: wanted a mapping"),
        ("a: [", TrainSettings, "is no YAML"),
        ("seed: 2001-99-99", TrainSettings, "is no YAML"),
        ("[" * 5000, TrainSettings, "is nested too deep"),
        ("{episodes: a, name: b, plan: {batch: 0}}", MetaTrainSettings, "batch must be at least 1"),
        ("{episodes: a, name: b, shots: 0}", MetaTrainSettings, "shots must be at least 1"),
        ("episodes: a", MetaTrainSettings, "needs the key 'name'"),
        ("classes: 11", FewShotSettings, "need 2 to 10 classes"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_the_file(
    tmp_path: Path, text: str, kind: type, words: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_settings(file, kind)
    message = str(caught.value)
    assert words in message
    assert str(file) in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        read_settings(tmp_path / "nowhere.yaml", TrainSettings)


def test_further_options_leave_out_those_not_given() -> None:
    assert Named("a", {"x": 1}).but(y=2, z=None) == Named("a", {"x": 1, "y": 2})


def test_a_training_is_searched_by_what_it_tells_and_a_table_by_anything() -> None:
    with pytest.raises(ValueError, match="a training has no 'parms' to search by; it has score, p"):
        SearchSettings(3, objective=("score", "-parms"))
    told = SearchSettings(3, objective=("score", "-parms"), oracle=("table.parquet",))
    assert told.objective == ("score", "-parms")


def test_several_objectives_have_a_default_sampler_that_knows_them() -> None:
    assert SearchSettings(3).chosen_sampler.name == "xfernas"
    assert SearchSettings(3, objective=("score", "-params")).chosen_sampler.name == "tpe"
