"""AttentionTrace: the one result type. The app, the files, the pictures and the metrics all read it."""

import base64
import json
from dataclasses import asdict, dataclass, field

import numpy as np

from multimodal_attn.geometry import PictureGeometry

SCHEMA = "multimodal-attn/trace/1"


@dataclass(frozen=True)
class Token:
    """One token of the sentence; `alternatives` are the most probable tokens at this step, best first."""

    text: str
    probability: float
    alternatives: tuple[tuple[str, float], ...] = ()


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
    weights: (T, N, S) float32, N heads over S places; each row sums to 1. N is 0 for a model without attention.
    geometry: carries a place back to the original input.
    """

    text: str
    score: float
    tokens: tuple[Token, ...]
    weights: np.ndarray
    geometry: PictureGeometry
    origin: Origin = Origin()

    def map(self, token: int) -> np.ndarray:
        """(rows, cols) weights of one token, averaged over the heads. Raises ValueError where there are none."""
        if not self.weights.shape[1]:
            raise ValueError("a model without attention has no maps")
        return self.weights[token].mean(0).reshape(self.geometry.rows, self.geometry.cols)

    def to_dict(self, weights: bool = True) -> dict:
        """JSON-ready form of the schema in docs/trace-format.md."""
        data = {
            "schema": SCHEMA,
            "text": self.text,
            "score": self.score,
            "tokens": [asdict(token) for token in self.tokens],
            "geometry": self.geometry.to_dict(),
            "origin": asdict(self.origin),
        }
        return data | {"weights": encode_weights(self.weights)} if weights else data

    @classmethod
    def from_dict(cls, data: dict) -> "AttentionTrace":
        """Inverse of `to_dict`; raises ValueError for another schema or for weights that do not fit."""
        if data.get("schema") != SCHEMA:
            raise ValueError(f"not a trace of schema {SCHEMA}: {data.get('schema')!r}")
        tokens = tuple(
            Token(t["text"], t["probability"], tuple((text, p) for text, p in t["alternatives"]))
            for t in data["tokens"]
        )
        geometry = PictureGeometry.from_dict(data["geometry"])
        weights = decode_weights(data["weights"])
        if weights.ndim != 3 or weights.shape[::2] != (len(tokens), geometry.n_places):
            raise ValueError(f"weights of shape {weights.shape} do not fit {len(tokens)} tokens, {geometry}")
        return cls(data["text"], data["score"], tokens, weights, geometry, Origin(**data["origin"]))

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "AttentionTrace":
        return cls.from_dict(json.loads(text))


def encode_weights(weights: np.ndarray) -> dict:
    """Little-endian half floats in base64: a tenth of the size of JSON numbers, exact to one part in 2,000."""
    data = np.ascontiguousarray(weights, dtype="<f2").tobytes()
    return {"shape": list(weights.shape), "dtype": "float16", "data": base64.b64encode(data).decode()}


def decode_weights(data: dict) -> np.ndarray:
    """Inverse of `encode_weights`; float32 (T, N, S)."""
    flat = np.frombuffer(base64.b64decode(data["data"]), dtype="<f2")
    return flat.reshape(data["shape"]).astype(np.float32)
