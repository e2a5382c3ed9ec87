from __future__ import annotations

from pathlib import Path

import pytest

from metanas.importers.location import existing, masked, split


def test_a_location_without_options_is_left_as_it_is() -> None:
    assert split("/data/my file.json", ("a",)) == ("/data/my file.json", {})


def test_options_come_after_the_sign_and_are_percent_decoded() -> None:
    assert split("x.db#task=my%20task&space=a%26b", ("task", "space")) == (
        "x.db",
        {"task": "my task", "space": "a&b"},
    )


def test_one_option_may_stand_without_its_name() -> None:
    assert split("x.db#my%23study", ("study", "task"), bare="study") == (
        "x.db",
        {"study": "my#study"},
    )
    assert split("x.db#study=s", ("study",), bare="study") == ("x.db", {"study": "s"})


@pytest.mark.parametrize("options", ["other=1", "a=1&a=2", "a=", "a", "&"])
def test_unknown_double_and_empty_options_are_errors(options: str) -> None:
    with pytest.raises(ValueError, match=r"^x\.db#"):
        split(f"x.db#{options}", ("a",))


def test_a_password_is_not_shown() -> None:
    assert masked("postgresql://ann:s3cret@host:5432/db#x") == "postgresql://ann:***@host:5432/db#x"
    assert masked("http://host:80/a@b") == "http://host:80/a@b"
    assert masked("http://ann@host:80/a") == "http://ann@host:80/a"
    for secret in ("ann:s3@cr:et@", "ann@firm:s3cr@et@"):
        user = secret.partition(":")[0]
        assert masked(f"mysql://{secret}host/db") == f"mysql://{user}:***@host/db"


@pytest.mark.parametrize(
    "text",
    [
        "http://host:5000#experiment=me@x.org",
        "http://host:5000?user=me@x.org",
        "http://host#a:b=me@x.org",
        "http://localhost:5000: no answer, write to a@b.c",
        "no answer (http://localhost:5000), write to a@b.c",
        "http://localhost: no answer, write to a@b.c",
    ],
)
def test_an_at_sign_past_the_address_is_no_account(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("secret", ["sec@ret", "s#cr?t", "5ec ret", "$ecret", "#secret", "1234"])
def test_a_password_is_not_shown_whatever_it_holds(secret: str) -> None:
    told = "postgresql://bob:***@host: no answer"
    assert masked(f"postgresql://bob:{secret}@host: no answer") == told
    if " " not in secret:
        text = f"postgresql://bob:{secret}@host: no answer, write to a@b.c"
        assert masked(text) == f"{told}, write to a@b.c"


def test_a_path_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    assert existing(str(tmp_path)) == tmp_path
    for path in (str(tmp_path / "no"), ""):
        with pytest.raises(ValueError, match="no such file"):
            existing(path)
