"""Written English as it is spoken, so that "Mr. Hill paid $5" and "mister hill paid five dollars" count as the same."""

import re

from num2words import num2words

from tasks.speech.formats import normalize_text

SHORT = {"mr": "mister", "mrs": "missus", "dr": "doctor", "vs": "versus", "&": "and", "%": "percent"}
MONEY = {"$": "dollars", "\u00a3": "pounds", "\u20ac": "euros"}
YEARS = range(1100, 2100)  # four digits without a comma
WORD = re.compile(r"[^\W\d_]+|[&%]")
AMOUNT = re.compile(
    r"(?<!\w)(?P<sign>[$\u00a3\u20ac])?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<part>\d+))?(?P<end>st|nd|rd|th|s)?(?![^\W\d_])"
)


def spoken_text(text: str) -> str:
    """Numbers, amounts and common abbreviations in words, then `normalize_text`. Plain words stay as they are."""
    text = WORD.sub(lambda found: f" {short} " if (short := SHORT.get(found[0].lower())) else found[0], text)
    return normalize_text(AMOUNT.sub(lambda found: f" {amount_in_words(found)} ", text))


def amount_in_words(found: re.Match) -> str:
    sign, part, end = found["sign"], found["part"], found["end"]
    number = int(found["whole"].replace(",", ""))
    if end in ("st", "nd", "rd", "th"):
        return num2words(number, to="ordinal")
    words = whole_in_words(found["whole"], number)
    if end == "s":
        words = f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"
    if sign:
        unit = MONEY[sign] if number != 1 or part else MONEY[sign][:-1]
        return f"{words} {unit} {num2words(int(part)) if part and int(part) else ''}"
    return " ".join([words, *(["point"] if part else []), *(num2words(int(digit)) for digit in part or "")])


def whole_in_words(written: str, number: int) -> str:
    if len(written) > 1 and written.startswith("0") or len(written) > 9 and "," not in written:
        return " ".join(num2words(int(digit)) for digit in written if digit != ",")  # a telephone, a code
    return num2words(number, to="year" if len(written) == 4 and number in YEARS else "cardinal")
