import torch
from torch.nn import functional

from metanas.meta.prototypes import prototypes


def test_classes_are_ranked_by_squared_distance_to_their_means() -> None:
    features = torch.randn(6, 5)
    weight, bias = prototypes(features, 3, torch.tensor(2.0))
    queries = torch.randn(4, 5)
    means = features.view(3, 2, 5).mean(1)
    distances = torch.cdist(queries, means).square()
    logits = functional.linear(queries, weight, bias)
    scale = torch.tensor(2.0).exp() / 5
    torch.testing.assert_close(torch.softmax(logits, 1), torch.softmax(-scale * distances, 1))
