"""A task whose right alignment is known: at every step one place holds the answer, and a cue names that place.

The planted places of a sentence go forward, by no or one place a step, so that mechanisms that can only go forward can
follow; from which place to start and when to go on is drawn, so that the step's number is not enough.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.attention import build_attention, reinforce
from multimodal_attn.memory import Memory

T, N_ANSWERS = 5, 5
GRID = (2, 3)
N_PLACES = {"sequence": 7, "grid": GRID[0] * GRID[1]}


class Planted(NamedTuple):
    """queries (B, 1, T, Q), memory of S places, the planted places and the answers there, both (B, 1, T)."""

    queries: Tensor
    memory: Memory
    places: Tensor
    answers: Tensor


def sequence_names(n: int) -> Tensor:
    """A name for every place, different in every sentence: one of S letters, in random order. (n, S, S)"""
    return functional.one_hot(torch.rand(n, N_PLACES["sequence"]).argsort(-1)).float()


def grid_names(n: int) -> Tensor:
    """The letter of the row and the letter of the column, so that neither alone names a place. (n, H * W, H + W)"""
    rows, columns = (functional.one_hot(torch.rand(n, size).argsort(-1)).float() for size in GRID)
    rows, columns = rows[:, :, None].expand(-1, -1, GRID[1], -1), columns[:, None].expand(-1, GRID[0], -1, -1)
    return torch.cat([rows, columns], -1).flatten(1, 2)


def plant(form: str, n: int) -> Planted:
    """n sentences. A value is the place's name and its answer; a query the name of the planted place and the step."""
    names = {"sequence": sequence_names, "grid": grid_names}[form](n)  # (n, S, W)
    answers = torch.randint(N_ANSWERS, names.shape[:2])
    places = torch.randint(2, (n, T)).cumsum(-1)
    cues = names.gather(1, places.unsqueeze(-1).expand(-1, -1, names.shape[-1]))
    steps = torch.eye(T).expand(n, -1, -1)
    values = torch.cat([names, functional.one_hot(answers, N_ANSWERS)], -1)
    queries = torch.cat([cues, steps], -1)
    return Planted(queries.unsqueeze(1), Memory(values), places.unsqueeze(1), answers.gather(1, places).unsqueeze(1))


class Solver(nn.Module):
    """An attention, and the answer's part of its context as logits, by one learned factor.

    With any linear reading, one of the answers could be told by not looking at it.
    """

    def __init__(self, mechanism: dict, example: Planted) -> None:
        super().__init__()
        widths = example.queries.shape[-1], example.memory.values.shape[-1]
        self.attention = build_attention({"dim": 32} | mechanism, *widths)
        self.sharpness = nn.Parameter(torch.tensor(10.0))

    def read(self, context: Tensor) -> Tensor:
        return self.sharpness * context[..., -N_ANSWERS:]

    def loss(self, task: Planted) -> Tensor:
        context, _, choice = self.attention.unroll_choices(task.queries, self.attention.project(task.memory))
        likelihood = self.read(context).log_softmax(-1).gather(-1, task.answers.unsqueeze(-1)).squeeze(-1)
        loss = -likelihood.mean()
        if choice is not None:
            real = torch.ones_like(task.answers, dtype=torch.bool)
            loss = loss + reinforce(choice, likelihood, real, likelihood.detach().mean())
        return loss

    @torch.no_grad()
    def accuracy(self, task: Planted) -> tuple[float, float]:
        """How often the answer is right, and how often the planted place has the highest weight: of the one head that
        finds it most often, since another may be idle, or of all heads together."""
        context, weights = self.attention.unroll(task.queries, self.attention.project(task.memory))
        right = self.read(context).argmax(-1) == task.answers
        looks = torch.cat([weights, weights.sum(3, keepdim=True)], 3)  # (B, M, T, N + 1, S)
        found = (looks.argmax(-1) == task.places.unsqueeze(-1)) & (looks.amax(-1) > 0)
        return right.float().mean().item(), found.float().mean((0, 1, 2)).max().item()


def learn(mechanism: dict, form: str, n_steps: int = 800, lr: float = 0.02) -> tuple[float, float]:
    """Accuracies on new sentences after training, which ends early when nearly nothing is wrong."""
    torch.manual_seed(1)
    solver = Solver(mechanism, plant(form, 1))
    optimizer = torch.optim.Adam(solver.parameters(), lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.1, n_steps)
    for step in range(1, n_steps + 1):
        optimizer.zero_grad()
        solver.train().loss(plant(form, 64)).backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 and min(solver.eval().accuracy(plant(form, 256))) > 0.998:
            break
    return solver.eval().accuracy(plant(form, 512))
