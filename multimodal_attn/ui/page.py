"""Page: what the page has once for each sense: its tab, how an input is given and shown, examples, and who does it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from multimodal_attn.viewer.payloads import Save

ASSETS = Path(gr.__file__).parent / "media_assets"  # come with Gradio


@dataclass(frozen=True)
class Page:
    """kind: of the sense. tab: its title. by: what the model did, as "Written".

    drop: builds the component that takes an input, which the page finds by the id "KIND-drop". events: of it, each of
        which brings one. written: what it brings is the input itself and no path of a file.
    accepts: regular expression of the MIME types, or else of the names, of files that may be dropped anywhere; empty
        for none. wanted: what is said of others.
    media: from a file, or the text itself, to the media of a payload, whose preview it saves, or MediaError.
    examples: files by their labels, or texts. thumbnails: they are pictures and need no label. source: who made them.
    checkpoints: the folders that may be bundled, best first, each with what to expect of its model.
    """

    kind: str
    tab: str
    by: str
    drop: Callable[[], Any]
    media: Callable[[str, Save], dict]
    events: tuple[str, ...] = ("upload",)
    written: bool = False
    accepts: str = ""
    wanted: str = ""
    examples: dict[str, Path | str] = field(default_factory=dict)
    thumbnails: bool = False
    source: str = ""
    checkpoints: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """The examples that are files."""
        return [example for example in self.examples.values() if isinstance(example, Path)]

    def name_of(self, source: str) -> str:
        """What messages call an input."""
        return self.kind if self.written else Path(source).name

    def bundled(self, root: Path) -> Path | None:
        """The best of the folders that are below `root`, or None."""
        return next((root / name for name in self.checkpoints if (root / name).is_dir()), None)
