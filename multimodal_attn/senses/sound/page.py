"""The tab of sounds."""

from pathlib import Path

import gradio as gr

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.reading import read_sound
from multimodal_attn.senses.sound.viewer import sound_media
from multimodal_attn.ui.page import Page
from multimodal_attn.viewer.payloads import Save

STATIC = Path(__file__).parent / "static"
MAX_MINUTES = 3  # of a sound on the page: beyond, neither its weights nor its rows are anything to look at


def build_recorder() -> gr.Audio:
    """The upload area and the microphone; both hand on the path of a file, which our own reader decodes."""
    return gr.Audio(
        type="filepath",
        sources=["upload", "microphone"],
        show_label=False,
        buttons=[],
        editable=False,
        elem_id="sound-drop",
        elem_classes="drop",
    )


def hear(source: str, save: Save) -> dict:
    sound = read_sound(source)
    if sound.seconds > 60 * MAX_MINUTES:
        raise MediaError(
            f"{sound.name}: longer than {MAX_MINUTES} minutes; cut it, or use the command `multimodal-attn transcribe`"
        )
    return sound_media(sound, save)


PAGE = Page(
    kind="sound",
    tab="Speech",
    by="Heard",
    drop=build_recorder,
    events=("upload", "stop_recording"),
    media=hear,
    accepts="^(audio/|video/(ogg|webm))",
    wanted="not a sound; take a WAV, FLAC, OGG, Opus or MP3 file",
    # the words are known: a program spoke them, or somebody read them; each file says in its tags who, and how
    examples={
        "“what time is it now”": STATIC / "what-time.flac",
        "“my mother has two sisters and one brother”": STATIC / "sisters.flac",
        "“i have a doctorate, it's not the same thing”": STATIC / "doctorate.flac",
    },
    source="spoken by programs, flite and espeak-ng, and by somebody for Common Voice",
    checkpoints={
        "whisper-tiny.en": "Whisper tiny.en of OpenAI: English as it is spoken, with capitals and signs.",
        "speech-english": "Learned from twelve hours: clear, short sentences are best, rare words are not.",
        "speech-digits": "It knows the ten digits; to it, whatever is said is one.",
    },
)
