from metanas.spaces import NAMED, SPACES


def test_every_space_is_registered_under_its_files_name() -> None:
    for key, space in SPACES.items():
        assert space.__module__ == f"metanas.spaces.{key}"


def test_spaces_known_by_name_are_registered_under_it() -> None:
    for name, make in NAMED.items():
        assert make().name == name
