"""Reading text: every letter comes back, every place knows its letters, every mistake is one line."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from multimodal_attn.errors import MediaError
from multimodal_attn.senses import geometry_from_dict
from multimodal_attn.senses.text.geometry import TextGeometry
from multimodal_attn.senses.text.media import MAX_LETTERS, Text, check_text, read_lines, read_text, text_files
from multimodal_attn.senses.text.sense import tokenize
from multimodal_attn.tokens import END, PAD, build_text_tokenizer, ids_to_text, text_to_ids
from multimodal_attn.untrusted import parse_tokenizer

TEXTS = ["Two dogs don't run.", "Zwei Hunde laufen nicht.", "他不知道他在哪里。", "他知道。", "two dogs run, run"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_text_tokenizer(TEXTS, 331)


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "İSTANBUL ist groß",  # none of these letters was seen twice
        "Привет, мир! हिन्दी ไทย العربية 漢字 😀👩‍👩‍👧",
        "<pad> <end> <0x41> <unk>",
        "1,000.50 % (sic)",
        "\u200b",
    ],
)
def test_every_text_comes_back_whatever_training_had(tokenizer: Tokenizer, text: str) -> None:
    assert ids_to_text(tokenizer, text_to_ids(tokenizer, text)) == text


def test_spaces_are_single_and_letters_composed(tokenizer: Tokenizer) -> None:
    assert ids_to_text(tokenizer, text_to_ids(tokenizer, "  Two\t dogs\n ru\u0308n ")) == "Two dogs r\u00fcn"


def test_what_people_write_is_no_special_token(tokenizer: Tokenizer) -> None:
    assert min(tokenizer.encode("<pad><start><end><unk>").ids) > END


def test_pieces_reach_across_no_sign_digit_or_chinese_character(tokenizer: Tokenizer) -> None:
    learned = build_text_tokenizer(["知道12,12,知道12,ab,ab,ab"] * 9, 300)
    assert learned.encode("知道12,ab").tokens == ["▁知", "道", "1", "2", ",", "ab"]


def test_the_tokenizer_opens_from_a_checkpoint(tokenizer: Tokenizer) -> None:
    again = parse_tokenizer(tokenizer.to_str(), "here")
    assert again.encode("Two cats: 猫").ids == tokenizer.encode("Two cats: 猫").ids


def test_every_place_holds_the_letters_it_was_read_from(tokenizer: Tokenizer) -> None:
    texts = ["Two dogs, 漢!", "他"]
    batch, (geometry, short) = tokenize(texts, tokenizer)
    names = [geometry.piece(place) for place in range(geometry.n_places)]
    assert geometry.text == texts[0]
    assert "".join(dict.fromkeys(names)).replace(" ", "") == "Twodogs,漢!"
    assert names.count("漢") == 3  # its bytes
    assert batch.tokens.shape == (2, geometry.n_places)
    assert (batch.tokens[1, short.n_places :] == PAD).all() and (batch.tokens[1, : short.n_places] != PAD).all()
    assert batch.tokens.dtype == torch.int64


def test_a_geometry_goes_to_json_and_back_and_finds_places() -> None:
    geometry = TextGeometry("Tom chases", ((0, 3), (4, 8), (8, 10)))
    assert geometry_from_dict(geometry.to_dict()) == geometry
    assert [geometry.place_at(letter) for letter in (-1, 0, 2, 3, 4, 7, 8, 9, 99)] == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert geometry.shape == (3,) and geometry.piece(2) == "es"
    with pytest.raises(IndexError, match="place 3 is not among the 3 places"):
        geometry.span(3)


def test_a_str_is_a_sentence_and_a_path_holds_one(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_bytes("\ufeffTom  chases\r\nJerry.\n".encode())
    assert read_text(" Tom \n chases ") == Text("Tom chases")
    assert read_text(tmp_path / "one.txt").text == "Tom chases Jerry."


def test_every_line_has_its_number_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"One.\r\n\n  Three \x0c\nfour")
    lines = list(read_lines(path))
    assert [line.text for line in lines] == ["One.", "", "Three", "four"]
    assert [str(line) for line in lines] == [f"{path}:{n}" for n in (1, 2, 3, 4)]
    assert [line.problem for line in lines] == [None, "empty", None, None]


def test_folders_are_searched_for_texts(tmp_path: Path) -> None:
    for name in ("b.txt", "a.TXT", "c.md", ".hidden.txt"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in text_files([tmp_path])] == ["a.TXT", "b.txt"]


@pytest.mark.parametrize(
    "content, reason",
    [(b"good\nnot \xff\xfe good\n", ":2: not UTF-8 text"), (None, "no such file"), ("folder", "a folder, not a text")],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | str | None, reason: str) -> None:
    path = tmp_path / "text.txt"
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=reason) as caught:
        list(read_lines(path))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_line_longer_than_a_sentence_is_refused() -> None:
    assert check_text(Text("a" * MAX_LETTERS, "here:7"))
    with pytest.raises(MediaError, match="here:7: 1001 letters, over the 1000"):
        check_text(Text("a" * (MAX_LETTERS + 1), "here:7"))
