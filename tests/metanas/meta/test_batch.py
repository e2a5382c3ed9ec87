import torch

from metanas.meta.batch import VIEWS, batch_of, contrast, views
from tasks.episodes import Episodes, draw
from tests.contracts.drawings import drawn_classes


def episodes() -> Episodes:
    return draw(drawn_classes(6, 4), range(2), ways=3, shots=2, queries=2, seed=0)


def test_the_support_has_mean_zero_and_deviation_one() -> None:
    batch = batch_of(episodes())
    torch.testing.assert_close(batch.support.mean((1, 3, 4)), torch.zeros(2, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.support.square().mean((1, 3, 4)), torch.ones(2, 1))
    assert (len(batch), batch.ways) == (2, 3)


def test_queries_are_scaled_by_what_the_support_shows() -> None:
    given = episodes()
    shift, factor = contrast(given.support)
    expected = (given.query[1] / 255 - shift[1]) * factor[1]
    torch.testing.assert_close(batch_of(given).query[1], expected)


def test_negatives_look_the_same() -> None:
    given = episodes()
    negative = Episodes(
        255 - given.support,
        given.support_labels,
        255 - given.query,
        given.query_labels,
        given.classes,
    )
    torch.testing.assert_close(
        batch_of(negative).query, batch_of(given).query, rtol=1e-3, atol=1e-3
    )


def test_images_of_one_shade_stay_finite() -> None:
    blank = torch.full((1, 2, 3, 4, 4), 7, dtype=torch.uint8)
    labels = torch.tensor([[0, 1]])
    batch = batch_of(Episodes(blank, labels, blank, labels, labels))
    assert batch.support.isfinite().all()


def test_a_task_of_many_ways_comes_apart_into_tasks_of_few() -> None:
    whole = batch_of(draw(drawn_classes(8, 6), range(2), ways=7, shots=2, queries=3, seed=0))
    parts = whole.apart(3)
    assert (len(parts), parts.ways) == (4, 3)
    assert parts.support_labels.tolist() == [[0, 0, 1, 1, 2, 2]] * 4
    assert parts.query_labels.tolist() == [[0] * 3 + [1] * 3 + [2] * 3] * 4
    assert torch.equal(parts.support[1], whole.support[0, 6:12])
    assert torch.equal(parts.query[2], whole.query[1, :9])
    assert torch.equal(parts.classes[3], whole.classes[1, 3:6])


def test_a_task_of_few_ways_stays_whole() -> None:
    whole = batch_of(episodes())
    assert whole.apart(2) is whole
    assert whole.apart(5) is whole


def test_views_are_each_image_warped_a_little_in_the_same_way() -> None:
    support = torch.zeros(2, 3, 1, 28, 28)
    support[..., 8:20, 8:20] = 1.0
    seen = views(support)
    assert seen.shape == (len(VIEWS), 2, 3, 1, 28, 28)
    for view in seen:
        assert 0 < (view - support).abs().mean() < 0.1
        torch.testing.assert_close(view, view[:1, :1].expand_as(view))
    assert not torch.allclose(seen[0], seen[1], atol=0.1)
