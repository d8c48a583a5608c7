"""The pages of all senses that have one: `PAGE` in the page.py of a sense."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from multimodal_attn.senses import KINDS
from multimodal_attn.ui import temporary_folder
from multimodal_attn.ui.events import Uploads
from multimodal_attn.ui.page import ASSETS, Page
from multimodal_attn.viewer.sources import static_of


def page_of(kind: str) -> Page | None:
    name = f"multimodal_attn.senses.{kind}.page"
    return import_module(name).PAGE if find_spec(name) else None


PAGES = {task: page for kind, task in KINDS.items() if (page := page_of(kind))}  # by the task of a checkpoint
EXAMPLES = [path for page in PAGES.values() for path in page.files]


def known_files() -> Uploads:
    """What the page may read: its uploads, and the examples."""
    return Uploads(Path(temporary_folder().name), EXAMPLES)


def folders() -> dict[str, Path]:
    """Where known files lie, by names that tell nothing else."""
    own = {f"{page.kind}-examples": static_of(page.kind) for page in PAGES.values()}
    return {"uploads": Path(temporary_folder().name), "gradio": ASSETS} | own
