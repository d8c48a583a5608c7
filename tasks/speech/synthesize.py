"""Synthetic English speech from sentences, by several free programs and voices, with a manifest to train from.

    python -m tasks.speech.synthesize --text sentences.txt --out synthetic --hours 5 --seed 1

What is said, by whom and how depends on the options alone; a run that was stopped goes on where it was. Needs the
programs of Debian's packages espeak-ng, flite, festival, festvox-us-slt-hts, festvox-kallpc16k and festvox-kdlpc16k.
"""

import argparse
import csv
import math
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import soundfile
from soxr import resample
from tqdm import tqdm

from multimodal_attn.errors import ConfigError, DataError, MediaError, UserError
from multimodal_attn.files import write_whole
from multimodal_attn.senses.sound.media import RATE, Sound, read_sound

COLUMNS = ("set", "split", "speaker", "id", "seconds", "file", "text")
SET = "synthetic"  # in the first column
WORDS = range(3, 16)  # how many a sentence may have
TEMPO = (0.6, 1.1)  # times the voice's own, which is faster than most people read
THROAT = (0.88, 1.14)  # plays the voice faster and higher by so much: the length of the speaker's vocal tract
LEVEL = 0.5  # of the highest sample
OPUS_LEVEL = 0.965  # libsndfile's scale from 256 down to 6 kbit/s: about 14, as real recordings often have

ACCENTS = ("en-us", "en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-029")
SPEAKERS = [f"m{n}" for n in range(1, 9)] + [f"f{n}" for n in range(1, 6)] + ["Andy", "Annie", "Alex", "Denis", "Linda"]


@dataclass(frozen=True)
class Engine:
    """A program that speaks. voices: their names. command: what to run for (voice, tempo, pitch 0..1, wave file); the
    text comes on its standard input."""

    voices: tuple[str, ...]
    command: Callable[[str, float, float, str], list[str]]
    program: str
    packages: str


def espeak(voice: str, tempo: float, pitch: float, wave: str) -> list[str]:
    return f"espeak-ng -v {voice} -s {165 * tempo:.0f} -p {25 + 50 * pitch:.0f} --stdin -w".split() + [wave]


def flite(voice: str, tempo: float, pitch: float, wave: str) -> list[str]:
    return f"flite -voice {voice} --setf duration_stretch={1 / tempo:.3f} -f /dev/stdin -o".split() + [wave]


def festival(voice: str, tempo: float, pitch: float, wave: str) -> list[str]:
    stretch = f"(Parameter.set 'Duration_Stretch {1 / tempo:.3f})"
    return ["text2wave", "-eval", f"(voice_{voice})", "-eval", stretch, "-o", wave]


ENGINES = {
    "espeak-ng": Engine(
        tuple(f"{accent}+{speaker}" for accent in ACCENTS for speaker in SPEAKERS), espeak, "espeak-ng", "espeak-ng"
    ),
    "flite": Engine(("awb", "rms", "slt", "kal16"), flite, "flite", "flite"),
    "festival": Engine(
        ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone"),
        festival,
        "text2wave",
        "festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k",
    ),
}


@dataclass(frozen=True)
class Utterance:
    """What is to be said, by whom and how."""

    id: str
    text: str
    engine: str
    voice: str
    tempo: float
    pitch: float
    throat: float

    @property
    def speaker(self) -> str:
        return f"{self.engine}-{self.voice}"

    @property
    def file(self) -> str:
        return f"{self.engine}/{self.id}.opus"


def choose_sentences(lines: list[str], known: Collection[str], seed: int) -> list[str]:
    """Sentences of a usable length in random order, those with words that are not `known` first."""
    sentences = sorted({" ".join(line.lower().split()) for line in lines if len(line.split()) in WORDS})
    random.Random(seed).shuffle(sentences)
    return sorted(sentences, key=lambda sentence: not (known and set(sentence.split()) - set(known)))


def plan(sentences: list[str], engines: list[str], seed: int) -> Iterator[Utterance]:
    """Utterances without end; the sentences come round again by other voices."""
    for n in count():
        draw = random.Random(f"{seed} {n}")
        engine = draw.choice(engines)
        throat = math.exp(draw.uniform(*map(math.log, THROAT)))
        yield Utterance(
            f"synthetic-{seed}-{n:06d}",
            sentences[n % len(sentences)],
            engine,
            draw.choice(ENGINES[engine].voices),
            draw.uniform(*TEMPO),
            draw.random(),
            throat,
        )


def speak(utterance: Utterance, folder: Path) -> float:
    """Writes the utterance's file and returns its seconds. Raises MediaError if the program gave nothing to hear."""
    engine = ENGINES[utterance.engine]
    with tempfile.TemporaryDirectory() as scratch:
        wave = str(Path(scratch, "speech.wav"))
        command = engine.command(utterance.voice, utterance.tempo / utterance.throat, utterance.pitch, wave)
        done = subprocess.run(command, input=utterance.text + "\n", capture_output=True, text=True)
        if done.returncode or not Path(wave).is_file():
            reason = " ".join(done.stderr.split())[:200]
            raise MediaError(f"{utterance.speaker}: {reason or 'no sound'}; install {engine.packages}")
        sound = change_throat(read_sound(wave), utterance.throat)
    if sound.problem:
        raise MediaError(f"{utterance.speaker}: {utterance.text!r} came out {sound.problem}; choose other --engines")
    save_opus(folder / utterance.file, sound)
    return sound.seconds


def change_throat(sound: Sound, throat: float) -> Sound:
    return Sound(resample(sound.samples, RATE * throat, RATE), sound.start, sound.name)


def save_opus(path: Path, sound: Sound) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = LEVEL / np.abs(sound.samples).max() * sound.samples
    soundfile.write(path, samples, RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)


def read_done(manifest: Path) -> dict[str, dict[str, str]]:
    """Rows of earlier runs by id; a last line that was cut short is removed from the file. Raises DataError for a
    manifest of anything else, and leaves it as it is."""
    header = "\t".join(COLUMNS) + "\n"
    if not manifest.exists():
        write_whole(manifest, header)
    whole = manifest.read_bytes()
    ours = f"\n{SET}\t".encode()
    if not whole.startswith(header.encode()) or whole.count(ours) < whole.count(b"\n") - 1:
        raise DataError(f"{manifest} was not written by this command, and is left as it is; name another --out")
    with manifest.open("r+b") as file:
        file.truncate(whole.rfind(b"\n") + 1)
    with manifest.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}


def synthesize(utterances: Iterator[Utterance], folder: Path, hours: float, n_jobs: int) -> float:
    """Speaks utterances in order until there are `hours` of them; returns the hours there are."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.tsv"
    done, seconds = read_done(manifest), 0.0
    with (
        manifest.open("a", encoding="utf-8") as file,
        ThreadPoolExecutor(n_jobs) as pool,
        tqdm(total=round(3600 * hours), unit="s", disable=None) as bar,
    ):
        while seconds < 3600 * hours:
            some = list(islice(utterances, 8 * n_jobs))
            results = list(pool.map(lambda utterance: row_of(utterance, folder, done), some))
            rows = [row for row in results if isinstance(row, dict)]
            if not rows:  # one sentence that a program cannot say is left out; a program that says nothing is not
                raise results[0]
            file.writelines("\t".join(row.values()) + "\n" for row in rows if row["id"] not in done)
            file.flush()
            new = sum(float(row["seconds"]) for row in rows)
            seconds += new
            bar.update(round(new))
    return seconds / 3600


def row_of(utterance: Utterance, folder: Path, done: dict[str, dict[str, str]]) -> dict[str, str] | MediaError:
    """The utterance's row of the manifest, from an earlier run or spoken now, or why there is none."""
    row = done.get(utterance.id)
    if row is None:
        try:
            seconds = f"{speak(utterance, folder):.2f}"
        except MediaError as error:
            return error
        values = (SET, "train", utterance.speaker, utterance.id, seconds, utterance.file, utterance.text)
        return dict(zip(COLUMNS, values, strict=True))
    if (row["speaker"], row["text"]) != (utterance.speaker, utterance.text):
        raise DataError(f"{folder}: was made with other options; choose another folder or remove it")
    return row


def training_words(manifest: Path) -> set[str]:
    """The words of a manifest's training split."""
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return {word for row in rows if row["split"] == "train" for word in row["text"].split()}
    except (OSError, KeyError) as error:
        raise DataError(f"{manifest}: not a manifest of speech ({error}); name one with split and text") from error


def check_engines(engines: list[str]) -> None:
    for name in engines:
        if not shutil.which(ENGINES[name].program):
            advice = f"apt install {ENGINES[name].packages}, or leave it out of --engines"
            raise ConfigError(f"{name}: {ENGINES[name].program} is not installed; {advice}")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tasks.speech.synthesize", description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="sentences, one a line")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sound files and manifest.tsv")
    parser.add_argument("--hours", type=float, default=1.0, help="how much to make (default: %(default)s)")
    parser.add_argument("--known", type=Path, help="manifest whose training words need no more examples")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="(default: all)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="programs that run at once (default: %(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        check_engines(args.engines)
        known = training_words(args.known) if args.known else ()
        try:
            lines = args.text.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{args.text}: cannot be read ({error}); give UTF-8 text, a sentence a line") from error
        sentences = choose_sentences(lines, known, args.seed)
        if not sentences or args.jobs < 1:
            raise ConfigError(f"{args.text}: no sentence of 3 to 15 words" if not sentences else "--jobs starts at 1")
        hours = synthesize(plan(sentences, args.engines, args.seed), args.out, args.hours, args.jobs)
    except UserError as error:
        print(f"synthesize: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"{hours:.2f} hours in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
