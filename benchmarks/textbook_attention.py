"""Every mechanism in the plainest correct form: one step after the other, as its paper's equations read, one head.

It uses the parameters of ours, and projects the keys once a sentence, not at every step as many a tutorial does.
"""

import torch
from torch import Tensor
from torch.distributions import Categorical
from torch.nn import functional

from multimodal_attn.attention import Attention
from multimodal_attn.memory import Memory

Earlier = list[Tensor]  # the weights (B, S) of each earlier step
Draw = tuple[
    Tensor, Tensor
]  # the log-probability of the drawn place and the entropy of what it was drawn from, both (B,)


def has_plain(name: tuple[str, str]) -> bool:
    """Whether the mechanism (score, align) has a plain version here."""
    return name[0] in SCORES and name[1] in ALIGNMENTS


def unroll(
    attention: Attention, name: tuple[str, str], queries: Tensor, memory: Memory
) -> tuple[Tensor, Tensor, list[Draw]]:
    """Contexts (B, T, D), weights (B, T, S) and each step's draw, if any, for queries (B, T, Q), by (score, align)."""
    score, align = name
    values, twin = memory.values, align == "mocha"
    scores = [attention.score.first, attention.score.second] if twin else [attention.score]
    keys = [each.key_map(values) if hasattr(each, "key_map") else values for each in scores]
    contexts, earlier, notes = [], [], {}
    for query in queries.unbind(1):
        energies = [
            SCORES[score](each, query, key, values, earlier).masked_fill(~memory.mask, -torch.inf)
            for each, key in zip(scores, keys, strict=True)
        ]
        weights = ALIGNMENTS[align](attention.align, energies, memory.mask, earlier, query, notes)
        contexts.append((weights.unsqueeze(-1) * values).sum(1) + notes.get("beside", 0.0))
        notes["seen"] = torch.cat([contexts[-1], query], -1)
        earlier.append(weights)
    return torch.stack(contexts, 1), torch.stack(earlier, 1), notes.get("draws", [])


def reinforce(draws: list[Draw], log_likelihood: Tensor, entropy: float = 0.002) -> Tensor:
    """The loss of places drawn: each is judged by the log-likelihood (B, T) of the tokens from its own on."""
    loss = torch.zeros(())
    for t, (log_prob, openness) in enumerate(draws):
        loss = loss - (log_likelihood[:, t:].sum(1) * log_prob + entropy * openness).mean()
    return loss / len(draws)


# Scores: module, query (B, Q), keys (B, S, A), values (B, S, D), earlier weights -> energies (B, S)


def dot(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    return (score.query_map(query).unsqueeze(1) * keys).sum(-1)


def scaled_dot(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    return dot(score, query, keys, values, earlier) / keys.shape[-1] ** 0.5


def general(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    return (query.unsqueeze(1) * keys).sum(-1)


def additive(
    score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier, more: Tensor | float = 0.0
) -> Tensor:
    return (torch.tanh(score.query_map(query).unsqueeze(1) + keys + more) * score.v[0]).sum(-1)


def mlp(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    hidden = torch.tanh(score.query_map(query).unsqueeze(1) + keys)
    for weight, bias in zip(score.hidden, score.hidden_bias, strict=True):
        hidden = torch.tanh(hidden @ weight[0] + bias[0])
    return (hidden * score.v[0]).sum(-1)


def cosine(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    strength = functional.softplus(score.strength_map(query))
    return strength * functional.cosine_similarity(score.query_map(query).unsqueeze(1), keys, -1)


def gaussian(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    distance = (score.query_map(query).unsqueeze(1) - keys).square().sum(-1)
    return -distance / (2 * score.log_width.exp() ** 2)


def location(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    last = earlier[-1] if earlier else torch.zeros_like(keys[..., 0])
    found = functional.conv1d(last.unsqueeze(1), score.filters, padding=score.width // 2)  # (B, F, S)
    return additive(score, query, keys, values, earlier, found.transpose(1, 2) @ score.location_map[0])


def coverage(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    total = torch.stack(earlier).sum(0) if earlier else torch.zeros_like(keys[..., 0])
    fertility = score.most_fertile * torch.sigmoid(score.fertility_map(values)).squeeze(-1)
    return additive(score, query, keys, values, earlier, (total / fertility).unsqueeze(-1) * score.u[0])


def constant(score, query: Tensor, keys: Tensor, values: Tensor, earlier: Earlier) -> Tensor:
    return torch.zeros_like(values[..., 0])


# Alignments: module, energies [(B, S)], mask (B, S), earlier weights, query (B, Q), notes -> weights (B, S)


def softmax(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    return energies[0].softmax(-1)


def static(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    return earlier[0] if earlier else energies[0].softmax(-1)


def hard(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    places = Categorical(logits=energies[0])
    drawn = places.sample()
    notes.setdefault("draws", []).append((places.log_prob(drawn), places.entropy()))
    return functional.one_hot(drawn, mask.shape[-1]).to(query.dtype)


def gumbel(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    return functional.gumbel_softmax(energies[0], align.temperature, hard=True)


def local_m(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    centre = (mask.sum(-1, keepdim=True) - 1).clamp_max(align.rate * len(earlier))
    far = (torch.arange(mask.shape[-1]) - centre).abs() > align.window
    return energies[0].masked_fill(far, -torch.inf).softmax(-1)


def local_p(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    centre = mask.sum(-1, keepdim=True) * torch.sigmoid(align.position(query))
    offset = torch.arange(mask.shape[-1]) - centre
    weights = energies[0].masked_fill(offset.abs() > align.window, -torch.inf).softmax(-1)
    return weights * torch.exp(-(offset**2) / (2 * (align.window / 2) ** 2))


def monotonic(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    stop = torch.sigmoid(energies[0] + align.bias + align.noise * torch.randn_like(energies[0]))
    last = notes.get("stops", functional.one_hot(torch.zeros(len(stop), dtype=torch.long), stop.shape[1]))
    come, weights = torch.zeros_like(stop[:, 0]), []
    for s in range(stop.shape[1]):
        come = last[:, s] + (come * (1 - stop[:, s - 1]) if s else 0)
        weights.append(come * stop[:, s])
    notes["stops"] = torch.stack(weights, 1)
    return notes["stops"]


def mocha(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    stops, inside = monotonic(align, energies, mask, earlier, query, notes), energies[1]
    weights = torch.zeros_like(stops)
    for s in range(stops.shape[1]):
        first = max(0, s - align.chunk + 1)
        share = inside[:, first : s + 1].masked_fill(~mask[:, s : s + 1], 0).softmax(-1)
        weights = weights + functional.pad(stops[:, s : s + 1] * share, (first, stops.shape[1] - s - 1))
    return weights


def forward(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    last = earlier[-1] if earlier else functional.one_hot(torch.zeros(len(mask), dtype=torch.long), mask.shape[1])
    move = torch.sigmoid(align.agent(notes["seen"])) if "seen" in notes and hasattr(align, "agent") else 0.5
    weights = ((1 - move) * last + move * functional.pad(last, (1, -1))) * energies[0].softmax(-1)
    return weights / weights.sum(-1, keepdim=True)


def sentinel(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    s = torch.sigmoid(align.gate(query)) * torch.tanh(align.content(query))
    own = torch.tanh(align.score.query_map(query) + align.score.key_map(s)) @ align.score.v[0]
    weights = torch.cat([energies[0], own.unsqueeze(-1)], -1).softmax(-1)
    notes["beside"] = weights[:, -1:] * s
    return weights[:, :-1]


def sparsemax(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    z = energies[0].masked_fill(~mask, -1e9)
    ranked, ranks = z.sort(-1, descending=True).values, torch.arange(1, z.shape[-1] + 1)
    n = (1 + ranks * ranked > ranked.cumsum(-1)).sum(-1, keepdim=True)
    return (z - (ranked.cumsum(-1).gather(-1, n - 1) - 1) / n).clamp_min(0)


def entmax(align, energies: list[Tensor], mask: Tensor, earlier: Earlier, query: Tensor, notes: dict) -> Tensor:
    z = (energies[0] - energies[0].amax(-1, keepdim=True)).masked_fill(~mask, -99) / 2
    ranked, ranks = z.sort(-1, descending=True).values, torch.arange(1, z.shape[-1] + 1)
    mean, square = ranked.cumsum(-1) / ranks, ranked.square().cumsum(-1) / ranks
    thresholds = mean - (1 / ranks - square + mean.square()).clamp_min(1e-12).sqrt()
    n = (thresholds <= ranked).sum(-1, keepdim=True)
    return (z - thresholds.gather(-1, n - 1)).clamp_min(0).square()


SCORES = {
    "dot": dot,
    "scaled_dot": scaled_dot,
    "general": general,
    "additive": additive,
    "mlp": mlp,
    "cosine": cosine,
    "gaussian": gaussian,
    "location": location,
    "coverage": coverage,
    "constant": constant,
}
ALIGNMENTS = {
    "softmax": softmax,
    "uniform": softmax,  # of constant energies
    "static": static,
    "hard": hard,
    "gumbel": gumbel,
    "local_m": local_m,
    "local_p": local_p,
    "monotonic": monotonic,
    "mocha": mocha,
    "forward": forward,
    "forward_agent": forward,
    "sparsemax": sparsemax,
    "entmax_1.5": entmax,
    "sentinel": sentinel,  # a softmax over the places and one more
}
