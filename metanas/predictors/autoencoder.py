"""The networks of NAO and XferNAS: encoder, predictor with residuals, decoder.

[NAO] Luo et al. Neural Architecture Optimization. NeurIPS 2018, arXiv 1808.07233.
[XferNAS] Wistuba. XferNAS: Transfer Neural Architecture Search. ECML PKDD 2020.

An LSTM reads the tokens; its outputs, each of length one, are the code in which gradient
steps are taken, and their mean, of length one, is what scores are predicted from:
f_i(h) = g_u(h) + e_i . r(h) for task i. The residual has no constant of its own, so a task
whose embedding e_i is zero has exactly g_u. A second LSTM with attention over the code
writes the tokens again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING, HIDDEN = 32, 96
PREDICTOR = 200
TASK = 16
"""Numbers that embed a task."""


class AutoEncoder(nn.Module):
    """Encoder, predictor and decoder for sequences of L tokens out of V.

    Args:
        allowed: which tokens each place may have, shape (L, V).
        n_tasks: T, whose embeddings start near zero; the last one's at zero.
    """

    def __init__(self, allowed: Tensor, n_tasks: int) -> None:
        super().__init__()
        self.allowed = allowed
        n_tokens = allowed.shape[1]
        self.embedding = nn.Embedding(n_tokens + 1, EMBEDDING)  # the last one starts a sequence
        self.encoder = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.universal = nn.Sequential(*_layers(HIDDEN, PREDICTOR), nn.Linear(PREDICTOR, 1))
        self.residual = nn.Sequential(
            *_layers(HIDDEN, PREDICTOR), nn.Linear(PREDICTOR, TASK, bias=False)
        )
        start = 0.1 * torch.randn(n_tasks, TASK)
        start[-1] = 0.0
        self.tasks = nn.Parameter(start)
        self.decoder = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.attended = nn.Linear(2 * HIDDEN, HIDDEN)
        self.written = nn.Linear(HIDDEN, n_tokens)

    def encode(self, tokens: Tensor) -> Tensor:
        """Codes, shape (n, L, HIDDEN), every row of length one."""
        outputs, _ = self.encoder(self.embedding(tokens))
        return functional.normalize(outputs, dim=2)

    def predict(self, codes: Tensor) -> Tensor:
        """Scores on every task, shape (n, T)."""
        pooled = functional.normalize(codes.mean(dim=1), dim=1)
        scores: Tensor = self.universal(pooled) + self.residual(pooled) @ self.tasks.T
        return scores

    def universal_score(self, codes: Tensor) -> Tensor:
        """g_u, shape (n,)."""
        pooled = functional.normalize(codes.mean(dim=1), dim=1)
        scores: Tensor = self.universal(pooled)[:, 0]
        return scores

    def write(self, codes: Tensor, tokens: Tensor) -> Tensor:
        """Logits of each token given those before it, shape (n, L, V); not allowed: -inf."""
        start = torch.full_like(tokens[:, :1], self.embedding.num_embeddings - 1)
        before = torch.cat([start, tokens[:, :-1]], dim=1)
        states, _ = self.decoder(self.embedding(before), self._state(codes))
        return self._logits(states, codes).masked_fill(~self.allowed, -torch.inf)

    @torch.no_grad()
    def read_out(self, codes: Tensor) -> Tensor:
        """The likeliest tokens, one after the other; shape (n, L)."""
        token = torch.full((len(codes), 1), self.embedding.num_embeddings - 1)
        state = self._state(codes)
        chosen = []
        for allowed in self.allowed:
            outputs, state = self.decoder(self.embedding(token), state)
            logits = self._logits(outputs, codes)[:, 0].masked_fill(~allowed, -torch.inf)
            token = logits.argmax(dim=1, keepdim=True)
            chosen.append(token)
        return torch.cat(chosen, dim=1)

    def _state(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        pooled = functional.normalize(codes.mean(dim=1), dim=1)[None].contiguous()
        return pooled, torch.zeros_like(pooled)

    def _logits(self, states: Tensor, codes: Tensor) -> Tensor:
        attention = torch.softmax(states @ codes.transpose(1, 2), dim=2) @ codes
        mixed = torch.tanh(self.attended(torch.cat([states, attention], dim=2)))
        logits: Tensor = self.written(mixed)
        return logits


def _layers(inputs: int, units: int) -> list[nn.Module]:
    return [nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()]


def loss_of(
    network: AutoEncoder, tokens: Tensor, targets: Tensor, *, tradeoff: float, residual: float
) -> Tensor:
    """The paper's: squared error of known scores, and cross-entropy of the tokens.

    Args:
        tokens: shape (n, L).
        targets: NaN where unknown, shape (n, T).
        tradeoff: share of the squared error.
        residual: weight of the residuals' mean square.
    """
    codes = network.encode(tokens)
    known = torch.isfinite(targets)
    scores = network.predict(codes)
    error = torch.where(known, scores - torch.where(known, targets, 0.0), 0.0).square().sum()
    rests = scores - network.universal_score(codes)[:, None]
    penalty = torch.where(known, rests, 0.0).square().sum()
    count = known.sum().clamp(min=1)
    logits = network.write(codes, tokens)
    rewritten = functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    return tradeoff * (error + residual * penalty) / count + (1.0 - tradeoff) * rewritten


def ascend(network: AutoEncoder, codes: Tensor, task: int, step: float) -> Tensor:
    """Codes moved along the gradient of the task's score; rows have length one again."""
    moved = codes.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.predict(moved)[:, task].sum(), moved)
    return functional.normalize(codes + step * gradient, dim=2).detach()
