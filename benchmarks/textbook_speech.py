"""The textbook of speech: packed BLSTMs, a loop over the tokens, and nothing done once that can be done at every step.

`textbook_loss` is the same function as ours with the same parameters, so that loss and gradients must agree;
`speller_loss` has the textbook's own decoder, which attends to the encoder's output as wide as it is.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.textbook import State, TextbookDecoder, TextbookTrainer
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.recurrent import FlippedBLSTM
from multimodal_attn.losses import cross_entropy
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model
from multimodal_attn.search.ctc import ctc_loss
from multimodal_attn.senses.sound.encoder import BLSTM, join_neighbours
from multimodal_attn.tokens import PAD, START

SMOOTHING, CTC_SHARE = 0.1, 0.5  # of the loss, as in tasks/speech/configs/english.yaml


class TextbookListener:
    """A BLSTM encoder of ours, its own parameters, computed with packed sequences."""

    def __init__(self, listener: nn.Module) -> None:
        if not isinstance(listener, BLSTM):
            raise ConfigError("the textbook knows the blstm encoder alone")
        self.norms, self.dropout, self.joins = listener.norms, listener.dropout, listener.joins
        self.layers = [_bidirectional(layer) for layer in listener.layers]

    def __call__(self, memory: Memory) -> Memory:
        x, mask = memory.clean(), memory.mask
        for n, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            heard, same = x, x
            if n in self.joins:
                heard, mask = join_neighbours(x, mask)
                same = heard.unflatten(2, (2, -1)).mean(2)
            packed = pack_padded_sequence(heard, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
            heard, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=heard.shape[1])
            x = norm(same + self.dropout(heard))
        return Memory(x, mask)


class TextbookWriter(TextbookDecoder):
    """The textbook's decoder over memories of different lengths: every sound of the batch is one of its k."""

    def begin(self, memory: Memory) -> tuple[Memory, State]:
        project, *rest = self.decoder.bridge
        values = nn.Sequential(*rest)(linear(memory.clean(), project.weight, project.bias))
        memory = Memory(Memory(values, memory.mask).clean(), memory.mask)
        first = torch.tanh(self.decoder.first(memory.summary()))
        return memory, first.chunk(2 * len(self.cells), 1)

    def attend(self, query: Tensor, memory: Memory) -> Tensor:
        energies = self.energies(query, memory.values).masked_fill(~memory.mask, -torch.inf)
        return self.pool(energies, query, memory.values)


def textbook_loss(model: Model, features: Memory, tokens: Tensor) -> Tensor:
    """The joint loss of frames (B, F, 80) and their tokens (B, T), closed by END and then PAD."""
    memory = listen(model, features)
    writer = TextbookWriter(model.decoder)
    values, state = writer.begin(memory)
    last, steps = torch.full_like(tokens[:, 0], START), []
    for token in tokens.unbind(1):
        logp, state = writer.step(last, values, state)
        steps.append(logp)
        last = token
    return _joint(torch.stack(steps, 1), tokens, _heard(model, memory), memory.mask)


def speller_loss(model: Model, speller: TextbookTrainer, features: Memory, tokens: Tensor) -> Tensor:
    """The joint loss of our encoder and CTC head, and of another decoder."""
    memory = listen(model, features)
    return _joint(speller(_before(tokens), memory.clean(), memory.mask), tokens, _heard(model, memory), memory.mask)


def listen(model: Model, features: Memory) -> Memory:
    return TextbookListener(model.encoder.listener)(model.encoder.subsample(features))


def our_loss(model: Model, features: Memory, tokens: Tensor) -> Tensor:
    """The same by our model."""
    memory, decoder = model.encoder.encode(features), model.decoder
    hidden, _ = decoder.unroll(_before(tokens)[:, None], decoder.read(memory))
    return _joint(decoder.logits(hidden[:, 0]), tokens, model.ctc(memory), memory.mask)


def _before(tokens: Tensor) -> Tensor:
    return torch.cat([torch.full_like(tokens[:, :1], START), tokens[:, :-1]], 1)


def _heard(model: Model, memory: Memory) -> Tensor:
    output = model.ctc.output
    return linear(memory.clean(), output.weight, output.bias).float().log_softmax(-1)


def _joint(logits: Tensor, tokens: Tensor, heard: Tensor, mask: Tensor) -> Tensor:
    """Of logits (B, T, V) and CTC's log-probabilities (B, S, V) at the real places (B, S)."""
    real = tokens != PAD
    loss = cross_entropy(logits[real], tokens[real], SMOOTHING)
    return (1 - CTC_SHARE) * loss + CTC_SHARE * ctc_loss(heard, mask, tokens)


def _bidirectional(layer: FlippedBLSTM) -> nn.LSTM:
    """torch's own BLSTM with our parameters, not copies of them."""
    lstm = nn.LSTM(layer.ahead.input_size, layer.ahead.hidden_size, batch_first=True, bidirectional=True)
    for name in dict(lstm.named_parameters()):
        half = layer.back if name.endswith("_reverse") else layer.ahead
        setattr(lstm, name, getattr(half, name.removesuffix("_reverse")))
    return lstm
