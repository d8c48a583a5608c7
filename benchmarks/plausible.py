"""Random features and a random decoder that behave enough like real ones for a search to take its usual course.

Fresh parameters give nearly equal logits: rounding would choose the words, and nothing would end a sentence.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from multimodal_attn.decoders import BetweenLSTMDecoder, Decoder
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.tokens import END, PAD

GAIN = 3.0  # on the LSTMs, so that a state remembers more than the last word
SPREAD = 3.0  # standard deviation of the logits
MEAN_LENGTH = 12  # tokens of a sentence, END among them
CLOCK_COUNT, CLOCK_GAIN = 0.96, 25.0  # the counting cell after a sentence; what a full count adds to END's logit


def random_features(n_pictures: int, n_places: int, dim: int) -> Tensor:
    """(B, S, D) of pictures that differ as a whole and from place to place."""
    return (torch.randn(n_pictures, 1, dim) + torch.randn(n_pictures, n_places, dim)).relu()


@torch.no_grad()
def behave_as_trained(decoder: Decoder, features: Tensor, mean_length: int = MEAN_LENGTH) -> None:
    """Changes a fresh decoder so that words differ clearly in probability and sentences end after about mean_length.

    The LSTMs and the head are scaled; one unit of the last LSTM counts the tokens and makes END likelier; END's bias is
    found by bisection.
    """
    for name in ("words", "sentence", "from_word", "from_state"):
        for parameter in getattr(decoder, name, nn.Identity()).parameters():
            parameter *= GAIN
    tokens = torch.randint(END + 2, len(decoder.bias), (len(features), 1, mean_length))
    logits = decoder.logits(decoder.unroll(tokens, decoder.read(Memory(features)))[0])
    for parameter in decoder.head.parameters():
        parameter *= SPREAD / logits.std()
    _count_tokens(decoder, CLOCK_COUNT / mean_length)
    bisect(decoder.bias, END, lambda: _mean_length(decoder, features, 5 * mean_length // 2) - mean_length)


@torch.no_grad()
def bisect(bias: Tensor, token: int, excess: Callable[[], float], reach: float = 20.0) -> None:
    """Sets the bias of a token where `excess`, which falls as the bias grows, changes its sign."""
    low, high = -reach, reach
    for _ in range(8):
        bias[token] = (low + high) / 2
        if excess() > 0:
            low = float(bias[token])
        else:
            high = float(bias[token])


def _count_tokens(decoder: Decoder, rate: float) -> None:
    """Unit 0 of the last LSTM adds `rate` to its cell at every step, reading nothing; only END's logit reads it."""
    dim = decoder.config.dim
    if isinstance(decoder, BetweenLSTMDecoder):
        lstm = decoder.sentence
        maps, bias = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_hh_l0], lstm.bias_ih_l0
    else:
        maps, bias = [decoder.from_word.weight, decoder.from_state.weight], decoder.from_word.bias
    for parameter in maps:
        parameter[::dim] = 0  # the unit's rows of the gates i, f, g, o
    bias[::dim] = torch.tensor([10.0, 10.0, rate, 10.0])  # in, keep, how much, out
    for parameter in (decoder.first.weight, decoder.first.bias):
        parameter[-dim] = 0  # the cell starts from 0
    decoder.head.weight[0] = decoder.head.bias[0] = 0
    decoder.head.weight[0, 0] = 1
    decoder.embedding.weight[:, 0] = 0
    decoder.embedding.weight[END, 0] = CLOCK_GAIN


def _mean_length(decoder: Decoder, features: Tensor, longest: int) -> float:
    best = beam_search(decoder, decoder.read(Memory(features)), SearchConfig(beam=3, max_length=longest)).tokens[:, 0]
    return float((best != PAD).sum(1).float().mean())
