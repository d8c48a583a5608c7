"""What the viewer is given of a sound."""

import base64
import io
from pathlib import Path

import soundfile

from multimodal_attn.figures import frame_seconds, spectrogram
from multimodal_attn.senses.sound.media import RATE, Sound
from multimodal_attn.viewer.payloads import Save

MAX_FRAMES = 4000  # of a spectrogram; 0.4 MB


def sound_media(sound: Sound, save: Save) -> dict:
    """Media of a payload: {kind, name, seconds, spectrogram, file}.

    spectrogram: {shape [80, frames], step: seconds per frame, data: bytes in base64, lowest pitch first}. file names a
    WAV that was saved, which every browser plays.
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


def sound_to_wav(sound: Sound) -> bytes:
    """16-bit samples; what passes full scale is cut off there, as any player would."""
    file = io.BytesIO()
    soundfile.write(file, sound.samples.clip(-1, 1), RATE, "PCM_16", format="WAV")
    return file.getvalue()
