"""One entry for the figures of both senses, and the file that holds one."""

import os
import threading
from pathlib import Path

from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.render.alignment import render_sound
from multimodal_attn.render.panels import render_picture
from multimodal_attn.render.sheet import FigureOptions
from multimodal_attn.sound import Sound
from multimodal_attn.trace import AttentionTrace


def render_figure(
    trace: AttentionTrace, source: Image.Image | Sound, options: FigureOptions | None = None
) -> Image.Image:
    """The figure of a trace as an RGB picture, by the kind of its geometry.

    source: the upright RGB original at any size, or the sound, or the piece of it, that the trace is of.
    """
    render = {"picture": render_picture, "sound": render_sound}[trace.geometry.kind]
    return render(trace, source, options or FigureOptions())


def save_figure(
    trace: AttentionTrace, source: Image.Image | Sound, path: str | Path, options: FigureOptions | None = None
) -> None:
    """Write the figure as a PNG that is whole or not there at all; raises MediaError where it cannot be written."""
    figure, path = render_figure(trace, source, options), Path(path)
    part = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            figure.save(file, "PNG")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MediaError(f"{path}: {error.strerror or error}; choose another place for the pictures") from error
