import pytest
import torch

from metanas.meta.relaxation import (
    cell_of,
    gates,
    growth,
    normalised,
    sharpening,
    strongest,
)

NAMES = ("none", "skip_connect", "sep_conv_3x3")


def logits() -> torch.Tensor:
    """Of five edges, (0, 2) (1, 2) (0, 3) (1, 3) (2, 3)."""
    return torch.tensor(
        [
            [9.0, 0.0, 1.0],
            [0.0, 3.0, 1.0],
            [0.0, 1.0, 2.0],
            [0.0, 0.0, 0.5],
            [0.0, 4.0, 1.0],
        ]
    )


def test_two_edges_are_kept_into_each_node_and_none_is_never_chosen() -> None:
    kept = strongest(gates(logits(), 1.0), NAMES, 2)
    assert kept.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert cell_of(kept, NAMES, 2) == (
        ((0, "sep_conv_3x3"), (1, "skip_connect")),
        ((0, "sep_conv_3x3"), (2, "skip_connect")),
    )


def test_tasks_are_decided_one_by_one() -> None:
    other = torch.flip(logits(), [1])
    both = strongest(gates(torch.stack([logits(), other]), 1.0), NAMES, 2)
    assert torch.equal(both[0], strongest(gates(logits(), 1.0), NAMES, 2))
    assert torch.equal(both[1], strongest(gates(other, 1.0), NAMES, 2))
    assert (both.sum((-1, -2)) == 4).all()


def test_cold_gates_choose() -> None:
    warm, cold = gates(logits(), 1.0), gates(logits(), 0.05)
    torch.testing.assert_close(warm.sum(-1), torch.ones(5))
    assert (cold.max(-1).values > 0.99).all()
    assert (warm[1:].max(-1).values < 0.95).all()


def test_the_temperature_falls_to_its_last_value_and_stays() -> None:
    assert sharpening(0.0, last=0.1, until=0.8) == 1.0
    assert sharpening(0.4, last=0.1, until=0.8) == pytest.approx(0.1**0.5)
    assert sharpening(0.8, last=0.1, until=0.8) == pytest.approx(0.1)
    assert sharpening(1.0, last=0.1, until=0.8) == pytest.approx(0.1)
    assert sharpening(0.0, last=0.1, until=0.0) == 0.1


def test_gradients_are_brought_to_length_one() -> None:
    found = normalised({"a": torch.tensor([3e-4, 4e-4]), "b": torch.zeros(2)})
    torch.testing.assert_close(found["a"], torch.tensor([0.6, 0.8]), rtol=1e-3, atol=1e-4)
    assert found["b"].isfinite().all()


def test_gates_have_grown_by_how_much_their_logits_have_moved() -> None:
    origin = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(growth(origin, origin, 0.5), torch.ones(5, 4))
    moved = origin.clone()
    moved[:, 1] += 0.05
    grown = growth(moved, origin, 0.5)
    assert (grown[:, 1] > 1).all()
    assert (grown[:, [0, 2, 3]] < 1).all()
    torch.testing.assert_close(grown * gates(origin, 0.5), gates(moved, 0.5))


def test_gates_too_small_for_a_number_grow_all_the_same() -> None:
    origin = torch.tensor([[0.0, -20.0]])
    grown = growth(origin + torch.tensor([[0.0, 0.1]]), origin, 0.1)
    torch.testing.assert_close(grown, torch.tensor([[1.0, torch.e]]), rtol=1e-3, atol=0.0)
