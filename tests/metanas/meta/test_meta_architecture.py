from dataclasses import replace

import pytest
import torch

from metanas.meta.meta_architecture import SEARCHING, MetaArchitecture
from metanas.meta.recipe import ARCHITECTURE

SHAPE = (1, 12, 12)
OPTIONS = {"width": 4, "stem": 4, "nodes": 3, "operations": "none,skip_connect,sep_conv_3x3"}


def made(method: str = "tnas") -> MetaArchitecture:
    return MetaArchitecture.fresh(method, OPTIONS, SHAPE, seed=0)


@pytest.mark.parametrize("method", list(SEARCHING))
def test_its_state_makes_it_anew(method: str) -> None:
    meta = replace(made(method), facts={"accuracy": 0.5})
    again = MetaArchitecture.of(meta.state())
    assert (again.method, again.options, again.facts) == (method, OPTIONS, {"accuracy": 0.5})
    assert all(torch.equal(again.parameters[n], p) for n, p in meta.parameters.items())
    assert again.architecture == meta.architecture


def test_what_it_has_seen_is_kept_and_may_be_missing() -> None:
    seen = frozenset({-(2**63), 0, 2**63 - 1})
    state = replace(made(), seen=seen).state()
    assert MetaArchitecture.of(state).seen == seen
    del state["seen"]
    assert MetaArchitecture.of(state).seen == frozenset()
    with pytest.raises(ValueError, match="lacks"):
        MetaArchitecture.of({**state, "seen": 3})


def test_its_architecture_is_of_its_space() -> None:
    meta = made()
    assert meta.space.name == "darts-3"
    meta.space.validate(meta.architecture)
    logits = torch.zeros(9, 3)
    logits[:, 2] = 1.0
    convolved = replace(meta, parameters={**meta.parameters, f"{ARCHITECTURE}normal": logits})
    operations = [v for n, v in convolved.architecture.choices.items() if n.startswith("normal_op")]
    assert set(operations) == {"sep_conv_3x3"}


def test_a_layout_of_one_kind_of_cell_still_names_both() -> None:
    meta = MetaArchitecture.fresh("tnas", {**OPTIONS, "layout": "nn"}, SHAPE, seed=0)
    meta.space.validate(meta.architecture)


def test_its_size_counts_weights_only() -> None:
    meta = made()
    body = meta.frame.maker(SHAPE)()
    assert meta.size == sum(p.numel() for p in body.parameters())


@pytest.mark.parametrize(
    ("method", "options", "told"),
    [
        ("maml", {}, "need a method with an architecture, .* got 'maml'"),
        ("tnas", {"steps": 1.5}, "steps is a whole number, got 1.5"),
        ("tnas", {"several_lr": "a"}, "several_lr is a number, got 'a'"),
        ("tnas", {"lr": float("nan")}, "lr is a number, got nan"),
        ("tnas", {"several_steps": -1}, "must not be negative"),
        ("tnas", {"centred": "no"}, "centred is true or false, got 'no'"),
        ("tnas", {"warm_up": 5.0}, "warm_up is a share, got 5.0"),
        ("tnas", {"layout": "zz"}, "a layout is a letter a cell"),
        ("auto_maml", {"input_shape": 3}, "no option 'input_shape'"),
        ("tnas", {"depth": 3}, "no option 'depth'; there are width"),
        (
            "tnas_plus_plus",
            {"several_steps": 5},
            "option 'several_steps' plays no part; there are width",
        ),
        ("auto_maml", {"own_rates": True}, "option 'own_rates' plays no part; there are width"),
        ("tnas", {"operations": "conv"}, "got 'conv'"),
        ("tnas", {"operations": "none,skip_connect,none"}, "each once, got 'none,skip_connect"),
        ("tnas", {"width": 0}, "at least 1, got 0"),
    ],
)
def test_unknown_methods_and_options_are_told(
    method: str, options: dict[str, int], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        MetaArchitecture.fresh(method, options, SHAPE, seed=0)


def test_parameters_of_another_network_are_refused() -> None:
    meta = made()
    with pytest.raises(ValueError, match="not those of tnas"):
        replace(meta, options={**OPTIONS, "width": 5})
    with pytest.raises(ValueError, match="not those of tnas"):
        replace(meta, parameters={})


@pytest.mark.parametrize("broken", [{}, {"format": 99}, {"format": 1}])
def test_a_state_of_something_else_is_refused(broken: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"lacks|format"):
        MetaArchitecture.of(broken)


@pytest.mark.parametrize(
    ("method", "idle"),
    [("tnas_plus_plus", {"several_steps": 4}), ("auto_maml", {"own_rates": False})],
)
def test_a_file_with_options_that_never_played_a_part_is_read(
    method: str, idle: dict[str, object]
) -> None:
    kept = MetaArchitecture.fresh(method, {"width": 4}, (1, 12, 12), seed=0)
    older = {**kept.state(), "options": {"width": 4, **idle}}
    assert MetaArchitecture.of(older).options == {"width": 4}
