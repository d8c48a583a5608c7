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
    total = (weights * real[..., None, None]).sum(2)  # (B, M, N, S)
    n_tokens = real.sum(2)  # (B, M)
    fair = n_tokens[..., None, None].clamp_min(1) / weights.shape[-1]
    return (1 - total / fair).square().mean((2, 3))[n_tokens > 0].mean()


def self_critical(logp: Tensor, rewards: Tensor, real: Tensor) -> Tensor:
    """Policy gradient on sampled sentences (Rennie et al. 2017), the other samples of an input as baseline (Luo 2020).

    logp (B, M, T) of the sampled tokens; rewards (B, M), M at least 2; real (B, M, T), True for tokens up to the end.
    """
    n = rewards.shape[1]
    baseline = (rewards.sum(1, keepdim=True) - rewards) / (n - 1)
    return -((rewards - baseline).unsqueeze(-1) * logp * real).sum() / real.sum()


def mean_entropy(weights: Tensor, real: Tensor) -> Tensor:
    """Mean entropy in nats of the weights (B, M, T, N, S) over real tokens; log(S) means that it never chooses."""
    entropy = torch.special.entr(weights).sum(-1).mean(-1)  # (B, M, T)
    return (entropy * real).sum() / real.sum()
