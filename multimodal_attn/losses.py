"""Training losses, each a pure function."""

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over tokens of logits (n, V), targets (n,); label smoothing as in Szegedy et al. 2016, section 7."""
    return functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def doubly_stochastic(weights: Tensor, real: Tensor) -> Tensor:
    """Every place should be looked at about equally often over a sentence (Xu et al. 2015, eq. 14).

    weights (B, M, T, N, S); real (B, M, T), True for real tokens. What a place gets over the sentence is compared with
    its fair share T / S, relative to that share: squared, mean over places, heads and sentences.
    """
    if not weights.numel():
        return weights.new_zeros(())
    total = (weights * real[..., None, None]).sum(2)  # (B, M, N, S)
    n_tokens = real.sum(2)  # (B, M)
    fair = n_tokens[..., None, None].clamp_min(1) / weights.shape[-1]
    apart = (1 - total / fair).square().mean((2, 3))
    return apart[n_tokens > 0].sum() / (n_tokens > 0).sum().clamp_min(1)


def coverage(weights: Tensor, real: Tensor) -> Tensor:
    """What was looked at should not be looked at again: the overlap of each token's weights with the sum of the weights
    before it (See, Liu, Manning 2017, eq. 12-13).

    weights (B, M, T, N, S); real (B, M, T). Mean over real tokens and heads, from 0 for ever new places to almost 1.
    """
    before = weights.cumsum(2) - weights
    return mean_over_tokens(torch.minimum(weights, before).sum(-1), real)


def guided_attention(weights: Tensor, real: Tensor, n_places: Tensor, width: float = 0.2) -> Tensor:
    """Weights should lie near the diagonal of tokens and time (Tachibana, Uenoyama, Aihara 2018, section 4.1).

    weights (B, M, T, N, S); real (B, M, T); n_places (B,) real places of each input. width: how far from the diagonal
    is still near, as a share of the whole. Token t of T and place s of S are |s / S - t / T| apart, and weights cost
    1 - exp(-distance^2 / (2 width^2)). The sum over places and not the paper's mean, or a longer sound would count
    less; the mean over real tokens and heads, from 0 to 1.
    """
    n_tokens = real.sum(2).clamp_min(1)  # (B, M)
    along = torch.arange(weights.shape[2], device=weights.device) / n_tokens.unsqueeze(-1)  # (B, M, T)
    place = torch.arange(weights.shape[-1], device=weights.device) / n_places.clamp_min(1).unsqueeze(-1)  # (B, S)
    distance = place[:, None, None] - along.unsqueeze(-1)  # (B, M, T, S)
    penalty = 1 - torch.exp(-distance.square() / (2 * width**2))
    return mean_over_tokens((weights * penalty.unsqueeze(-2)).sum(-1), real)


def grounding(weights: Tensor, logp: Tensor, tokens: Tensor, real: Tensor) -> Tensor:
    """The places that a token looks at should name it, each by itself: -log sum_s w_s p_s(token).

    weights (B, M, T, N, S); logp (B, S, V), what each place would say; tokens (B, M, T); real (B, M, T). Mean over real
    tokens and heads. A mixture of experts (Jacobs, Jordan, Nowlan, Hinton 1991): the places are the experts, attention
    is their gate. A token that every place would say pulls nowhere, one that few would say pulls to these.
    """
    wanted = tokens.flatten(1).unsqueeze(1).expand(-1, logp.shape[1], -1)  # (B, S, M*T)
    named = logp.float().exp().gather(2, wanted).transpose(1, 2).unflatten(1, tokens.shape[1:])  # (B, M, T, S)
    chance = (weights * named.unsqueeze(-2)).sum(-1).clamp_min(1e-6)  # (B, M, T, N)
    return mean_over_tokens(-chance.log(), real)


def self_critical(logp: Tensor, rewards: Tensor, real: Tensor) -> Tensor:
    """Policy gradient on sampled sentences (Rennie et al. 2017), the other samples of an input as baseline (Luo 2020).

    logp (B, M, T) of the sampled tokens; rewards (B, M), M at least 2; real (B, M, T), True for tokens up to the end.
    """
    n = rewards.shape[1]
    baseline = (rewards.sum(1, keepdim=True) - rewards) / (n - 1)
    return -((rewards - baseline).unsqueeze(-1) * logp * real).sum() / real.sum()


def mean_entropy(weights: Tensor, real: Tensor) -> Tensor:
    """Mean entropy in nats of the weights (B, M, T, N, S) over real tokens; log(S) means that it never chooses."""
    nats = -weights.clamp_min(torch.finfo(weights.dtype).tiny).log()  # so that the gradient at 0 is finite
    return mean_over_tokens((weights * nats).sum(-1), real)


def mean_over_tokens(values: Tensor, real: Tensor) -> Tensor:
    """Mean of values (B, M, T, N) over heads and real tokens (B, M, T); 0 where there are none of either."""
    if not values.shape[-1]:
        return values.new_zeros(())
    return values.mean(-1)[real].sum() / real.sum().clamp_min(1)
