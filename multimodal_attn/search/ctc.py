"""Connectionist temporal classification (Graves et al. 2006): a second reader of the memory, which keeps the order.

Token id PAD, which no sentence says, serves as the blank.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.layers.linear import Linear
from multimodal_attn.memory import Memory
from multimodal_attn.tokens import END, PAD, START, UNKNOWN


class CTCHead(nn.Module):
    """Log-probabilities of the tokens and the blank at every place of the memory."""

    def __init__(self, memory_dim: int, n_tokens: int) -> None:
        super().__init__()
        self.output = Linear(memory_dim, n_tokens)

    def forward(self, memory: Memory) -> Tensor:
        """(B, S, D) -> (B, S, V)"""
        return self.output(memory.clean()).float().log_softmax(-1)


def ctc_loss(logp: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
    """Mean over the batch of -log p(sentence | sound) per token of the sentence (Graves et al. 2006, eq. 12).

    logp (B, S, V); mask (B, S); tokens (B, T), closed by END and then PAD. A sentence too long for its sound counts 0.
    """
    lengths = ((tokens != PAD) & (tokens != END)).sum(-1)
    loss = functional.ctc_loss(
        logp.transpose(0, 1), tokens, mask.sum(-1), lengths, blank=PAD, reduction="none", zero_infinity=True
    )
    return (loss / lengths.clamp_min(1)).mean()


def ctc_greedy(logp: Tensor, mask: Tensor | None = None) -> Tensor:
    """The best path without repeats and blanks.

    logp (B, S, V), mask (B, S) -> tokens (B, T), closed by END and then PAD.
    """
    never = torch.tensor([START, END, UNKNOWN], device=logp.device)
    path = logp.index_fill(-1, never, -torch.inf).argmax(-1)  # (B, S)
    if mask is not None:
        path = path.masked_fill(~mask, PAD)
    said = (path != PAD) & (path != functional.pad(path, (1, -1), value=PAD))
    lengths = said.sum(-1, keepdim=True)
    tokens = path.new_full((len(path), int(lengths.max()) + 1), PAD)
    tokens[said.nonzero()[:, 0], said.cumsum(-1)[said] - 1] = path[said]
    return tokens.scatter(-1, lengths, END)


def ctc_align(logp: Tensor, ids: Tensor) -> Tensor | None:
    """The places of every token on the most probable path that spells a sentence (forced alignment).

    logp (S, V) of the real places; ids (U,) without END. Returns spans (U, 2), first and last + 1 place of every token;
    None when the sentence has no path, because it needs more places than there are.
    """
    n_repeats = int((ids[1:] == ids[:-1]).sum())  # each needs a blank before it
    if len(ids) + n_repeats > len(logp):
        return None
    if not len(ids):
        return ids.new_zeros(0, 2)
    from torchaudio.functional import forced_align  # only models of sounds come here, and only they pay for it

    finite = logp.detach().double().clamp_min(-1e4).cpu()  # minus infinity misleads forced_align
    path = forced_align(finite.unsqueeze(0), ids.unsqueeze(0).cpu(), blank=PAD)[0][0]
    first = (path != PAD) & (path != functional.pad(path, (1, -1), value=PAD))
    last = (path != PAD) & (path != functional.pad(path, (-1, 1), value=PAD))
    return torch.stack([first.nonzero()[:, 0], last.nonzero()[:, 0] + 1], -1)
