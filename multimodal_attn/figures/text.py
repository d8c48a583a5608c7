"""Words that fit where they are drawn, in a font that has their letters."""

from contextlib import suppress
from functools import lru_cache

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

# Pillow's own font holds little more than English; these are looked for among the fonts of the system
SYSTEM_FONTS = (
    *("NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf"),
    *("wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "PingFang.ttc", "msyh.ttc"),
)
NO_LETTER = "\U0010ffff"  # no font has it, so it is drawn as a font draws whatever it lacks


def load_font(size: int, text: str) -> FreeTypeFont:
    """Of Pillow's own font and the system's, the first that lacks the fewest letters of the text."""
    return min(load_fonts(size), key=lambda font: len(lacking_letters(font, text)))


@lru_cache(maxsize=8)
def load_fonts(size: int) -> tuple[FreeTypeFont, ...]:
    found = [ImageFont.load_default(size)]
    for name in SYSTEM_FONTS:
        with suppress(OSError):
            found.append(ImageFont.truetype(name, size))
    return tuple(found)


def lacking_letters(font: FreeTypeFont, text: str) -> set[str]:
    box = bytes(font.getmask(NO_LETTER))
    return {letter for letter in text if not letter.isspace() and bytes(font.getmask(letter)) == box}


def printable(text: str) -> str:
    """One line without control characters, which Pillow refuses to measure."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def shorten(text: str, font: FreeTypeFont, width: float) -> str:
    """The text, or as much of its start as fits `width` pixels with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def wrap(text: str, font: FreeTypeFont, width: float) -> list[str]:
    """Lines of at most `width` pixels, broken between words, or between letters where one word is wider."""
    lines = [""]
    for word in text.split():
        whole = font.getlength(word) <= width
        for number, part in enumerate([word] if whole else word):
            joined = f"{lines[-1]} {part}".strip() if number == 0 else lines[-1] + part
            if font.getlength(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(part)
    return lines
