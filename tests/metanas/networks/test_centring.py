import torch

from metanas.networks.centring import SPREAD, Centring


def drawing(side: int, top: int, left: int) -> torch.Tensor:
    """A square on a ground a little darker than the mean."""
    image = torch.full((1, 1, 28, 28), -0.3)
    image[..., top : top + side, left : left + side] = 3.0
    return image


def test_where_something_stands_and_how_large_it_is_plays_no_part() -> None:
    centre = Centring()
    found = [centre(drawing(*place)) for place in ((12, 2, 3), (12, 14, 9), (16, 6, 6))]
    assert (found[0] - found[1]).abs().mean() < 0.05
    assert (found[0] - found[2]).abs().mean() < 0.25
    assert (drawing(12, 2, 3) - drawing(16, 6, 6)).abs().mean() > 0.8


def test_the_mass_has_its_centre_in_the_middle_and_one_spread() -> None:
    mass = Centring()(drawing(9, 3, 12)).clamp_min(0)[0, 0]
    places = (torch.arange(28) + 0.5) / 14 - 1
    for side in (0, 1):
        along = mass.sum(side) / mass.sum()
        mean = (along * places).sum()
        spread = (along * (places - mean).square()).sum().sqrt()
        assert abs(float(mean)) < 0.05
        assert abs(float(spread) - SPREAD) < 0.05


def test_nothing_is_made_smaller() -> None:
    whole = torch.ones(1, 3, 16, 16)
    torch.testing.assert_close(Centring()(whole), whole)


def test_each_image_is_judged_alone() -> None:
    images = torch.cat([drawing(12, 2, 3), drawing(8, 14, 9)])
    assert torch.equal(Centring()(images)[1:], Centring()(images[1:]))


def test_an_image_that_shows_next_to_nothing_stays_as_it_is() -> None:
    dark = -1.0 - torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Centring()(dark), dark)
    dark[0, 0, 1, 1] = 1e-4
    torch.testing.assert_close(Centring()(dark), dark, atol=0.05, rtol=0.0)


def test_a_single_point_has_a_gradient() -> None:
    image = torch.full((1, 1, 8, 8), -1.0)
    image[0, 0, 2, 5] = 2.0
    image.requires_grad_()
    Centring()(image).square().sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
