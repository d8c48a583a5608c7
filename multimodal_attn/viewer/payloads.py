"""What the viewer is given: payloads, in JSON, of a trace and of the picture, sound or text that it is of.

{id, kind} with nothing to show yet; {id, media} waits for its sentence; {id, media, trace}, or {id, media, file} where
the trace is in a file; `problem` is a line to show above. Each payload has an id of its own.
"""

import base64
import io
import json
import secrets
from collections.abc import Callable
from pathlib import Path

import soundfile
from PIL.Image import Image, Resampling

from multimodal_attn.media import Picture
from multimodal_attn.render import frame_seconds, spectrogram
from multimodal_attn.senses.text.media import Text
from multimodal_attn.sound import RATE, Sound
from multimodal_attn.trace import AttentionTrace

Save = Callable[[bytes, str], dict]  # from the content and name of a file to what names it in a payload: {url, ...}
PREVIEW_SIDE = 1600  # pixels; sharp on any screen, and about 0.4 MB as JPEG
MAX_FRAMES = 4000  # of a spectrogram; 0.4 MB
MAX_INLINE = 1_000_000  # bytes of a trace within its payload; a longer one is a file that the page fetches


def picture_media(picture: Picture, save: Save) -> dict:
    """Media of a payload: {kind, name, width, height, file}.

    file names a preview that was saved; width and height are its pixels. The
    trace speaks of the original's pixels, and the page scales.
    """
    image = shrink(picture.image, PREVIEW_SIDE)
    return {
        "kind": "picture",
        "name": Path(picture.name).name,
        "width": image.width,
        "height": image.height,
        "file": save(image_to_jpeg(image), "picture.jpeg"),
    }


def shrink(image: Image, side: int) -> Image:
    """A copy of at most `side` pixels a side, in the same shape."""
    small = image.copy()
    small.thumbnail((side, side), Resampling.LANCZOS)
    return small


def image_to_jpeg(image: Image) -> bytes:
    """What every browser shows as it is: no EXIF, which would turn an upright picture once more or tell its place."""
    file = io.BytesIO()
    plain = image.copy()
    plain.info.clear()  # Pillow would write the comment of the original
    plain.save(file, "JPEG", quality=90, comment=b"", exif=b"")
    return file.getvalue()


def sound_media(sound: Sound, save: Save) -> dict:
    """Media of a payload: {kind, name, seconds, spectrogram, file}.

    spectrogram: {shape [80, frames], step: seconds per frame, data: bytes in base64, lowest pitch first}. file is
    Gradio's FileData with the url of a WAV, which every browser plays.
    """
    levels = spectrogram(sound.samples, RATE, MAX_FRAMES)
    step = frame_seconds(len(sound.samples), RATE, MAX_FRAMES)
    return {
        "kind": "sound",
        "name": Path(sound.name).name,
        "seconds": max(sound.seconds, 1 / RATE),  # an axis needs a length
        "spectrogram": {"shape": levels.shape, "step": step, "data": base64.b64encode(levels.tobytes()).decode()},
        "file": save(sound_to_wav(sound), "sound.wav"),
    }


def text_media(text: Text, save: Save) -> dict:
    """Media of a payload: {kind, name, text}."""
    return {"kind": "text", "name": text.name, "text": text.text}


def sound_to_wav(sound: Sound) -> bytes:
    """16-bit samples; what passes full scale is cut off there, as any player would."""
    file = io.BytesIO()
    soundfile.write(file, sound.samples.clip(-1, 1), RATE, "PCM_16", format="WAV")
    return file.getvalue()


def new_id() -> str:
    return secrets.token_hex(8)


def queued(n_before: int) -> dict:
    """Payload of one who waits until `n_before` others have been answered; what is shown stays."""
    return {"id": new_id(), "before": n_before}


def waiting(media: dict) -> dict:
    """Payload of a picture or sound whose sentence is still to come."""
    return {"id": new_id(), "media": media}


def complete(media: dict, trace: AttentionTrace, save: Save) -> dict:
    """Payload of a picture or sound and its trace in the schema of docs/trace-format.md, as a file when it is large."""
    if 8 / 3 * trace.weights.size <= MAX_INLINE:  # two bytes a weight, and base64
        return {"id": new_id(), "media": media, "trace": trace.to_dict()}
    return {"id": new_id(), "media": media, "file": save(json.dumps(trace.to_dict()).encode(), "trace.json")}


def problem(line: str) -> dict:
    """Payload of a line to show above the last complete one, which stays."""
    return {"id": new_id(), "problem": line}
