import pytest
import torch
from torch import Tensor

from metanas.meta.over_tasks import over_tasks


@pytest.mark.parametrize("vectorised", [True, False])
def test_shared_and_own_arguments_reach_each_task(vectorised: bool) -> None:
    shared, own, last = {"a": torch.tensor(2.0)}, {"b": torch.arange(3.0)}, torch.ones(3, 4)

    def f(shared: dict[str, Tensor], own: dict[str, Tensor], last: Tensor) -> dict[str, Tensor]:
        return {"sum": shared["a"] * own["b"] + last.sum()}

    found = over_tasks(f, (None, 0), shared, own, last, vectorised=vectorised)
    assert found["sum"].tolist() == [4.0, 6.0, 8.0]
    tensor = over_tasks(lambda x: 2 * x, (), last, vectorised=vectorised)
    assert torch.equal(tensor, 2 * last)
