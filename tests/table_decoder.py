"""A decoder whose probabilities are planted in a table, and the same search written with plain lists."""

from itertools import product

import torch
from torch import Tensor

from multimodal_attn.attention import Keys
from multimodal_attn.decoders import Ready, Step
from multimodal_attn.search import SearchConfig
from multimodal_attn.tokens import END, PAD, SPECIALS, START

FIRST = len(SPECIALS)  # the lowest id of a word
N_PASTS = 5

Sentence = tuple[tuple[int, ...], float]  # tokens without END, and the normalised score


class TableDecoder:
    """Logits are looked up: table[input, last token] + past[input, code of the whole history]. The code is the state,
    so a hypothesis that gets another's state is found out."""

    def start(self, source: Ready, n_queries: int) -> tuple[Tensor]:
        return (torch.zeros(len(source.summary), n_queries, dtype=torch.long),)

    def step(self, tokens: Tensor, source: Ready, state: tuple[Tensor]) -> Step:
        past = next_past(state[0], tokens)
        rows = torch.arange(len(tokens)).unsqueeze(1)
        return Step(source.keys.keys[rows, tokens] + source.keys.values[rows, past], tokens[..., :0], (past,))


def next_past(past: Tensor | int, token: Tensor | int) -> Tensor | int:
    return (2 * past + token) % N_PASTS


def table_source(table: Tensor, past: Tensor | None = None) -> Ready:
    """table (B, V, V), past (B, N_PASTS, V)."""
    past = torch.zeros(len(table), N_PASTS, table.shape[-1]) if past is None else past
    return Ready(Keys(table, past, None), torch.zeros(len(table), 1))


def random_source(n_inputs: int, n_words: int, seed: int) -> Ready:
    torch.manual_seed(seed)
    n_tokens = FIRST + n_words
    return table_source(torch.randn(n_inputs, n_tokens, n_tokens), torch.randn(n_inputs, N_PASTS, n_tokens))


def same_row(logits: Tensor) -> Ready:
    """One input whose next token never depends on what came before."""
    return table_source(logits.expand(1, len(logits), -1))


def words_of(tokens: Tensor) -> tuple[int, ...]:
    """The tokens before END; END must be there, and only PAD after it."""
    ids = tokens.tolist()
    end = ids.index(END)
    assert set(ids[end + 1 :]) <= {PAD}
    return tuple(ids[:end])


def n_best(tokens: Tensor, scores: Tensor) -> list[Sentence]:
    return [(words_of(row), score) for row, score in zip(tokens, scores.tolist(), strict=True) if score > -torch.inf]


# The same search in plain Python


def log_probabilities(source: Ready, row: int, prefix: tuple[int, ...]) -> list[float]:
    past, last = next_past(0, START), START
    for token in prefix:
        past, last = next_past(past, token), token
    return (source.keys.keys[row, last] + source.keys.values[row, past]).double().log_softmax(-1).tolist()


def repeats(sentence: tuple[int, ...], n: int) -> bool:
    grams = [sentence[start : start + n] for start in range(len(sentence) - n + 1)] if n else []
    return len(set(grams)) < len(grams)


def every_sentence(source: Ready, row: int, config: SearchConfig) -> list[Sentence]:
    """All that may be said, best first."""
    found = []
    for length in range(config.min_length, config.max_length + 1):
        for words in product(range(FIRST, source.keys.keys.shape[-1]), repeat=length):
            if not repeats(words, config.no_repeat):
                total = sum(log_probabilities(source, row, words[:t])[token] for t, token in enumerate((*words, END)))
                found.append((words, total / (length + 1) ** config.length_penalty))
    return sorted(found, key=lambda sentence: -sentence[1])


def listed_beam_search(source: Ready, row: int, config: SearchConfig) -> list[Sentence]:
    """Of all extensions of all hypotheses: an END among the K best is a sentence, the K best others live on."""
    live, done = [((), 0.0)], []
    for length in range(config.max_length + 1):
        extensions = []
        for words, logp in live:
            following = log_probabilities(source, row, words)
            if length >= config.min_length:
                extensions.append(((*words, END), logp + following[END]))
            if length < config.max_length:
                longer = [((*words, token), logp + following[token]) for token in range(FIRST, len(following))]
                extensions += [kept for kept in longer if not repeats(kept[0], config.no_repeat)]
        extensions.sort(key=lambda extension: -extension[1])
        for words, logp in extensions[: config.beam]:
            if words[-1] == END and len(done) < config.beam:
                done.append((words[:-1], logp / len(words) ** config.length_penalty))
        live = [extension for extension in extensions if extension[0][-1] != END][: config.beam]
        if len(done) == config.beam:
            break
    return sorted(done, key=lambda sentence: -sentence[1])
