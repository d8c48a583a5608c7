"""Attention in three stages: score, align, pool. Needs nothing but torch."""

from multimodal_attn.attention.alignments import Aligned, Alignment, Choice, Softmax, Static, Uniform
from multimodal_attn.attention.attention import Attended, Attention, AttentionConfig, Keys, NoAttention, build_attention
from multimodal_attn.attention.forward import Forward, ForwardAgent
from multimodal_attn.attention.hard import Gumbel, Hard, reinforce
from multimodal_attn.attention.history import Coverage, LocationAware
from multimodal_attn.attention.kernels import Cosine, Gaussian
from multimodal_attn.attention.masking import masked_softmax, masked_uniform
from multimodal_attn.attention.monotonic import MoChA, Monotonic
from multimodal_attn.attention.registry import ALIGNMENTS, SCORES, Entry, describe
from multimodal_attn.attention.scores import MLP, Additive, Constant, Dot, General, ScaledDot, Score
from multimodal_attn.attention.sentinel import Sentinel
from multimodal_attn.attention.sparse import Entmax15, Sparsemax
from multimodal_attn.attention.windows import LocalMonotonic, LocalPredictive
from multimodal_attn.memory import Memory

__all__ = [
    "ALIGNMENTS",
    "Additive",
    "Aligned",
    "Alignment",
    "Attended",
    "Attention",
    "AttentionConfig",
    "Choice",
    "Constant",
    "Cosine",
    "Coverage",
    "Dot",
    "Entmax15",
    "Entry",
    "Forward",
    "ForwardAgent",
    "Gaussian",
    "General",
    "Gumbel",
    "Hard",
    "Keys",
    "LocalMonotonic",
    "LocalPredictive",
    "LocationAware",
    "MLP",
    "Memory",
    "MoChA",
    "Monotonic",
    "NoAttention",
    "SCORES",
    "ScaledDot",
    "Score",
    "Sentinel",
    "Softmax",
    "Sparsemax",
    "Static",
    "Uniform",
    "build_attention",
    "describe",
    "masked_softmax",
    "masked_uniform",
    "reinforce",
]
