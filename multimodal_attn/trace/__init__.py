"""What was said and where each word of it looked: the one result of everything."""

from multimodal_attn.trace.trace import (
    NEEDS,
    UNTOLD,
    AttentionTrace,
    Origin,
    SelfWeights,
    Token,
    Word,
    beside,
    encode_weights,
    join_traces,
)

__all__ = [
    "AttentionTrace",
    "NEEDS",
    "Origin",
    "SelfWeights",
    "Token",
    "UNTOLD",
    "Word",
    "beside",
    "encode_weights",
    "join_traces",
]
