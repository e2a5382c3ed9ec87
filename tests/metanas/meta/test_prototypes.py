import torch
from torch.nn import functional

from metanas.meta.prototypes import left_out, prototypes


def test_classes_are_ranked_by_squared_distance_to_their_means() -> None:
    features = torch.randn(6, 5)
    weight, bias = prototypes(features, 3, torch.tensor(2.0))
    queries = torch.randn(4, 5)
    means = features.view(3, 2, 5).mean(1)
    distances = torch.cdist(queries, means).square()
    logits = functional.linear(queries, weight, bias)
    scale = torch.tensor(2.0).exp() / 5
    torch.testing.assert_close(torch.softmax(logits, 1), torch.softmax(-scale * distances, 1))


def test_no_image_has_a_part_in_the_class_it_is_compared_with() -> None:
    ways, shots, versions, log_scale = 2, 3, 2, torch.tensor(1.5)
    features = torch.randn(ways * shots * versions, 4)
    found = left_out(features, ways, versions, log_scale)
    for row in range(len(features)):
        image = row // versions
        others = [r for r in range(len(features)) if r // versions != image]
        means = torch.stack(
            [
                features[[r for r in others if r // (shots * versions) == each]].mean(0)
                for each in range(ways)
            ]
        )
        distances = (features[row] - means).square().sum(1)
        wanted = functional.log_softmax(-log_scale.exp() / 4 * distances, 0)
        torch.testing.assert_close(functional.log_softmax(found[row], 0), wanted)
