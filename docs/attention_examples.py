"""Small examples for docs/attention.md: the project's own attention, its parameters set by hand."""

from typing import Any

import torch
from torch import Tensor, nn

from multimodal_attn.attention import Attention, build_attention
from multimodal_attn.layers.positions import sinusoids
from multimodal_attn.memory import Memory


def set_parameters(module: nn.Module, **values: Any) -> None:
    """Give parameters their values, by their names with _ for dots; those not named become 0."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            value = torch.as_tensor(values.pop(name.replace(".", "_"), 0.0), dtype=parameter.dtype)
            parameter.copy_(value if value.dim() == 0 else value.reshape(parameter.shape))
    if values:
        raise LookupError(f"no parameter is called {', '.join(values)}")


@torch.no_grad()
def look(attention: Attention, queries: Tensor, values: Tensor) -> Tensor:
    """The weights (T, S) of queries (T, Q), one after the other, over values (S, D)."""
    return attention.unroll(queries[None, None], attention.project(Memory(values[None])))[1][0, 0, :, 0]


# Kernel regression: the places are points (x, y), and a query asks at x

SPAN = 6.0  # of x
N_POINTS = 48


def target(x: Tensor) -> Tensor:
    return torch.sin(2 * x) * torch.exp(-x / 5) + x / 5


def noisy_points() -> Tensor:
    """Points (x, y) around the target, in the order of x. (48, 2)"""
    generator = torch.Generator().manual_seed(11)
    x = SPAN * (torch.arange(N_POINTS) + torch.rand(N_POINTS, generator=generator)) / N_POINTS
    return torch.stack([x, target(x) + 0.2 * torch.randn(N_POINTS, generator=generator)], -1)


def build_regression(**options: Any) -> Attention:
    """Compares a query x with the first number of a value (x, y)."""
    attention = build_attention({"score": "gaussian", "dim": 1} | options, query_dim=1, memory_dim=2)
    if attention.align.reads_energies:
        width = {"log_width": attention.score.log_width.detach().clone()} if options.get("learned") else {}
        set_parameters(attention.score, query_map_weight=1.0, key_map_weight=[1.0, 0.0], **width)
    return attention


def estimate(attention: Attention, x: Tensor, points: Tensor) -> Tensor:
    """What attention makes of y at x (T,). (T,)"""
    with torch.no_grad():
        return attention.unroll(x[None, None, :, None], attention.project(Memory(points[None])))[0][0, 0, :, 1]


def left_out_error(attention: Attention, points: Tensor) -> Tensor:
    """Mean squared error at every point, from the other points: each input of the batch has another point masked."""
    others = Memory(points.expand(len(points), -1, -1), ~torch.eye(len(points), dtype=torch.bool))
    context, _ = attention.unroll(points[:, None, None, :1], attention.project(others))  # (48, 1, 1, 2)
    return (context[:, 0, 0, 1] - points[:, 1]).square().mean()


def learn_width(points: Tensor) -> Attention:
    attention = build_regression(width=1.0, learned=True)
    optimizer = torch.optim.Adam([attention.score.log_width], 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        left_out_error(attention, points).backward()
        optimizer.step()
    return attention


def regressions(points: Tensor) -> dict[str, Attention]:
    learned = learn_width(points)
    return {
        "uniform: the average": build_regression(align="uniform"),
        "gaussian, width 1": build_regression(width=1.0),
        f"gaussian, learned width {learned.score.log_width.exp().item():.2f}": learned,
        "gaussian, width 0.03": build_regression(width=0.03),
    }


# Scores: one query, and keys all over the plane

QUERY = (1.0, 0.5)
UNITS = torch.tensor([[2.5, 0.0], [2.5, 0.0], [0.0, 2.5], [0.0, 2.5]])  # for each axis a step up and a step down
HIDDEN = {"query_map_weight": -UNITS, "key_map_weight": UNITS, "query_map_bias": [2.0, -2.0, 2.0, -2.0]}
BOTH = [[1.5, 0, 0, 0], [-1.5, 0, 0, 0]] * 2  # a unit of the second layer that needs both axes
SCORES: dict[str, tuple[dict, dict]] = {  # options, and parameters
    "dot": ({"project": False}, {}),
    "scaled_dot": ({"project": False}, {}),
    "general": ({}, {"key_map_weight": [[0.0, -1.0], [1.0, 0.0]]}),
    "cosine": ({"project": False}, {"strength_map_bias": 5.0}),
    "gaussian": ({"project": False, "width": 0.7}, {}),
    "additive": ({"dim": 4}, HIDDEN | {"v": [1.0, -1.0, 1.0, -1.0]}),
    "mlp": ({"dim": 4}, HIDDEN | {"v": [2.0, 0, 0, 0], "hidden": BOTH, "hidden_bias": [-4.0, 0, 0, 0]}),
}


@torch.no_grad()
def score_plane(name: str, n: int) -> Tensor:
    """Energies of keys from -2 to 2 on both axes, the highest row first. (n, n)"""
    options, parameters = SCORES[name]
    attention = build_attention({"score": name} | options, query_dim=2, memory_dim=2)
    set_parameters(attention.score, **parameters)
    axis = torch.linspace(-2, 2, n)
    keys = torch.stack([axis.expand(n, n), axis.flip(0).unsqueeze(1).expand(n, n)], -1)
    queries = attention.score.queries(torch.tensor([[QUERY]]))
    return attention.score(queries, attention.project(Memory(keys.view(1, -1, 2))).keys).view(n, n)


# Alignments: the same energies for all

N_PLACES = 40
PLACES = (2, 5, 8, 11, 14, 14, 18, 22, 25, 29, 33, 37)  # the right one for each of 12 tokens
DISTRACTORS = ((3, 31), (8, 6))  # token and place: a better match further on, and one further back
N_TOKENS = len(PLACES)
ALIGNMENTS: dict[str, dict] = {
    "uniform": {"align": "uniform"},
    "static": {"align": "static"},
    "softmax": {"align": "softmax"},
    "softmax, temperature 0.3": {"align": "softmax", "temperature": 0.3},
    "softmax, temperature 3": {"align": "softmax", "temperature": 3.0},
    "sparsemax": {"align": "sparsemax"},
    "entmax_1.5": {"align": "entmax_1.5"},
    "hard, gumbel: drawn (training)": {"align": "hard", "soft": 0.0},
    "hard, gumbel: the best (evaluation)": {"align": "hard"},
    "local_m, window 5": {"align": "local_m", "window": 5, "rate": N_PLACES / N_TOKENS},
    "local_p, window 6": {"align": "local_p", "window": 6},
    "monotonic: expected (training)": {"align": "monotonic", "noise": 0.0},
    "monotonic: one walk (evaluation)": {"align": "monotonic"},
    "forward, reach 5": {"align": "forward", "reach": 5},
    "mocha, chunk 4: expected (training)": {"align": "mocha", "noise": 0.0},
    "mocha, chunk 4: one walk (evaluation)": {"align": "mocha"},
    "forward_agent, reach 5": {"align": "forward_agent", "reach": 5},
}


def planted_energies() -> Tensor:
    """About -3 where nothing matches, 3 at the right places, and 4 at the distractors. (12, 40)"""
    energies = 0.25 * torch.randn(N_TOKENS, N_PLACES, generator=torch.Generator().manual_seed(1))
    for token, place, height in [(*spot, 6.0) for spot in enumerate(PLACES)] + [(*spot, 7.0) for spot in DISTRACTORS]:
        energies[token] += height * torch.exp(-(torch.arange(N_PLACES) - place).square() / 3.4)
    return energies - 3


def align_planted(title: str) -> Tensor:
    """The weights (12, 40) of one of ALIGNMENTS. Queries and values are one-hot, so the score holds the energies."""
    attention = build_attention({"score": "general", "dim": 1} | ALIGNMENTS[title], N_TOKENS, N_PLACES)
    if attention.align.reads_energies:
        energies = planted_energies()
        names = [name.replace(".", "_") for name, _ in attention.score.named_parameters()]
        set_parameters(attention.score, **dict.fromkeys(names, energies))
    if hasattr(attention.align, "position"):  # local_p predicts a straight line
        line = torch.logit((torch.arange(N_TOKENS) + 0.5) / N_TOKENS)
        set_parameters(attention.align.position, **{"0_weight": torch.atanh(line / 5), "2_weight": 5.0})
    if hasattr(attention.align, "agent"):  # the agent knows after which tokens to stay
        moves = torch.tensor(PLACES).diff(append=torch.tensor([N_PLACES])) > 0
        weight = torch.cat([torch.zeros(N_PLACES), torch.where(moves, 2.0, -2.0)])
        set_parameters(attention.align.agent, **{"0_weight": weight, "2_weight": 4.0})
    torch.manual_seed(3)
    return look(attention.train("(training)" in title), torch.eye(N_TOKENS), torch.eye(N_PLACES))


# Scores that read the earlier weights

WORD, PER_LETTER = "banana", 2
STRIKING = (0, 1, 1, 0, 0, 0.8, 0.8, 0, 0, 0.6, 0.6, 0)


def read_word(score: str) -> Tensor:
    """Weights (6, 12) of the letters of a word over a sound that holds each for two places."""
    options = {"filters": 1, "width": 5} if score == "location" else {}
    attention = build_attention({"score": score, "dim": 4} | options, 3, 3)
    match = 3 * torch.eye(4)[:, :3]  # for each letter a unit that is high if query and place have it
    parameters = {"query_map_weight": match, "key_map_weight": match, "query_map_bias": [-4.5, -4.5, -4.5, 0]}
    if options:  # the fourth unit: was the place one letter before looked at?
        parameters |= {"filters": [1.0, 0, 0, 0, 0], "location_map": [0, 0, 0, 4.0]}
    set_parameters(attention.score, v=[2.0, 2.0, 2.0, 3.0], **parameters)
    letters = torch.eye(3)[["ban".index(letter) for letter in WORD]]
    return look(attention, letters, letters.repeat_interleave(PER_LETTER, 0))


def list_things(score: str) -> Tensor:
    """Weights (4, 12) of four equal queries for what is striking, over places where three things are."""
    attention = build_attention({"score": score, "dim": 1}, 1, 1)
    parameters = {"u": -0.6} if score == "coverage" else {}
    set_parameters(attention.score, v=40.0, key_map_weight=0.3, **parameters)
    return look(attention, torch.zeros(4, 1), torch.tensor(STRIKING).unsqueeze(1))


# Self-attention: two heads of one attention over a sentence

SENTENCE = ("the", "dog", "saw", "the", "other", "dog")
CODE = 16  # numbers of a word's name, and of its position code


@torch.no_grad()
def look_at_itself(causal: bool) -> Tensor:
    """Weights (2, 6, 6): the first head compares words, the second asks for the position before its own."""
    words, places = sorted(set(SENTENCE)), torch.arange(len(SENTENCE))
    names = torch.eye(CODE)[[words.index(word) for word in SENTENCE]]
    values = torch.cat([names, sinusoids(places, CODE)], -1)  # (6, 32)
    attention = build_attention({"score": "scaled_dot", "heads": 2, "dim": 2 * CODE}, 2 * CODE, 2 * CODE)
    maps = [torch.block_diag(4 * torch.eye(CODE), 5 * back) for back in (move_back(CODE), torch.eye(CODE))]
    set_parameters(attention.score, query_map_weight=maps[0], key_map_weight=maps[1])
    # each token is an input of its own, whose mask hides what comes later
    mask = places <= places.unsqueeze(1) if causal else torch.ones(len(places), len(places), dtype=torch.bool)
    keys = attention.project(Memory(values.expand(len(places), -1, -1), mask))
    return attention(values.unsqueeze(1), keys, ()).weights[:, 0].transpose(0, 1)


def move_back(dim: int) -> Tensor:
    """The matrix that turns the code of any place into that of the place before: it rotates each sine and cosine."""
    codes = sinusoids(torch.tensor([1]), dim)[0].view(-1, 2)  # sine and cosine of each angle from place to place
    return torch.block_diag(*(torch.tensor([[cos, -sin], [sin, cos]]) for sin, cos in codes.tolist()))
