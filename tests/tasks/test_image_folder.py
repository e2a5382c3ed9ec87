from __future__ import annotations

import errno
import logging
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.load import prepare
from tests.contracts.loader import LoaderContract

SHARED = Path(__file__).parents[3] / "shared" / "data"


def draw(path: Path, seed: int = 0, side: int = 12, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def fill(root: Path, *folders: str, n: int = 6) -> Path:
    for position, folder in enumerate(folders):
        for number in range(n):
            draw(root / folder / f"{number}.png", seed=100 * position + number)
    return root


class TestImageFolder(LoaderContract):
    @pytest.fixture
    def kind(self) -> str:
        return "image_folder"

    @pytest.fixture
    def data(self, tmp_path: Path) -> str:
        return str(fill(tmp_path / "zoo", "ant", "bee", "cow", n=20))


def test_mixed_sizes_modes_and_formats_are_read(tmp_path: Path) -> None:
    for number, (suffix, mode) in enumerate(
        [(".png", "RGBA"), (".jpg", "RGB"), (".gif", "P"), (".bmp", "L"), (".TIFF", "1")]
    ):
        for name in ("a", "b"):
            draw(tmp_path / "zoo" / name / f"{number}{suffix}", number, 10 + 7 * number, mode)
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.n_samples == 10
    assert data.shape == (3, 32, 32)
    assert data.skipped == 0


def test_every_folder_that_holds_images_is_a_class(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "Greek/alpha", "Greek/beta", "Latin/alpha")
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("Greek/alpha", "Greek/beta", "Latin/alpha")


def test_depth_one_takes_the_top_folders(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "Greek/alpha", "Greek/beta", "Latin/alpha")
    data = prepare("image_folder", f"{tmp_path / 'zoo'}#depth=1")
    assert data.classes == ("Greek", "Latin")
    assert data.n_samples == 18


def test_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "cat", "cat/small", "dog")
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("cat", "dog")
    assert data.n_samples == 18


def test_a_wrapping_folder_is_passed_through(tmp_path: Path) -> None:
    fill(tmp_path / "zoo" / "images" / "all", "cat", "dog")
    assert prepare("image_folder", str(tmp_path / "zoo")).classes == ("cat", "dog")


def test_a_folder_beside_others_without_images_is_passed_through(tmp_path: Path) -> None:
    photos = tmp_path / "all" / "zoo" / "photos"
    fill(photos, "train/a", "train/b", "test/a", "test/b")
    for empty in (photos / "licences", photos.parent / "notes" / "old"):
        empty.mkdir(parents=True)
        (empty / "readme.txt").touch()
    data = prepare("image_folder", str(tmp_path / "all"))
    assert data.classes == ("a", "b")
    assert data.test is not None
    for within in ("train", "photos/train", "zoo/photos/train"):
        chosen = prepare("image_folder", f"{tmp_path / 'all'}#within={within}")
        assert (chosen.classes, chosen.test) == (("a", "b"), None)


def test_images_beside_a_wrapped_dataset_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fill(tmp_path / "zoo", "data/train/a", "data/train/b", "data/test/a", "data/test/b")
    draw(root / "preview.png")
    draw(root / "data" / "cover.png")
    draw(root / "data" / "._cover.png")
    (root / "pages.png").mkdir()
    data = prepare("image_folder", str(root))
    assert data.classes == ("a", "b")
    assert data.test is not None
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == f"ignored 2 images outside any class folder: {root}"


def test_a_hidden_image_does_not_stop_the_way_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fill(tmp_path / "zoo", "data/train/a", "data/train/b", "data/test/a", "data/test/b")
    draw(root / "._x.png")
    assert prepare("image_folder", str(root)).classes == ("a", "b")
    assert not caplog.records


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (("docs", "data/train/a", "data/train/b", "data/test/a"), "data/test, data/train"),
        (("sample", "train/a", "train/b"), "train"),
        (("train-data/dog", "train-set/cat"), "train-data, train-set"),
    ],
)
def test_parts_taken_for_groups_of_classes_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folders: tuple[str, ...], named: str
) -> None:
    root = fill(tmp_path / "zoo", *folders)
    assert set(prepare("image_folder", str(root)).classes) == set(folders)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{named} named as parts, taken for groups of classes: ")


@pytest.mark.parametrize("packed", [False, True])
def test_a_wrapped_dataset_may_hold_stray_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, packed: bool
) -> None:
    root = fill(tmp_path / "zoo", "ds/cat", "ds/dog")
    draw(root / "ds" / "x.png")
    if packed:
        root = tmp_path / "zoo.tar"
        with tarfile.open(root, "w") as file:
            file.add(tmp_path / "zoo" / "ds", "ds")
    data = prepare("image_folder", str(root))
    assert (data.classes, data.n_samples) == (("cat", "dog"), 12)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == f"ignored 1 images outside any class folder: {root}"
    assert prepare("image_folder", f"{root}#within=ds").classes == ("cat", "dog")


def test_a_folder_below_stray_images_can_be_chosen(tmp_path: Path) -> None:
    root = fill(tmp_path / "w", "img/c0", "img/c1/a", "img/c1/b")
    draw(root / "img" / "preview.png")
    assert prepare("image_folder", str(root)).classes == ("c0", "c1/a", "c1/b")
    for within in ("c1", "img/c1"):
        assert prepare("image_folder", f"{root}#within={within}").classes == ("a", "b")


def test_a_wrapper_within_another_may_hold_stray_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fill(tmp_path / "zoo", "ds/images/cat", "ds/images/dog")
    draw(root / "x.png")
    draw(root / "ds" / "cover.png")
    assert prepare("image_folder", str(root)).classes == ("cat", "dog")
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == f"ignored 2 images outside any class folder: {root}"


def test_a_class_beside_empty_ones_wraps_no_others(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "cat", "cat/small", "cat/large")
    (tmp_path / "zoo" / "dog").mkdir()
    with pytest.raises(ValueError, match="need at least two classes, got only 'cat'"):
        prepare("image_folder", str(tmp_path / "zoo"))


def test_a_lone_class_with_one_folder_below_is_one(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "cat", "cat/small")
    with pytest.raises(ValueError, match="need at least two classes, got only 'cat'"):
        prepare("image_folder", str(tmp_path / "zoo"))


@pytest.mark.parametrize("inside", [("small", "large"), ("small", "small/old")])
def test_a_lone_class_of_many_images_keeps_those_beside_its_folders(
    tmp_path: Path, inside: tuple[str, str]
) -> None:
    fill(tmp_path / "zoo", "cat", n=1 if "small/old" in inside else 8)
    fill(tmp_path / "zoo" / "cat", *inside, n=4)
    with pytest.raises(ValueError, match="need at least two classes, got only 'cat'"):
        prepare("image_folder", str(tmp_path / "zoo"))


def test_one_folder_inside_can_be_chosen(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "Greek/alpha", "Greek/beta", "Latin/alpha", "Latin/beta")
    data = prepare("image_folder", f"{tmp_path / 'zoo'}#within=Greek")
    assert data.classes == ("alpha", "beta")
    assert data.n_samples == 12
    with pytest.raises(FileNotFoundError, match="no folder 'Geek'"):
        prepare("image_folder", f"{tmp_path / 'zoo'}#within=Geek")
    with pytest.raises(ValueError, match="within must name a folder below"):
        prepare("image_folder", f"{tmp_path / 'zoo'}#within=../zoo")


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev"])
def test_a_layout_with_validation_is_kept(tmp_path: Path, val: str) -> None:
    fill(tmp_path / "zoo" / "train", "a", "b", n=8)
    fill(tmp_path / "zoo" / val, "a", "b", n=3)
    fill(tmp_path / "zoo" / "test", "a", n=2)
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("a", "b")
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (16, 6, 2)


def test_without_validation_it_is_split_from_training_and_never_from_test(tmp_path: Path) -> None:
    fill(tmp_path / "zoo" / "Train", "a", "b", n=10)
    fill(tmp_path / "zoo" / "Test", "a", "b", n=4)
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (16, 4, 8)


@pytest.mark.parametrize(
    ("train", "test"), [("a/deep", "a"), ("a", "a/deep")], ids=["deep training", "deep test"]
)
def test_a_class_is_the_same_folder_in_every_part(tmp_path: Path, train: str, test: str) -> None:
    fill(tmp_path / "zoo" / "train", train, "b", n=8)
    fill(tmp_path / "zoo" / "test", test, "b", n=3)
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("a", "b")
    assert data.test is not None
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("train", "test"),
    [("training_set", "test_set"), ("trainset", "testset"), ("Train Images", "Test Images")],
)
def test_parts_may_be_named_at_length(tmp_path: Path, train: str, test: str) -> None:
    fill(tmp_path / "zoo" / train, "cats", "dogs", n=8)
    fill(tmp_path / "zoo" / test, "cats", "dogs", n=3)
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("cats", "dogs")
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (12, 4, 6)


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("beside", ["testing/readme.txt", "notes/readme.txt", "cover.png"])
def test_a_lone_part_is_passed_through(tmp_path: Path, part: str, beside: str) -> None:
    fill(tmp_path / "zoo" / part, "a", "b", n=8)
    (tmp_path / "zoo" / beside).parent.mkdir(exist_ok=True)
    (tmp_path / "zoo" / beside).touch()
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("a", "b")
    assert data.n_samples == 16


def test_top_folders_of_the_same_classes_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "zoo", "colour/red", "colour/blue", "grey/red", "grey/blue")
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert len(data.classes) == 4
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "colour and grey each hold blue, red, taken for 4 classes; "
        f"parts are named train, val and test: {tmp_path / 'zoo'}"
    ]


def test_groups_of_different_classes_are_no_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "zoo", "Greek/01", "Greek/02", "Latin/01")
    assert len(prepare("image_folder", str(tmp_path / "zoo")).classes) == 3
    assert not caplog.records


def test_a_folder_of_the_disks_administrator_is_no_class(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "a", "b", "lost+found")
    assert prepare("image_folder", str(tmp_path / "zoo")).classes == ("a", "b")


def test_classes_named_train_and_other_are_classes(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "train", "tram")
    assert prepare("image_folder", str(tmp_path / "zoo")).classes == ("train", "tram")


@pytest.mark.parametrize(
    "folders", [("bus", "car", "test data", "train"), ("rails", "test set", "train set")]
)
def test_folders_named_as_parts_that_hold_no_classes_are_classes_beside_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folders: tuple[str, ...]
) -> None:
    data = prepare("image_folder", str(fill(tmp_path / "zoo", *folders)))
    assert data.classes == folders
    *others, test, train = folders
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{test} and {train}, beside {', '.join(others)}, hold no folders of im")


def test_parts_beside_other_folders_are_parts(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "train/a", "train/b", "test", "unlabelled")
    draw(root / "train" / "cover.png")
    data = prepare("image_folder", str(root))
    assert (data.classes, data.n_samples, data.test) == (("a", "b"), 12, None)


@pytest.mark.parametrize("folders", [("train", "test"), ("train", "val/a", "val/b", "other")])
def test_parts_without_classes_to_train_are_refused(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    fill(tmp_path / "zoo", *folders)
    with pytest.raises(ValueError, match=r"need images in a folder for each class, found \d+ in"):
        prepare("image_folder", str(tmp_path / "zoo"))


def test_a_test_part_without_classes_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "zoo" / "train", "a", "b")
    draw(tmp_path / "zoo" / "test" / "1.png")
    with caplog.at_level(logging.WARNING):
        assert prepare("image_folder", str(tmp_path / "zoo")).test is None
    assert "ignored 1 images outside any class folder" in caplog.text


def test_hidden_and_other_files_are_ignored(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "a", "b", ".thumbs", "__MACOSX/a")
    draw(root / "a" / "._0.png")
    (root / "a" / "notes.txt").write_text("not an image")
    (root / "empty").mkdir()
    data = prepare("image_folder", str(root))
    assert data.classes == ("a", "b")
    assert data.n_samples == 12
    assert data.skipped == 0


def test_a_link_to_a_folder_above_is_not_walked_for_ever(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "a", "b")
    (root / "a" / "again").symlink_to(root, target_is_directory=True)
    assert prepare("image_folder", str(root)).n_samples == 12


def test_two_folders_that_link_to_each_other_are_not_walked_for_ever(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "a", "b")
    (root / "a" / "other").symlink_to(root / "b", target_is_directory=True)
    (root / "b" / "other").symlink_to(root / "a", target_is_directory=True)
    assert prepare("image_folder", str(root)).n_samples == 24


def test_a_class_may_be_a_link_to_another(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "a", "b")
    (root / "c").symlink_to("a", target_is_directory=True)
    data = prepare("image_folder", str(root))
    assert (data.classes, data.n_samples) == (("a", "b", "c"), 18)


def test_parts_may_link_to_the_same_folders(tmp_path: Path) -> None:
    fill(tmp_path / "pool", "a", "b", "c")
    for part, names in (("train", "abc"), ("val", "ab")):
        (tmp_path / "zoo" / part).mkdir(parents=True)
        for name in names:
            (tmp_path / "zoo" / part / name).symlink_to(tmp_path / "pool" / name)
    (tmp_path / "zoo" / "val" / "c").symlink_to(tmp_path / "zoo" / "train" / "c")
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert data.classes == ("a", "b", "c")
    assert (len(data.train), len(data.val)) == (18, 18)


def test_unreadable_images_are_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fill(tmp_path / "zoo", "a", "b", n=8)
    whole = (root / "a" / "0.png").read_bytes()
    (root / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "2.png").write_bytes(b"")
    (root / "b" / "3.png").write_text("no image at all")
    with caplog.at_level(logging.WARNING):
        data = prepare("image_folder", str(root))
    assert data.skipped == 3
    assert data.n_samples == 13
    assert "skipped 3 of 16 images" in caplog.text
    caplog.clear()
    assert prepare("image_folder", str(root)).skipped == 3
    assert "skipped 3 of 16 images" in caplog.text


def test_an_image_out_of_reach_is_read_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "zoo", "a", "b")
    closed, opened = root / "a" / "1.png", Image.open

    # The tests may run as one who may read everything.
    def refused(file: Path) -> Image.Image:
        if file == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file)

    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", refused)
        with pytest.raises(PermissionError, match=f"Permission denied: '{closed}'"):
            prepare("image_folder", str(root))
    assert prepare("image_folder", str(root)).n_samples == 12


def test_images_that_change_are_read_again(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "a", "b")
    assert prepare("image_folder", str(root)).n_samples == 12
    draw(root / "a" / "new.png")
    assert prepare("image_folder", str(root)).n_samples == 13


def test_an_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    root = fill(tmp_path / "zoo", "a", "b")
    with tarfile.open(tmp_path / "zoo.tar.gz", "w:gz") as file:
        file.add(root, "zoo")
    data = prepare("image_folder", str(tmp_path / "zoo.tar.gz"))
    assert data.classes == ("a", "b")
    assert data.n_samples == 12


class TestErrors:
    def test_parts_without_one_for_training(self, tmp_path: Path) -> None:
        fill(tmp_path / "zoo" / "val", "a", "b")
        fill(tmp_path / "zoo" / "test", "a", "b")
        with pytest.raises(ValueError, match="need a folder train beside test and val, found non"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_class_folder_that_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = fill(tmp_path / "zoo", "a", "b", "c") / "c"
        listed = os.scandir

        # The tests may run as one who may read everything.
        def refused(folder: str) -> object:
            if Path(folder) == closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(closed))
            return listed(folder)

        monkeypatch.setattr(os, "scandir", refused)
        with pytest.raises(PermissionError, match=f"Permission denied: '{closed}'"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"need an existing file or folder.*nowhere"):
            prepare("image_folder", str(tmp_path / "nowhere"))

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="need images in a folder for each class, found no"):
            prepare("image_folder", str(tmp_path))

    def test_images_in_no_class_folder(self, tmp_path: Path) -> None:
        draw(tmp_path / "1.png")
        with pytest.raises(ValueError, match="found 1 in none"):
            prepare("image_folder", str(tmp_path))

    def test_one_class_only(self, tmp_path: Path) -> None:
        fill(tmp_path / "zoo", "a")
        with pytest.raises(ValueError, match="need at least two classes, got only 'a'"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_class_with_one_image(self, tmp_path: Path) -> None:
        fill(tmp_path / "zoo", "a", "b")
        draw(tmp_path / "zoo" / "c" / "1.png")
        with pytest.raises(ValueError, match="class 'c' needs at least 2 images, got 1"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_class_of_which_one_image_can_be_read(self, tmp_path: Path) -> None:
        root = fill(tmp_path / "zoo", "a", "b", n=2)
        (root / "b" / "0.png").write_bytes(b"")
        message = r"class 'b' needs at least 2 images, got 1 \(1 images cannot be read\)"
        with pytest.raises(ValueError, match=message):
            prepare("image_folder", str(root))

    def test_nothing_can_be_read(self, tmp_path: Path) -> None:
        for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
            (tmp_path / "zoo" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "zoo" / name).write_bytes(b"damaged")
        with pytest.raises(ValueError, match="none of the 4 images can be read"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_validation_class_that_is_never_trained(self, tmp_path: Path) -> None:
        fill(tmp_path / "zoo" / "train", "a", "b")
        fill(tmp_path / "zoo" / "val", "a", "b", "c")
        with pytest.raises(ValueError, match="class 'c' has no training images"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_class_that_is_never_validated(self, tmp_path: Path) -> None:
        fill(tmp_path / "zoo" / "train", "a", "b")
        fill(tmp_path / "zoo" / "val", "a")
        with pytest.raises(ValueError, match="class 'b' needs at least 1 images in its val part"):
            prepare("image_folder", str(tmp_path / "zoo"))

    def test_a_file_that_is_no_archive(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").touch()
        with pytest.raises(ValueError, match="need a folder of images or an archive"):
            prepare("image_folder", str(tmp_path / "x.csv"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data is not here")
def test_a_real_alphabet_is_read_from_its_archive() -> None:
    path = SHARED / "omniglot_images_background_small1.zip"
    data = prepare("image_folder", f"{path}#within=Balinese&size=28")
    assert len(data.classes) == 24
    assert data.n_samples == 480
    assert data.shape == (1, 28, 28)


def test_a_link_to_nothing_is_skipped_and_counted(tmp_path: Path) -> None:
    fill(tmp_path / "zoo", "ant", "bee")
    (tmp_path / "zoo" / "ant" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    data = prepare("image_folder", str(tmp_path / "zoo"))
    assert (data.n_samples, data.skipped) == (12, 1)
