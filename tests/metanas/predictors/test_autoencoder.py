import pytest
import torch

from metanas.predictors.autoencoder import AutoEncoder, ascend, loss_of


@pytest.fixture
def network() -> AutoEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        allowed = torch.ones(4, 6, dtype=torch.bool)
        allowed[1, 3:] = False
        return AutoEncoder(allowed, 3)


@pytest.fixture
def tokens() -> torch.Tensor:
    rows = torch.randint(6, (10, 4), generator=torch.Generator().manual_seed(0))
    rows[:, 1] %= 3
    return rows


def test_a_new_task_has_the_universal_score(network: AutoEncoder, tokens: torch.Tensor) -> None:
    codes = network.encode(tokens)
    scores = network.predict(codes)
    torch.testing.assert_close(scores[:, -1], network.universal_score(codes))
    assert not torch.allclose(scores[:, 0], network.universal_score(codes))


def test_codes_have_length_one_and_stay_so_when_they_move(
    network: AutoEncoder, tokens: torch.Tensor
) -> None:
    codes = network.encode(tokens)
    moved = ascend(network, codes.detach(), 0, 0.5)
    for each in (codes, moved):
        torch.testing.assert_close(each.norm(dim=2), torch.ones(10, 4))
    assert (network.predict(moved)[:, 0] > network.predict(codes)[:, 0]).float().mean() > 0.8


def test_the_loss_is_the_trade_off_of_error_and_cross_entropy(
    network: AutoEncoder, tokens: torch.Tensor
) -> None:
    network = network.double()
    targets = torch.full((10, 3), torch.nan, dtype=torch.float64)
    targets[:4, 0] = torch.arange(4.0, dtype=torch.float64)
    codes = network.encode(tokens)
    error = (network.predict(codes)[:4, 0] - targets[:4, 0]).square().mean()
    chances = torch.log_softmax(network.write(codes, tokens), dim=2)
    entropy = -chances.gather(2, tokens[..., None]).mean()
    found = loss_of(network, tokens, targets, tradeoff=0.9, residual=0.0)
    torch.testing.assert_close(found, 0.9 * error + 0.1 * entropy)
    with_penalty = loss_of(network, tokens, targets, tradeoff=0.9, residual=1.0)
    assert with_penalty > found


def test_only_allowed_tokens_are_written(network: AutoEncoder, tokens: torch.Tensor) -> None:
    ids = network.read_out(network.encode(tokens))
    assert ids.shape == tokens.shape
    assert (ids[:, 1] < 3).all()
