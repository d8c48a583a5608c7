"""One entry for the figures of all senses, and the file that holds one."""

import io
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from multimodal_attn.errors import MediaError
from multimodal_attn.figures.sheet import FigureOptions
from multimodal_attn.files import open_file, printable, write_whole
from multimodal_attn.senses import sense_of
from multimodal_attn.trace import AttentionTrace

SOFTWARE = "multimodal-attn"  # PNG's keyword for the program that made it
CHUNK = b"tEXtSoftware\0" + SOFTWARE.encode()
MARK_WITHIN = 128  # bytes: the text comes right after the header


def render_figure(trace: AttentionTrace, source: Any, options: FigureOptions | None = None) -> Image.Image:
    """The figure of a trace as an RGB picture, by the kind of its geometry.

    source: what the trace is of, see `Sense.original`: the upright RGB picture at any size, or the sound, or its piece.
    """
    module, _, name = sense_of(trace.geometry.kind).figure.rpartition(".")
    return getattr(import_module(module), name)(trace, source, options or FigureOptions())


def save_figure(trace: AttentionTrace, source: Any, path: str | Path, options: FigureOptions | None = None) -> None:
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
            return CHUNK in file.read(MARK_WITHIN)
    except (MediaError, OSError):
        return False
