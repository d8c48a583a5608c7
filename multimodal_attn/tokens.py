"""Tokens: text <-> ids, a thin layer over Hugging Face `tokenizers`, whose JSON file travels with every checkpoint."""

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


def build_word_tokenizer(texts: Iterable[str], min_count: int = 5) -> Tokenizer:
    """Lower-case words seen at least `min_count` times, the most frequent first; punctuation is dropped."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIALS[UNKNOWN]))
    apart = Regex(r"[^\p{L}\p{M}\p{N}'\-]+|(?<![\p{L}\p{N}])['\-]+|['\-]+(?![\p{L}\p{N}])")
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace("\u2019", "'"),  # the typographic apostrophe
            normalizers.Replace(apart, " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    counts: dict[str, int] = {}
    for text in texts:
        for word in split_words(tokenizer, text):
            counts[word] = counts.get(word, 0) + 1
    kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
    vocabulary = {word: n for n, word in enumerate([*SPECIALS, *kept])}
    # SPECIALS are not declared as such, or the library would also find them in people's texts
    tokenizer.model = models.WordLevel(vocabulary, unk_token=SPECIALS[UNKNOWN])
    return tokenizer


def split_words(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text as the tokenizer sees them, known or not."""
    return tokenizer.normalizer.normalize_str(text).split()


def text_to_ids(tokenizer: Tokenizer, text: str, max_tokens: int | None = None) -> list[int]:
    """Ids of a text, cut to max_tokens, and END."""
    return [*tokenizer.encode(text).ids[:max_tokens], END]


def ids_to_text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The sentence; everything from the first END on, and every special token, is left out."""
    ids = list(ids)
    ids = ids[: ids.index(END)] if END in ids else ids
    return tokenizer.decode([i for i in ids if i >= len(SPECIALS)])
