"""Hard attention: exactly one place at each step, drawn at random in training, the best one in evaluation."""

import torch
from torch import Tensor

from multimodal_attn.attention.alignments import Aligned, Alignment, Choice, Pointwise, for_all_steps, positive
from multimodal_attn.attention.masking import hide, masked_log_softmax, masked_one_hot, masked_softmax, widen
from multimodal_attn.attention.scores import State
from multimodal_attn.errors import ConfigError


class Hard(Alignment):
    """A place drawn from the softmax, which learns by REINFORCE: the result's `choice` goes into `reinforce`.

    soft: share of the sentences whose weights are the softmax itself, which steadies the training (Xu, section 4.1).
    """

    source = "Xu et al. 2015, section 4.1"
    takes_sentinel = True

    def __init__(self, soft: float = 0.5) -> None:
        super().__init__()
        if not 0 <= soft <= 1:
            raise ConfigError(f"attention: soft is a share between 0 and 1, not {soft}")
        self.soft = soft

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        if not self.training:
            return Aligned(best_place(energies, mask))
        (soft,) = state or (self._toss(query),)
        return self._draw(energies, mask, soft.unsqueeze(1), (soft,))

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        mask = for_all_steps(mask)
        if not self.training:
            return Aligned(best_place(energies, mask))
        return self._draw(energies, mask, self._toss(queries)[:, None, :, None], ())

    def _toss(self, queries: Tensor) -> Tensor:
        """Which sentences are soft. (B, M, 1)"""
        return torch.rand(*queries.shape[:2], 1, device=queries.device) < self.soft

    def _draw(self, energies: Tensor, mask: Tensor | None, soft: Tensor, state: State) -> Aligned:
        log_weights, weights = masked_log_softmax(energies, mask), masked_softmax(energies, mask)
        # of exponential waiting times with rates p, each is the shortest with probability p
        drawn = (weights / _exponential(weights)).argmax(-1)
        log_prob = log_weights.gather(-1, drawn.unsqueeze(-1)).squeeze(-1).masked_fill(soft.squeeze(-1), 0.0)
        choice = Choice(log_prob, -(weights * log_weights).sum(-1))
        return Aligned(torch.where(soft, weights, masked_one_hot(drawn, weights, mask)), state, choice)


class Gumbel(Pointwise):
    """A place drawn from the softmax, whose gradient is that of a softmax with the same noise (straight-through).

    temperature: of that softmax; lower is closer to the draw, and steeper.
    """

    source = "Jang, Gu, Poole 2017, section 2.2; Maddison, Mnih, Teh 2017"
    takes_sentinel = True

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")

    def weigh(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        if not self.training:
            return best_place(energies, mask)
        noisy = widen(energies) - _exponential(energies).log()
        soft = masked_softmax(noisy / self.temperature, mask)
        return soft + (best_place(noisy, mask) - soft).detach()


def _exponential(like: Tensor) -> Tensor:
    """Exponential waiting times, none of them 0."""
    return torch.empty_like(widen(like)).exponential_().clamp_min(1e-30)


def best_place(energies: Tensor, mask: Tensor | None) -> Tensor:
    """All weight to the place with the highest energy."""
    return masked_one_hot(hide(energies, mask).argmax(-1), energies, mask)


def reinforce(
    choice: Choice, log_likelihood: Tensor, real: Tensor, baseline: Tensor | float = 0.0, entropy: float = 0.002
) -> Tensor:
    """The loss of the places drawn, to be added to the cross-entropy (Xu et al. 2015, section 4.1, token by token).

    A place is judged by the tokens from its own on, since it cannot change the earlier ones: the same gradient in the
    mean as with all tokens, and a smaller variance.

    Args:
        choice: as `Attention.unroll_choices` returns it, both (B, M, T, N).
        log_likelihood: log-probability of every token (B, M, T); its gradient is not used.
        real: (B, M, T), True for real tokens.
        baseline: what is usual for log_likelihood, such as its moving average: a number, or (B, M, T).
        entropy: how much to reward an open mind, in nats of log-likelihood per nat of entropy.
    """
    reward = ((log_likelihood.detach() - baseline) * real).float()
    reward = reward.flip(-1).cumsum(-1).flip(-1).unsqueeze(-1)  # from each token on
    gain = reward * choice.log_prob.float() + entropy * choice.entropy.float()
    return -(gain.sum(-1) * real).sum() / real.sum().clamp_min(1)
