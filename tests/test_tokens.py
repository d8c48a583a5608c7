"""Text to ids and back."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from multimodal_attn.tokens import (
    END,
    PAD,
    SPECIALS,
    START,
    UNKNOWN,
    build_word_tokenizer,
    ids_to_text,
    plain,
    spelled,
    split_words,
    text_to_ids,
)

TEXTS = ["A dog's ball, a well-known dog!", "the dog catches THE ball .", "a café 3 days' walk", "naïve Ñandú 犬 a"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return build_word_tokenizer(TEXTS, min_count=1)


@pytest.mark.parametrize(
    "text, words",
    [
        ("A dog, a DOG; a (dog)!?", "a dog a dog a dog"),
        ("a dog's tail", "a dog's tail"),
        ("a dog\u2019s tail", "a dog's tail"),
        ("well-known T-shirt", "well-known t-shirt"),
        ("'quoted' days' - dash -- end-", "quoted days dash end"),
        ("rock'n'roll is 80's", "rock'n'roll is 80's"),
        ("CAFÉ cafe\u0301", "café café"),
        ("ÑANDÚ Straße 犬 и собака", "ñandú straße 犬 и собака"),
        ("  tabs\tand\nlines  ", "tabs and lines"),
        ("3 boys & 2 girls, 50%", "3 boys 2 girls 50"),
        ("<end> <b>a</b>", "end b a b"),
        ("...", ""),
        ("", ""),
    ],
)
def test_words_are_what_lies_between_punctuation(tokenizer: Tokenizer, text: str, words: str) -> None:
    assert split_words(tokenizer, text) == words.split()


@pytest.mark.parametrize("text", TEXTS)
def test_known_words_come_back(tokenizer: Tokenizer, text: str) -> None:
    assert ids_to_text(tokenizer, text_to_ids(tokenizer, text)) == " ".join(split_words(tokenizer, text))


def test_ids_start_with_the_special_tokens_and_follow_frequency() -> None:
    tokenizer = build_word_tokenizer(["b b c c a e", "c d e"], min_count=2)
    assert [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())] == [*SPECIALS, "c", "b", "e"]
    assert (PAD, START, END, UNKNOWN) == (0, 1, 2, 3)
    assert text_to_ids(tokenizer, "b a c") == [5, UNKNOWN, 4, END]


def test_sentence_is_cut_before_its_end(tokenizer: Tokenizer) -> None:
    ids = text_to_ids(tokenizer, "the dog catches the ball", max_tokens=3)
    assert ids[-1] == END and ids_to_text(tokenizer, ids) == "the dog catches"
    assert text_to_ids(tokenizer, "the dog", max_tokens=3) == text_to_ids(tokenizer, "the dog")
    assert text_to_ids(tokenizer, "") == [END]


def test_special_tokens_do_not_show_in_the_sentence(tokenizer: Tokenizer) -> None:
    dog, ball = text_to_ids(tokenizer, "dog ball")[:2]
    assert ids_to_text(tokenizer, [START, dog, UNKNOWN, ball, END, dog, PAD]) == "dog ball"
    assert ids_to_text(tokenizer, [dog, PAD]) == "dog"
    assert ids_to_text(tokenizer, []) == ""


@pytest.mark.parametrize("special", SPECIALS)
def test_name_of_a_special_token_in_a_text_is_an_ordinary_word(tokenizer: Tokenizer, special: str) -> None:
    word = special.strip("<>")
    assert text_to_ids(tokenizer, f"a {special} dog") == text_to_ids(tokenizer, f"a {word} dog")
    tokenizer = build_word_tokenizer([f"{word} dog"], min_count=1)
    assert ids_to_text(tokenizer, text_to_ids(tokenizer, f"{special} dog")) == f"{word} dog"


def test_tokenizer_survives_json(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_str(tokenizer.to_str())
    assert again.get_vocab() == tokenizer.get_vocab()
    for text in (*TEXTS, "zebra <end> dog\u2019s -x- CAFE\u0301"):
        assert text_to_ids(again, text) == text_to_ids(tokenizer, text)
        assert ids_to_text(again, text_to_ids(again, text)) == ids_to_text(tokenizer, text_to_ids(tokenizer, text))


def test_what_steers_a_terminal_or_a_subtitle_is_never_said() -> None:
    words = ["<pad>", "<start>", "<end>", "<unk>", "\x1b[2J", "a\n\n1\n00:00", "\u202egod", "naïve"]
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    assert ids_to_text(tokenizer, [4, 5, 6, 7]) == " [2J a  1 00:00  god naïve"
    assert spelled(tokenizer, 5) == "a  1 00:00" and plain("हिन्दी 犬 \u200d") == "हिन्दी 犬 \u200d"
