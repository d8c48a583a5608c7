"""Model: an encoder, a decoder and their tokenizer, and the way from encoded input to traces."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from multimodal_attn.decoders import Decoder, DecoderConfig, Ready, build_decoder
from multimodal_attn.errors import CheckpointError, ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.search import Hypotheses, SearchConfig, beam_search, without_specials
from multimodal_attn.search.consensus import agree
from multimodal_attn.search.ctc import CTCHead, ctc_align
from multimodal_attn.search.ctc_prefix import CTCPrefixScorer
from multimodal_attn.search.language_model import LanguageModel, LanguageModelConfig, LanguageModelScorer
from multimodal_attn.search.scorers import Scorer
from multimodal_attn.search.word_model import WordModel, WordModelConfig, WordScorer
from multimodal_attn.senses import Geometry, build_encoder, sense_of
from multimodal_attn.tokens import END, NEVER_SAID, NO_SPEECH, PAD, START, ids_to_text, spelled
from multimodal_attn.trace import UNTOLD, AttentionTrace, Origin, Token, Word
from multimodal_attn.trace.times import said_tokens, token_spans, word_times

N_ALTERNATIVES = 5


class Reading(NamedTuple):
    """A batch as the encoder heard or saw it, and made ready for the decoder."""

    memory: Memory
    source: Ready


class Model(nn.Module):
    """encoder(batch) -> Memory; decoder over it; tokenizer for its ids.

    Where there are such: ctc, a second reader of the memory, language and words, models of text that a search may ask,
    and source_tokenizer, of text that is read by a vocabulary of its own.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: Decoder,
        tokenizer: Tokenizer,
        ctc: CTCHead | None = None,
        language: LanguageModel | None = None,
        words: WordModel | None = None,
        source_tokenizer: Tokenizer | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        self.ctc, self.language, self.words = ctc, language, words

    @property
    def reads_by(self) -> Tokenizer:
        """The tokenizer of text that the encoder reads."""
        return self.tokenizer if self.source_tokenizer is None else self.source_tokenizer

    @property
    def n_heads(self) -> int:
        """Maps per token; 0 for a decoder without attention."""
        return self.decoder.n_maps

    def read(self, batch: Any) -> Reading:
        """Encode a batch once; everything that follows asks what came of it."""
        memory = self.encoder(batch)
        return Reading(memory, self.decoder.read(memory))

    def silence(self, source: Ready) -> Tensor | None:
        """The decoder's own probability (B,) that there is nothing to write, if it has one."""
        token = self.tokenizer.token_to_id(NO_SPEECH)
        has_one = token is not None and source.prefix is not None and source.prefix.shape[1]
        return self.decoder.first_chances(source)[:, token] if has_one else None

    def scorers(self, memory: Memory, config: SearchConfig) -> list[Scorer]:
        """What joins the decoder in a search. Raises ConfigError for the weight of a part that is not there."""
        scorers: list[Scorer] = []
        if config.ctc:
            scorers.append(CTCPrefixScorer(_present(self.ctc, "ctc")(memory), memory.mask))
        if config.lm:
            scorers.append(LanguageModelScorer(_present(self.language, "lm")))
        if config.words:
            scorers.append(WordScorer(_present(self.words, "words")))
        return scorers


def build_model(
    encoder: Any,
    decoder: DecoderConfig,
    tokenizer: Tokenizer,
    ctc: bool = False,
    language: LanguageModelConfig | None = None,
    words: WordModelConfig | None = None,
    source_tokenizer: Tokenizer | None = None,
) -> Model:
    """A model with fresh parameters (the encoder's may come from a file, see ImageEncoderConfig.weights)."""
    n_tokens = tokenizer.get_vocab_size()
    n_read = n_tokens if source_tokenizer is None else source_tokenizer.get_vocab_size()
    senses = build_encoder(replace(encoder, n_tokens=n_read) if hasattr(encoder, "n_tokens") else encoder)
    head = CTCHead(senses.dim, n_tokens) if ctc else None
    fluent = LanguageModel(language, n_tokens) if language else None
    counted = WordModel(words, n_tokens) if words else None
    writer = build_decoder(decoder, senses.dim, n_tokens)
    return Model(senses, writer, tokenizer, head, fluent, counted, source_tokenizer)


@torch.inference_mode()
def decode(
    model: Model,
    batch: Any,
    geometries: Sequence[Geometry],
    config: SearchConfig,
    origin: Origin,
    weights: bool = True,
    begin: Sequence[int] = (),
) -> list[AttentionTrace]:
    """Search the best sentence of every input, then read weights and probabilities off one teacher-forced pass.

    begin: the ids that every sentence starts with.
    Inputs that have a speed are searched at all of the config's speeds, those that are looked at at all of its looks;
    the trace is of the input as it is. Without `weights` it has none, and only the number of its tokens, so that the
    pass is spared where words have no times.
    """
    reading = model.read(batch)
    change, amounts = _changes(model, config)
    readings = (reading if amount == 1 else model.read(change(batch, amount)) for amount in amounts)
    found = [search(model, each, config, begin) for each in readings]
    sentences = agree(found, model.tokenizer, config.consensus)
    if not (weights or sense_of(model.encoder.sense).timed):
        return bare_traces(model, sentences, geometries, origin)
    traces = trace_sentences(model, reading, sentences, geometries, origin)
    if config.silence == 1 or (silence := model.silence(reading.source)) is None:
        return traces
    return [hush(trace, chance, config.silence) for trace, chance in zip(traces, silence.tolist(), strict=True)]


def hush(trace: AttentionTrace, chance: float, limit: float) -> AttentionTrace:
    """The trace of a sound without its words, where the chance that nobody speaks reaches the limit.

    Of a sound that is a short part of what the decoder sees, it takes the rest for silence; so the limit rises to 1 as
    sounds of less than a second get shorter.
    """
    seconds = trace.geometry.n_places * trace.geometry.step
    if chance < limit ** min(1.0, seconds):
        return trace
    return replace(trace, text="", score=0.0, tokens=(), weights=trace.weights[:0], words=(), note="no speech in it")


def search(model: Model, reading: Reading, config: SearchConfig, begin: Sequence[int] = ()) -> Hypotheses:
    """The best sentences (B, K, T) of every input, of those that begin with these ids."""
    scorers, summary = model.scorers(reading.memory, config), reading.source.summary
    first = torch.tensor(begin, dtype=torch.long, device=summary.device).expand(len(summary), -1) if begin else None
    return beam_search(model.decoder, reading.source, config, scorers, reading.memory.n_places, first)


def _changes(model: Model, config: SearchConfig) -> tuple[Callable[[Any, float], Any] | None, tuple[float, ...]]:
    """What changes an input of the model, and by how much for each search. Raises ConfigError for what it has not."""
    sense = sense_of(model.encoder.sense)
    known = {"speed": (sense.at_speed, config.speeds), "look": (sense.at_look, config.looks)}
    for name, (change, amounts) in known.items():
        if change is None and amounts != (1.0,):
            raise ConfigError(f"search: {sense.kind}s have no {name}; leave {name}s at [1.0]")
    return next((each for each in known.values() if each[0]), (None, (1.0,)))


@torch.inference_mode()
def trace_sentences(
    model: Model, reading: Reading, sentences: Hypotheses, geometries: Sequence[Geometry], origin: Origin
) -> list[AttentionTrace]:
    """The trace of one given sentence per input: tokens (B, 1, T), each closed by END.

    Raises CheckpointError where the model computes NaN or infinity, which absurd parameters make it do.
    """
    tokens = sentences.tokens
    before = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
    features, weights = model.decoder.unroll(before, reading.source)
    real = tokens != PAD
    logits = model.decoder.logits(features[real]).float()  # (n, V), of all sentences one after the other
    total = logits.logsumexp(-1, keepdim=True)
    chosen = logits.gather(-1, tokens[real].unsqueeze(-1)) - total
    top, index = without_specials(logits).topk(min(N_ALTERNATIVES, logits.shape[-1] - len(NEVER_SAID)))
    lengths = real.sum(-1).flatten().tolist()
    steps = (each.split(lengths) for each in (tokens[real], chosen.squeeze(-1).exp(), (top - total).exp(), index))
    rows = zip(*([part.tolist() for part in each] for each in steps), strict=True)
    maps, scores = weights[:, 0].float().cpu().numpy(), sentences.scores[:, 0].tolist()
    heard = model.ctc(reading.memory) if model.ctc else [None] * len(geometries)
    check_numbers(sentences.scores[:, 0], total, weights, *(heard if model.ctc else ()))
    traces = []
    for row, score, places, geometry, logp in zip(rows, scores, maps, geometries, heard, strict=True):
        said = _tokens(model.tokenizer, *row)
        text = ids_to_text(model.tokenizer, row[0])
        places = places[: len(said), :, : geometry.n_places]  # what is left out is padding
        words = _words(model, said, row[0], places, geometry, logp) if sense_of(geometry.kind).timed else ()
        traces.append(AttentionTrace(text, score, said, places, geometry, origin, words))
    return traces


def bare_traces(
    model: Model, sentences: Hypotheses, geometries: Sequence[Geometry], origin: Origin
) -> list[AttentionTrace]:
    """The sentences (B, 1, T) without what a second pass would say of them."""
    check_numbers(sentences.scores[:, 0])
    rows = zip(sentences.tokens[:, 0].tolist(), sentences.scores[:, 0].tolist(), geometries, strict=True)
    traces = []
    for ids, score, geometry in rows:
        n_tokens = ids.index(END)
        nowhere = np.zeros((n_tokens, 0, geometry.n_places), np.float32)
        text = ids_to_text(model.tokenizer, ids)
        traces.append(AttentionTrace(text, score, (UNTOLD,) * n_tokens, nowhere, geometry, origin))
    return traces


def check_numbers(*found: Tensor) -> None:
    if not all(numbers.isfinite().all() for numbers in found):
        raise CheckpointError("the model's numbers are NaN or infinite; its parameters are of no use")


def _words(
    model: Model,
    tokens: tuple[Token, ...],
    ids: list[int],
    weights: np.ndarray,
    geometry: Geometry,
    logp: Tensor | None,
) -> tuple[Word, ...]:
    """When each word was heard: by the weights (T, N, S), and by the CTC head's logp (S, V) where it can align them."""
    if not weights.size:
        return ()
    ctc = None if logp is None else ctc_align(logp[: geometry.n_places], torch.tensor(ids[: len(tokens)]))
    ctc = None if ctc is None else ctc.numpy()
    texts = [token.text for token in tokens]
    return tuple(
        replace(
            word,
            text=ids_to_text(model.tokenizer, ids[word.first : word.last]),  # some letters are of several tokens
            probability=math.prod(tokens[i].probability for i in said_tokens(texts, word.first, word.last)),
        )
        for word in word_times(texts, token_spans(weights.mean(1)), geometry, ctc)
    )


def _present(part: Any, option: str) -> Any:
    if part is None:
        raise ConfigError(f"search: this model has nothing that {option} could weigh; leave it 0")
    return part


def _tokens(
    tokenizer: Tokenizer, ids: list[int], chosen: list[float], top: list[list[float]], index: list[list[int]]
) -> tuple[Token, ...]:
    """The tokens of one sentence up to its end, each with the most probable tokens of its step."""
    return tuple(
        Token(
            spelled(tokenizer, ids[t]),
            chosen[t],
            tuple((spelled(tokenizer, i), p) for i, p in zip(index[t], top[t], strict=True)),
            ids[t],
        )
        for t in range(ids.index(END))
    )
