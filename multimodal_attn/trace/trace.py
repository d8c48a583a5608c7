"""AttentionTrace: the one result type. The app, the files, the pictures and the metrics all read it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from multimodal_attn.senses import Geometry, geometry_from_dict
from multimodal_attn.trace.health import Health, measure_health

SCHEMA = "multimodal-attn/trace/2"
READ = (SCHEMA, "multimodal-attn/trace/1")  # the older one knew neither ids nor what was needed

NEEDS = 0.1  # of its probability: what loses less without any one place needed none


@dataclass(frozen=True)
class Token:
    """One token of the sentence; `alternatives` are the most probable tokens at this step, best first. id: its number
    in the vocabulary, where that is known."""

    text: str
    probability: float
    alternatives: tuple[tuple[str, float], ...] = ()
    id: int | None = None


UNTOLD = Token("", 0.0)  # in the place of a token of which only the number is wanted


@dataclass(frozen=True)
class Word:
    """A word and when it was heard, in seconds of the sound.

    first, last: its tokens are trace.tokens[first:last]. start, end: by the attention. ctc: the same by the CTC head,
    a second opinion, where the model has one. probability: of its tokens, signs aside, one after the other.
    """

    text: str
    first: int
    last: int
    start: float
    end: float
    ctc: tuple[float, float] | None = None
    probability: float | None = None


@dataclass(frozen=True)
class SelfWeights:
    """Which place of an input looks at which inside its encoder.

    heads: (layer, head) of each map, counted from 0. weights: (H, S, S) float32, the place that looks first; each row
    sums to 1, or to less where it looks at the silence behind a sound too. first: number of the first of these places
    among those of the trace.
    """

    heads: tuple[tuple[int, int], ...]
    weights: np.ndarray
    first: int = 0

    def to_dict(self) -> dict:
        return {"first": self.first, "heads": self.heads, "weights": encode_weights(self.weights)}

    @classmethod
    def from_dict(cls, data: dict, n_places: int) -> "SelfWeights":
        """Raises ValueError for weights that fit neither their heads nor a trace of n_places."""
        heads, weights = tuple((layer, head) for layer, head in data["heads"]), decode_weights(data["weights"])
        first, shape = data["first"], weights.shape
        if len(shape) != 3 or shape[0] != len(heads) or shape[1] != shape[2] or not 0 <= first <= n_places - shape[2]:
            raise ValueError(f"self-attention of shape {shape} does not fit {len(heads)} heads, {n_places} places")
        return cls(heads, weights, first)


@dataclass(frozen=True)
class Origin:
    """Where a trace came from, enough to make it again."""

    checkpoint: str = ""
    sha256: str = ""
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class AttentionTrace:
    """A sentence, and for each of its tokens where the model looked.

    text: the sentence. score: mean log-probability per token, the end of the sentence counted.
    tokens: T tokens, the end of the sentence not among them.
    weights: (T, N, S) float32, N heads over S places; each row sums to 1, or to less where the mechanism may look
    elsewhere. N is 0 for a model without attention.
    geometry: carries a place back to the original input.
    words: of a sound, each with its times. note: why the text is empty, where the input held nothing to read.
    self_attention: the encoder's own, where it was asked for; of a long input one for each piece.
    needed: (T, S) float32, how much less probable a token is when the part of the input that a place belongs to is
    hidden; None where that was not measured.
    """

    text: str
    score: float
    tokens: tuple[Token, ...]
    weights: np.ndarray
    geometry: Geometry
    origin: Origin = Origin()
    words: tuple[Word, ...] = ()
    note: str = ""
    self_attention: tuple[SelfWeights, ...] = ()
    needed: np.ndarray | None = None

    def map(self, token: int) -> np.ndarray:
        """Weights of one token, mean over heads, in the geometry's shape: (rows, cols) of a picture, (S,) of a sound.

        Raises ValueError where there are none.
        """
        if not self.weights.shape[1]:
            raise ValueError("a model without attention has no maps")
        return self.weights[token].mean(0).reshape(self.geometry.shape)

    @cached_property
    def health(self) -> Health:
        """What the weights look like, and what is wrong with them."""
        return measure_health(self.weights, self.geometry)

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """What each token needed: "looked", the place where it looked most or one beside it; "elsewhere"; or "nothing",
        it loses less than a tenth of its probability without any one place. () where that was not measured."""
        if self.needed is None or not self.geometry.n_places:
            return ()
        most, falls = self.needed.argmax(1), self.needed.max(1)
        near = np.zeros(len(most), bool)
        if self.weights.shape[1]:
            near = beside(self.geometry, most, self.weights.mean(1).argmax(1))
        needy = falls >= NEEDS * np.array([token.probability for token in self.tokens])
        return tuple(np.where(needy, np.where(near, "looked", "elsewhere"), "nothing").tolist())

    def to_dict(self, weights: bool = True) -> dict:
        """JSON-ready form of the schema in docs/trace-format.md."""
        data = {
            "schema": SCHEMA,
            "text": self.text,
            "score": self.score,
            "tokens": [asdict(token) for token in self.tokens],
            "geometry": self.geometry.to_dict(),
            "origin": asdict(self.origin),
            "health": self.health.to_dict(),
        }
        if self.words:
            data["words"] = [asdict(word) for word in self.words]
        if self.note:
            data["note"] = self.note
        if weights and self.self_attention:
            data["self_attention"] = [each.to_dict() for each in self.self_attention]
        if self.needed is not None:
            data["needed"] = encode_weights(self.needed) | {"tokens": list(self.needs)}
        return data | {"weights": encode_weights(self.weights)} if weights else data

    @classmethod
    def from_dict(cls, data: dict) -> "AttentionTrace":
        """Inverse of `to_dict`, with health measured anew; raises ValueError for another schema or unfit weights."""
        if data.get("schema") not in READ:
            raise ValueError(f"not a trace of schema {SCHEMA}: {data.get('schema')!r}")
        tokens = tuple(
            Token(t["text"], t["probability"], tuple((text, p) for text, p in t["alternatives"]), t.get("id"))
            for t in data["tokens"]
        )
        geometry = geometry_from_dict(data["geometry"])
        weights = decode_weights(data["weights"])
        if weights.ndim != 3 or weights.shape[::2] != (len(tokens), geometry.n_places):
            raise ValueError(f"weights of shape {weights.shape} do not fit {len(tokens)} tokens, {geometry}")
        needed = decode_weights(data["needed"]) if "needed" in data else None
        if needed is not None and needed.shape != weights.shape[::2]:
            raise ValueError(f"needed of shape {needed.shape} does not fit {len(tokens)} tokens, {geometry}")
        words = tuple(
            Word(**word | {"ctc": tuple(word["ctc"]) if word["ctc"] else None}) for word in data.get("words", ())
        )
        origin = Origin(**data["origin"])
        looks = tuple(SelfWeights.from_dict(each, geometry.n_places) for each in data.get("self_attention", ()))
        note = data.get("note", "")
        return cls(data["text"], data["score"], tokens, weights, geometry, origin, words, note, looks, needed)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "AttentionTrace":
        return cls.from_dict(json.loads(text))


def beside(geometry: Geometry, places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each place (n,) lies in the same part of the input as the other one (n,), or in one beside it."""
    spots = np.stack(np.unravel_index(np.asarray(geometry.parts), geometry.shape))  # (axes, S)
    return np.abs(spots[:, places] - spots[:, others]).max(0) <= 1


def join_traces(pieces: Sequence[AttentionTrace]) -> AttentionTrace:
    """One trace of the pieces of one input, in order: their tokens one after the other, each looking at its own piece.

    Raises ValueError for no piece at all, and for pieces of several models, whose places differ in length.
    """
    if len(pieces) == 1:
        return pieces[0]
    if len({piece.weights.shape[1] for piece in pieces}) > 1:
        raise ValueError("these traces are of several models and cannot be joined")
    geometry, offsets = type(pieces[0].geometry).join([piece.geometry for piece in pieces])
    n_tokens = np.cumsum([0, *(len(piece.tokens) for piece in pieces)])
    weights = np.zeros((n_tokens[-1], pieces[0].weights.shape[1], geometry.n_places), np.float32)
    needed = None if any(piece.needed is None for piece in pieces) else np.zeros(weights.shape[::2], np.float32)
    words: list[Word] = []
    looks: list[SelfWeights] = []
    for piece, place, token in zip(pieces, offsets, n_tokens.tolist(), strict=False):
        where = slice(token, token + len(piece.tokens)), slice(place, place + piece.geometry.n_places)
        weights[where[0], :, where[1]] = piece.weights
        if needed is not None:
            needed[where] = piece.needed
        words += [replace(word, first=word.first + token, last=word.last + token) for word in piece.words]
        looks += [replace(look, first=look.first + place) for look in piece.self_attention]
    # END counts as a token of every piece
    score = np.average([piece.score for piece in pieces], weights=[len(piece.tokens) + 1 for piece in pieces])
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    text = " ".join(piece.text for piece in pieces if piece.text)
    note = "" if text else pieces[0].note
    origin = pieces[0].origin
    return AttentionTrace(
        text, float(score), tokens, weights, geometry, origin, tuple(words), note, tuple(looks), needed
    )


def encode_weights(weights: np.ndarray) -> dict:
    """Little-endian half floats in base64: a tenth of the size of JSON numbers, exact to one part in 2,000."""
    data = np.ascontiguousarray(weights, dtype="<f2").tobytes()
    return {"shape": list(weights.shape), "dtype": "float16", "data": base64.b64encode(data).decode()}


def decode_weights(data: dict) -> np.ndarray:
    """Inverse of `encode_weights`; float32 (T, N, S)."""
    flat = np.frombuffer(base64.b64decode(data["data"]), dtype="<f2")
    return flat.reshape(data["shape"]).astype(np.float32)
