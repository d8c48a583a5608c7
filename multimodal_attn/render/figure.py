"""One entry for the figures of both senses, and the file that holds one."""

import io
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from multimodal_attn.errors import MediaError
from multimodal_attn.files import open_file, printable, write_whole
from multimodal_attn.render.alignment import render_sound
from multimodal_attn.render.panels import render_picture
from multimodal_attn.render.sheet import FigureOptions
from multimodal_attn.sound import Sound
from multimodal_attn.trace import AttentionTrace

SOFTWARE = "multimodal-attn"  # PNG's keyword for the program that made it
MARK = b"tEXtSoftware\0" + SOFTWARE.encode()
MARK_WITHIN = 128  # bytes: the text comes right after the header


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
    try:
        write_whole(path, figure_to_png(render_figure(trace, source, options)))
    except OSError as error:
        raise MediaError(
            f"{printable(path)}: {error.strerror or error}; choose another place for the pictures"
        ) from error


def figure_to_png(figure: Image.Image) -> bytes:
    """The bytes of a PNG that says what it is, see `is_figure`."""
    software = PngInfo()
    software.add_text("Software", SOFTWARE)
    file = io.BytesIO()
    figure.save(file, "PNG", pnginfo=software)
    return file.getvalue()


def is_figure(path: Path) -> bool:
    """Whether this is a figure that was drawn here, by what its file says, rather than somebody's picture."""
    try:
        with open_file(path, "", "figure") as file:
            return MARK in file.read(MARK_WITHIN)
    except (MediaError, OSError):
        return False
