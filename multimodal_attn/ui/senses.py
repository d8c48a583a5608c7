"""What the page has once for each sense: how an input is read, its examples, and who describes it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

import gradio as gr

from multimodal_attn.errors import MediaError
from multimodal_attn.reading import read_picture, read_sound
from multimodal_attn.senses.text.media import read_text
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.viewer.payloads import PREVIEW_SIDE, Save, picture_media, sound_media, text_media

STATIC = Path(__file__).parent / "static"
ASSETS = Path(gr.__file__).parent / "media_assets"  # come with Gradio
MAX_MINUTES = 3  # of a sound on the page: beyond, neither its weights nor its rows are anything to look at
MAX_LETTERS = 300  # of a text on the page, likewise
SENTENCES = "My brother lives in Tokyo.", "She bought a new car yesterday.", "The cat is sleeping on the chair."


class Reader(Protocol):
    """What the page needs of a predictor."""

    name: str

    def __call__(self, source: str) -> AttentionTrace: ...


class Later:
    """A checkpoint that is opened when first needed, so that the page is there at once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self._lock, self._reader = Lock(), None

    def open(self) -> Reader:
        """The predictor, once for all threads. Raises CheckpointError."""
        from multimodal_attn.predictor import load

        with self._lock:
            self._reader = self._reader or load(self.folder)
        return self._reader

    def __call__(self, source: str) -> AttentionTrace:
        return self.open()(source)


@dataclass(frozen=True)
class Sense:
    """kind: as in payloads. tab: its title. media: from a file, or the text itself, to the media of a payload, whose
    preview it saves, or MediaError. examples: files by their labels, or texts. source: who made them. by: what the
    model did. checkpoints: the folders that may be bundled, best first, each with what to expect of its model."""

    kind: str
    tab: str
    media: Callable[[str, Save], dict]
    examples: dict[str, Path | str]
    source: str
    by: str
    checkpoints: dict[str, str]

    @property
    def files(self) -> list[Path]:
        """The examples that are files."""
        return [example for example in self.examples.values() if isinstance(example, Path)]

    def bundled(self, root: Path) -> Path | None:
        """The best of the folders that are below `root`, or None."""
        return next((root / name for name in self.checkpoints if (root / name).is_dir()), None)


def see(source: str, save: Save) -> dict:
    return picture_media(read_picture(source, min_side_hint=PREVIEW_SIDE), save)


def hear(source: str, save: Save) -> dict:
    sound = read_sound(source)
    if sound.seconds > 60 * MAX_MINUTES:
        raise MediaError(
            f"{sound.name}: longer than {MAX_MINUTES} minutes; cut it, or use the command `multimodal-attn transcribe`"
        )
    return sound_media(sound, save)


def peruse(source: str, save: Save) -> dict:
    text = read_text(source)
    if len(text.text) > MAX_LETTERS:
        told = f"{len(text.text)} letters, over the {MAX_LETTERS} that can be shown"
        raise MediaError(f"{text.name}: {told}; shorten it, or use the command `multimodal-attn translate`")
    return text_media(text, save)


PICTURE = Sense(
    kind="picture",
    tab="Picture",
    media=see,
    # http://farm9.staticflickr.com/8292/7866247804_e0486b75b8_z.jpg, under CC BY 2.0
    examples={"dinner": STATIC / "dinner.jpg"}
    | {name: ASSETS / "images" / f"{name}.jpg" for name in ("lion", "cheetah")},
    source="of what it has seen the like of, and of two animals that it never saw",
    by="Written",
    checkpoints={
        "captioning-flickr8k": "It learned from photographs of people, dogs and sport; what else there is, it guesses."
    },
)
SOUND = Sense(
    kind="sound",
    tab="Speech",
    media=hear,
    # the words are known: a program spoke them, or somebody read them; each file says in its tags who, and how
    examples={
        "“what time is it now”": STATIC / "what-time.flac",
        "“my mother has two sisters and one brother”": STATIC / "sisters.flac",
        "“i have a doctorate, it's not the same thing”": STATIC / "doctorate.flac",
    },
    source="spoken by programs, flite and espeak-ng, and by somebody for Common Voice",
    by="Heard",
    checkpoints={
        "whisper-tiny.en": "Whisper tiny.en of OpenAI: English as it is spoken, with capitals and signs.",
        "speech-english": "Learned from twelve hours: clear, short sentences are best, rare words are not.",
        "speech-digits": "It knows the ten digits; to it, whatever is said is one.",
    },
)
TEXT = Sense(
    kind="text",
    tab="Translation",
    media=peruse,
    examples={text: text for text in SENTENCES},
    source="written for this page",
    by="Translated",
    checkpoints={
        "translation-en-zh": "It learned from 27,000 short everyday sentences; rare words it guesses.",
        "translation-en-de": "It learned from captions of photographs; what they do not speak of, it guesses.",
    },
)
SENSES = {"captioning": PICTURE, "speech": SOUND, "translation": TEXT}  # by the task of a checkpoint
