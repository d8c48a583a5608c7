"""Attention in three stages: score, align, pool. Needs nothing but torch."""

from multimodal_attn.attention.alignments import ALIGNMENTS, Alignment, Softmax, Static, Uniform
from multimodal_attn.attention.attention import Attended, Attention, AttentionConfig, Keys, NoAttention, build_attention
from multimodal_attn.attention.masking import masked_softmax, masked_uniform
from multimodal_attn.attention.scores import SCORES, Additive, Constant, Dot, General, ScaledDot

__all__ = [
    "ALIGNMENTS",
    "SCORES",
    "Additive",
    "Alignment",
    "Attended",
    "Attention",
    "AttentionConfig",
    "Constant",
    "Dot",
    "General",
    "Keys",
    "NoAttention",
    "ScaledDot",
    "Softmax",
    "Static",
    "Uniform",
    "build_attention",
    "masked_softmax",
    "masked_uniform",
]
