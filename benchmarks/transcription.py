"""How many seconds of sound are transcribed in a second: 64 sounds of about 8 s in batches of 16, on one core.

    python -m benchmarks.transcription [--rounds 2] [--checkpoint DIR --sounds DIR]

Everything that `multimodal-attn transcribe` does is timed, up to the traces with their word times. Without a checkpoint
the model is random, of the sizes of tasks/speech/configs/english.yaml, and made to speak and to end as trained ones do.
"""

import argparse
import string
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tokenizers import Tokenizer

from benchmarks import timing
from benchmarks.plausible import SPREAD, behave_as_trained, bisect
from benchmarks.speech import ENCODERS, N_TOKENS
from multimodal_attn import load
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import UserError
from multimodal_attn.model import Model, build_model
from multimodal_attn.predictor import Predictor
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.search.ctc import ctc_greedy
from multimodal_attn.search.language_model import LanguageModelConfig
from multimodal_attn.senses.sound.logmel import SoundBatch
from multimodal_attn.senses.sound.media import RATE, read_sound, sound_files
from multimodal_attn.tokens import END, PAD, build_piece_tokenizer
from multimodal_attn.trace import AttentionTrace

N_SOUNDS, BATCH, SHORTEST, LONGEST = 64, 16, 6.0, 10.0  # seconds
TOKENS_PER_SECOND = 4
SEARCH = SearchConfig(beam=5, no_repeat=0, max_length=120, ctc=0.3)
COLUMNS = [
    "model",
    "beam",
    "CTC",
    "LM",
    "words",
    "hearings",
    "seconds",
    "times real time",
    "tokens per second of sound",
]

Sounds = list[tuple[np.ndarray, int]]  # samples, rate


def transcribe(predictor: Predictor, sounds: Sounds) -> list[AttentionTrace]:
    return [segment.result for segment in predictor.segments(sounds, BATCH)]


def measure(predictor: Predictor, sounds: Sounds, search: SearchConfig, rounds: int) -> list[str]:
    """One row of the table."""
    predictor = Predictor(predictor.model, search, predictor.config, predictor.name)
    traces = transcribe(predictor, sounds)
    [times] = timing.interleave({"ours": partial(transcribe, predictor, sounds)}, rounds).values()
    seconds = sum(len(samples) / rate for samples, rate in sounds)
    speed, density = seconds / median(times), sum(len(trace.tokens) for trace in traces) / seconds
    weights = [str(search.beam), *(f"{weight:g}" for weight in (search.ctc, search.lm, search.words))]
    weights.append(str(len(search.speeds)))
    return [predictor.name, *weights, f"{median(times):.1f}", f"{speed:.0f}", f"{density:.1f}"]


def random_sounds(n: int) -> Sounds:
    """Noise whose loudness and colour change ten times a second, so that no two places are alike."""
    rng = np.random.default_rng(1)
    sounds = []
    for seconds in rng.permutation(np.linspace(SHORTEST, LONGEST, n)):
        parts = [rng.normal(0, rng.uniform(0.02, 0.2), RATE // 10) for _ in range(int(seconds * 10))]
        colours = [np.convolve(part, rng.normal(size=9) / 3, "same") for part in parts]
        sounds.append((np.concatenate(colours).astype(np.float32), RATE))
    return sounds


def random_predictor(sounds: Sounds) -> Predictor:
    """A model of random parameters that says about TOKENS_PER_SECOND."""
    torch.manual_seed(1)
    encoder, decoder = ENCODERS["blstm (english.yaml)"], DecoderConfig(dim=320)
    model = build_model(encoder, decoder, random_tokenizer(), True, LanguageModelConfig()).eval()
    some = sorted(sounds, key=lambda sound: len(sound[0]))[len(sounds) // 2 :][:BATCH]
    speak_as_trained(model, torch.stack([torch.from_numpy(sound[: len(some[0][0])]) for sound, _ in some]))
    return Predictor(model, SEARCH, {"sha256": {"model.safetensors": "random"}}, "random")


def random_tokenizer() -> Tokenizer:
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list(string.ascii_lowercase), 5)) for _ in range(2000)]
    return build_piece_tokenizer([" ".join(words)], N_TOKENS)


@torch.no_grad()
def speak_as_trained(model: Model, samples: torch.Tensor) -> None:
    """Changes a fresh model so that both of its readers find as many tokens in samples (B, n) as there should be.

    The decoder is treated as benchmarks/plausible.py says. The CTC head's logits are spread and the bias of its blank
    found by bisection, then that of the decoder's END once more, by the joint search.
    """
    memory = model.encoder(SoundBatch(samples, torch.full((len(samples),), samples.shape[1])))
    wanted = round(samples.shape[1] / RATE * TOKENS_PER_SECOND)
    behave_as_trained(model.decoder, memory.values, wanted)
    output = model.ctc.output
    output.weight *= SPREAD / output(memory.values).std()
    bisect(output.bias, PAD, lambda: n_tokens(ctc_greedy(model.ctc(memory))) - wanted)
    source, scorers = model.decoder.read(memory), model.scorers(memory, SEARCH)
    joint = partial(beam_search, model.decoder, source, SEARCH, scorers)
    bisect(model.decoder.bias, END, lambda: n_tokens(joint().tokens[:, 0]) - wanted, reach=50.0)


def n_tokens(tokens: torch.Tensor) -> float:
    """Mean length of sentences (B, T), END among them."""
    return float((tokens != PAD).sum(1).float().mean())


def real_sounds(folder: str) -> Sounds:
    """The first sounds of a folder, decoded before anything is timed."""
    paths = list(sound_files([Path(folder)]))[:N_SOUNDS]
    return [(read_sound(path).samples, RATE) for path in paths]


def settings(predictor: Predictor) -> list[SearchConfig]:
    """Beam 5, one reader after another joining the decoder; last, where it is another, the search that was released."""
    released, model = predictor.search, predictor.model
    alone = replace(released, beam=5, ctc=0.0, lm=0.0, words=0.0, speeds=(1.0,), consensus=0.0)
    joined = [replace(alone, ctc=released.ctc or SEARCH.ctc)] if model.ctc else [alone]
    if model.language:
        joined.append(replace(joined[-1], lm=released.lm or 0.3))
    if model.words:
        joined.append(replace(joined[-1], lm=released.lm, words=released.words))
    if len(released.speeds) > 1:
        joined.append(replace(joined[-1], speeds=released.speeds, consensus=released.consensus))
    return list(dict.fromkeys([alone, *joined, released]))


def main() -> None:
    parser = argparse.ArgumentParser(description="transcription against real time, on one core")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--checkpoint", help="a released model, instead of a random one")
    parser.add_argument("--sounds", help="a folder of recordings, with --checkpoint")
    args = parser.parse_args()
    if (args.checkpoint is None) != (args.sounds is None):
        parser.error("--checkpoint and --sounds go together")
    timing.one_thread()
    print(timing.machine())
    try:
        sounds = real_sounds(args.sounds) if args.sounds else random_sounds(N_SOUNDS)
        predictor = load(args.checkpoint) if args.checkpoint else random_predictor(sounds)
    except (UserError, OSError) as error:
        parser.error(str(error))
    print(f"{len(sounds)} sounds, {sum(len(samples) for samples, _ in sounds) / RATE:.0f} s")
    timing.print_table(COLUMNS, [measure(predictor, sounds, search, args.rounds) for search in settings(predictor)])


if __name__ == "__main__":
    main()
