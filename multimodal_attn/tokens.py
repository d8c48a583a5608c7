"""Tokens: text <-> ids, a thin layer over Hugging Face `tokenizers`, whose JSON file travels with every checkpoint."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from multimodal_attn.errors import ConfigError

PAD, START, END, UNKNOWN = 0, 1, 2, 3
NEVER_SAID = (PAD, START, UNKNOWN)
NO_SPEECH = "<|nospeech|>"  # of decoders that tell when there is nothing to write
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")
APART = r"[^\p{L}\p{M}\p{N}'\-]+|(?<![\p{L}\p{N}])['\-]+|['\-]+(?![\p{L}\p{N}])"  # what stands between words
STEERING = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")
APOSTROPHE = "\u2019"  # the typographic one
SPACES = r"\s+"
MARK = "\u2581"  # before a word
# what no piece reaches across: a Chinese character, a word of other letters, a digit, any other sign
UNITS = MARK + r"?(?:\p{Han}|(?:(?!\p{Han})[\p{L}\p{M}])+|\p{N}|[^\p{L}\p{M}\p{N}" + MARK + "])|" + MARK
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def build_word_tokenizer(texts: Iterable[str], min_count: int = 5) -> Tokenizer:
    """Lower-case words seen at least `min_count` times, the most frequent first; punctuation is dropped."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIALS[UNKNOWN]))
    tokenizer.normalizer = _plain_words()
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


def build_piece_tokenizer(texts: Iterable[str], n_pieces: int = 300) -> Tokenizer:
    """Pieces of words by byte-pair encoding (Sennrich, Haddow, Birch 2016), of any script: no word of the letters that
    the texts have is unknown. Another letter is UNKNOWN, as a transcript, said in these pieces alone, could not hold
    it; text that is read, or must come back whole, takes `build_text_tokenizer`.

    A piece that begins a word begins with the mark \u2581. n_pieces counts the SPECIALS too; where it is less than the
    number of letters, as 0 is, the pieces are the single letters and the mark.
    """
    learner = _piece_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=n_pieces, special_tokens=list(SPECIALS), show_progress=False)
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]
    # a new one, to which SPECIALS are not declared as such, or the library would also find them in people's texts
    merges = [tuple(pair) for pair in learned["merges"]]
    return _piece_tokenizer(models.BPE(learned["vocab"], merges, unk_token=SPECIALS[UNKNOWN]))


def build_byte_tokenizer(pieces: Sequence[str], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """Pieces of text as it is, capitals and signs too, by byte-pair encoding over bytes (Radford et al. 2019).

    pieces: in the library's spelling, a letter for each byte, so that a word's first piece begins with \u0120 where a
    space is; SPECIALS and the single bytes among them. merges: pairs of them, the first ones before the others.
    """
    tokenizer = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def spelled(tokenizer: Tokenizer, token: int) -> str:
    """A token as a trace shows it, the mark \u2581 before a word; \ufffd where it is a part of a letter."""
    name = plain(tokenizer.id_to_token(token))
    if not isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel) or token < len(SPECIALS):
        return name
    return ("\u2581" if name.startswith("\u0120") else "") + plain(tokenizer.decoder.decode([name]))


def build_text_tokenizer(texts: Iterable[str], n_pieces: int = 4000) -> Tokenizer:
    """Pieces of text as it is written: case, punctuation and every script are kept, runs of spaces become one.

    Words are learned in pieces as in `build_piece_tokenizer`; Chinese characters, digits and signs stay single. Letters
    seen once or never are spelled in the bytes of their UTF-8, so that nothing vanishes and every text comes back.
    n_pieces counts the SPECIALS and the 256 bytes too.
    """
    texts, learner = list(texts), _text_tokenizer(models.BPE())
    letters = Counter(letter for text in texts for letter in learner.normalizer.normalize_str(text))
    trainer = trainers.BpeTrainer(
        vocab_size=n_pieces - len(BYTES),
        special_tokens=list(SPECIALS),
        limit_alphabet=1 + sum(n > 1 for n in letters.values()),  # the most frequent ones, and the mark
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]
    pieces = sorted(learned["vocab"], key=learned["vocab"].get)[len(SPECIALS) :]
    vocabulary = {piece: n for n, piece in enumerate([*SPECIALS, *BYTES, *pieces])}
    merges = [tuple(pair) for pair in learned["merges"]]
    return _text_tokenizer(models.BPE(vocabulary, merges, unk_token=SPECIALS[UNKNOWN], byte_fallback=True))


def _piece_tokenizer(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = _plain_words()
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return tokenizer


def _text_tokenizer(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    one_space = normalizers.Replace(Regex(SPACES), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), one_space, normalizers.Strip()])
    units = pre_tokenizers.Split(Regex(UNITS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(split=False), units])
    spaces, first = decoders.Replace(MARK, " "), decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse(), first])
    return tokenizer


def _plain_words() -> normalizers.Normalizer:
    """Lower case, punctuation dropped, letters, marks and digits of every script kept."""
    return normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace(APOSTROPHE, "'"),
            normalizers.Replace(Regex(APART), " "),
            normalizers.Strip(),
        ]
    )


def split_words(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text as the tokenizer sees them, known or not."""
    return tokenizer.normalizer.normalize_str(text).split()


def text_to_ids(tokenizer: Tokenizer, text: str, max_tokens: int | None = None) -> list[int]:
    """Ids of a text, cut to max_tokens, and END."""
    return [*tokenizer.encode(text).ids[:max_tokens], END]


def begin_to_ids(tokenizer: Tokenizer, begin: str | Sequence[int | str]) -> list[int]:
    """Ids of what a sentence is to begin with: a text, or tokens by their ids or as a trace spells them.

    Raises ConfigError for what the vocabulary does not have, or no sentence says.
    """
    if isinstance(begin, str):
        ids = tokenizer.encode(begin).ids
    else:
        ids = [_id_of(tokenizer, token) if isinstance(token, str) else token for token in begin]
    known = tokenizer.get_vocab_size()
    if not all(0 <= id < known and id not in NEVER_SAID for id in ids) or END in ids[:-1]:
        raise ConfigError(f"begin: this model never says {plain(str(begin))!r:.99}; take words that it knows")
    return ids


def _id_of(tokenizer: Tokenizer, token: str) -> int:
    """Of a token as `spelled` gives it; -1 for none."""
    names = (tokenizer.token_to_id(name) for name in (token, token.replace(MARK, "\u0120")))
    return next((id for id in names if id is not None and spelled(tokenizer, id) == token), -1)


def ids_to_text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The sentence; everything from the first END on, and every special token, is left out."""
    ids = list(ids)
    ids = ids[: ids.index(END)] if END in ids else ids
    return plain(tokenizer.decode([i for i in ids if i >= len(SPECIALS)]))


def plain(text: str) -> str:
    """Without characters that steer a terminal, end a line of a subtitle or turn the order of letters round: the
    vocabulary may be a stranger's."""
    return STEERING.sub(" ", text)
