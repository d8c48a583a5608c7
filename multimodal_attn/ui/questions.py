"""What the page may ask about a result that it shows: what each word needed, whether it needed what it looked at, what
the model writes from another beginning or without a part of the input, and what else it might have written.

A question holds all that it is about, so the server keeps nothing of what it has answered.
"""

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from multimodal_attn.errors import UserError
from multimodal_attn.questions.faithful import measure_faithful
from multimodal_attn.tokens import END, begin_to_ids
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.viewer.payloads import Save, complete, new_id, problem

N_BEST = 5
LONG = "Too long to be asked about: the model reads this in pieces."
AS_IT_IS = {"speeds": [1.0], "looks": [1.0], "consensus": 0.0, "silence": 1.0}  # of a sentence that is given


class Asked(Protocol):
    """What questions need of a predictor beside what every Reader has."""

    model: Any

    def pieces(self, source: str) -> Iterator[Any]: ...
    def __call__(self, source: Any, **options: Any) -> AttentionTrace: ...
    def case(self, items: list, **asked: Any) -> Any: ...
    def needs(self, item: Any, trace: AttentionTrace) -> Iterator[tuple[float, AttentionTrace]]: ...
    def best(self, source: Any, n: int, **asked: Any) -> list: ...


def can_be_asked(reader: Any) -> bool:
    return hasattr(reader, "needs")


def answer_question(reader: Asked, source: str, question: dict, save: Save) -> Iterator[dict]:
    """Payloads {id, of, ...} for a question as `events.rebuild_question` lets it pass; `of` is what it is about."""
    of = {"id": new_id(), "of": question["of"], "want": question["want"]}
    try:
        for payload in ANSWERS[question["want"]](reader, source, question, save):
            yield {**of, **payload, "id": new_id()}
    except UserError as error:
        yield of | problem(str(error).replace(source, "this"))
    except Exception:
        logging.exception("%s failed on a question", question["want"])
        yield of | problem("The model failed on this; the terminal has the details")


def read_item(reader: Asked, source: str) -> Any:
    """What is encoded at once. Raises UserError where that is not the whole."""
    items = list(islice(reader.pieces(source), 2))
    if len(items) > 1:
        raise UserError(LONG)
    return items[0]


def given(reader: Asked, item: Any, question: dict) -> AttentionTrace:
    """The trace of the sentence that the question is about."""
    return reader(item, begin=[*question["begin"], END], hidden=question["hidden"], **AS_IT_IS)


def told_needed(reader: Asked, source: str, question: dict, save: Save) -> Iterator[dict]:
    item = read_item(reader, source)
    for share, trace in reader.needs(item, given(reader, item, question)):
        yield {"needed": trace.to_dict()["needed"]} if share == 1 else {"done": share}


def tested(reader: Asked, source: str, question: dict, save: Save) -> Iterator[dict]:
    item = read_item(reader, source)
    trace, case = given(reader, item, question), reader.case([item], hidden=question["hidden"])
    for share, found in measure_faithful(case, trace):
        yield {"test": found.to_dict()} if found else {"testing": share}


def again(reader: Asked, source: str, question: dict, save: Save) -> Iterator[dict]:
    trace = reader(read_item(reader, source), begin=beginning(reader, question), hidden=question["hidden"])
    yield {key: value for key, value in complete({}, trace, save).items() if key != "media"}


def best(reader: Asked, source: str, question: dict, save: Save) -> Iterator[dict]:
    item = read_item(reader, source)
    found = reader.best(item, N_BEST, begin=beginning(reader, question), hidden=question["hidden"])
    yield {"best": [{"trace": sentence.trace.to_dict(), "parts": sentence.parts} for sentence in found]}


def beginning(reader: Asked, question: dict) -> list[int]:
    """Ids of the tokens to begin with, and of what was written behind them."""
    tokenizer = reader.model.tokenizer
    return [*begin_to_ids(tokenizer, question["begin"]), *begin_to_ids(tokenizer, question["written"])]


ANSWERS: dict[str, Callable[[Asked, str, dict, Save], Iterator[dict]]] = {
    "needed": told_needed,
    "test": tested,
    "again": again,
    "best": best,
}
