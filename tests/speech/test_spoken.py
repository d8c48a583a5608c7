"""Numbers and abbreviations are scored by how they are spoken."""

import pytest

from tasks.speech.spoken import spoken_text


@pytest.mark.parametrize(
    "written, spoken",
    [
        ("the cat's well-attended ball", "the cat's well attended ball"),
        ("Mr. Hill paid $5.", "mister hill paid five dollars"),
        ("$1, \u00a32.50 & 3%", "one dollar two pounds fifty and three percent"),
        ("Nice, 6, 6, 1.", "nice six six one"),
        ("the 21st and 10th row", "the twenty first and tenth row"),
        ("in 1984 to the 1920s", "in nineteen eighty four to the nineteen twenties"),
        ("1,984 of them", "one thousand nine hundred and eighty four of them"),
        ("3.14 at 10:30", "three point one four at ten thirty"),
        ("007 and 1234567890", "zero zero seven and one two three four five six seven eight nine zero"),
        ("mp3 B2B 4x4", "mp3 b2b 4x4"),
        ("", ""),
    ],
)
def test_written_english_becomes_spoken(written: str, spoken: str) -> None:
    assert spoken_text(written) == spoken


def test_what_is_spoken_stays() -> None:
    text = "she'll drop mister two hundred and five's vs"
    assert spoken_text(text.replace(" vs", "")) == text.replace(" vs", "")
