import numpy as np
import pytest
from scipy.stats import multivariate_normal

from metanas.predictors.residual import (
    FLAT,
    Hypotheses,
    Posterior,
    Seen,
    kernels,
    log_evidence,
    matern,
)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a[:, None] - b[None]) ** 2).sum(axis=2)


def _seen(n: int = 12, sources: int = 2, seed: int = 0) -> tuple[Seen, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3))
    heads = rng.normal(size=(n, sources))
    weights = np.full(sources, 1.0 / sources)
    scores = 0.5 + 0.1 * heads.mean(axis=1) + 0.02 * rng.normal(size=n)
    return Seen(heads, (_squared(points, points),), scores, weights), points


def _one(scale: float, residual: float, noise: float, trust: float, freedom: float) -> Hypotheses:
    return Hypotheses(*(np.array([each]) for each in (scale, residual, noise, trust, freedom)))


def _dense(h: Hypotheses, seen: Seen, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the scores, written down as in the module's equation."""
    scale, trust = h.scale[0], h.trust[0]
    mean = seen.heads @ (scale * trust * seen.weights)
    kernel = matern(seen.apart[0], length) + h.noise[0] * np.eye(len(seen.scores))
    covariance = scale**2 * h.residual[0] * kernel + (FLAT * scale) ** 2
    covariance += (seen.heads * ((scale * h.freedom[0]) ** 2 * seen.weights)) @ seen.heads.T
    return mean + np.median(seen.scores), covariance


def test_the_evidence_is_the_density_of_the_model() -> None:
    seen, _ = _seen()
    h = _one(0.1, 0.4, 0.2, 0.7, 0.5)
    for row, (_, length) in enumerate(kernels(1)):
        mean, covariance = _dense(h, seen, length)
        density = multivariate_normal(mean, covariance).logpdf(seen.scores)
        constant = 0.5 * len(seen.scores) * np.log(2.0 * np.pi)
        assert log_evidence(h, seen)[row, 0] == pytest.approx(density + constant, rel=1e-8)


def test_predictions_condition_the_joint_distribution() -> None:
    seen, points = _seen(16)
    h = _one(0.1, 0.4, 0.2, 0.7, 0.5)
    only = np.full((len(kernels(1)), 1), -np.inf)
    only[1, 0] = 0.0
    length = kernels(1)[1][1]
    known, new = np.arange(12), np.arange(12, 16)
    part = Seen(
        seen.heads[known], (seen.apart[0][np.ix_(known, known)],), seen.scores[known], seen.weights
    )
    mean, covariance = _dense(h, seen, length)
    mean = mean - np.median(seen.scores) + np.median(part.scores)
    gain = covariance[np.ix_(new, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    wanted = mean[new] + gain @ (part.scores - mean[known])
    spread = covariance[np.ix_(new, new)] - gain @ covariance[np.ix_(known, new)]
    found = Posterior(h, only, part).predict(
        seen.heads[new].astype(np.float32),
        (_squared(points[new], points[known]).astype(np.float32),),
    )
    np.testing.assert_allclose(found[0], wanted, rtol=1e-4)
    np.testing.assert_allclose(found[1], np.diag(spread), rtol=1e-3)


def test_a_prediction_averages_all_kernels_and_hypotheses() -> None:
    seen, points = _seen(12)
    new = (_squared(points + 0.3, points).astype(np.float32),)
    heads = seen.heads.astype(np.float32)
    rows = [(0.1, 0.4, 0.2, 0.7, 0.5), (0.2, 1.0, 0.3, 0.0, 0.1), (0.1, 0.2, 1.0, 1.0, 1.0)]
    hypotheses = Hypotheses(*np.array(rows).T)
    both = Posterior(hypotheses, -log_evidence(hypotheses, seen), seen)
    np.testing.assert_allclose(both.shares, 1.0 / 9.0)
    mean, square = np.zeros(12), np.zeros(12)
    for kernel, shares in enumerate(both.shares):
        only = np.full((3, 1), -np.inf)
        only[kernel, 0] = 0.0
        for row, share in zip(rows, shares, strict=True):
            means, variances = Posterior(_one(*row), only, seen).predict(heads, new)
            mean += share * means
            square += share * (variances + means**2)
    found = both.predict(heads, new)
    np.testing.assert_allclose(found[0], mean, rtol=1e-5)
    np.testing.assert_allclose(found[1], square - mean**2, rtol=1e-3)


def _trust_after(scores: np.ndarray, seen: Seen) -> float:
    hypotheses = Hypotheses.grid(0.1, transfer=True)
    flat = np.zeros((len(kernels(1)), len(hypotheses)))
    return Posterior(hypotheses, flat, Seen(seen.heads, seen.apart, scores, seen.weights)).trust


@pytest.mark.parametrize("mislead", ["shuffled", "negated"])
def test_the_weight_of_the_sources_falls_with_evidence_against_them(mislead: str) -> None:
    seen, _ = _seen(40)
    said = 0.1 * seen.heads.mean(axis=1)
    rng = np.random.default_rng(1)
    wrong = -said if mislead == "negated" else rng.permutation(said)
    noise = 0.01 * rng.normal(size=len(said))
    assert _trust_after(said + noise, seen) > _trust_after(wrong + noise, seen) + 0.1
    few = Seen(seen.heads[:4], (seen.apart[0][:4, :4],), seen.scores[:4], seen.weights)
    assert _trust_after((wrong + noise)[:4], few) > _trust_after(wrong + noise, seen)


def test_without_transfer_no_hypothesis_knows_sources() -> None:
    h = Hypotheses.grid(2.0, transfer=False)
    assert not h.trust.any()
    assert not h.freedom.any()
    assert (h.residual == 1.0).all()


def test_far_from_all_trials_the_uncertainty_is_larger() -> None:
    seen, points = _seen(20, sources=1)
    hypotheses = Hypotheses.grid(0.1, transfer=True)
    flat = np.zeros((len(kernels(1)), len(hypotheses)))
    posterior = Posterior(hypotheses, flat, seen)
    both = np.stack([points[0], points[0] + 100.0])
    heads = np.zeros((2, 1), np.float32)
    _, variance = posterior.predict(heads, (_squared(both, points).astype(np.float32),))
    assert variance[1] > variance[0] > 0.0
