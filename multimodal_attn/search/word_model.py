"""Which words there are and which follow which, as an opinion about the next piece of a word.

A word model knows nothing of pieces: a tree of its words' beginnings tells what a piece is worth before the word is
whole (look-ahead; Ortmanns, Ney, Eiden 1996; for end-to-end recognition Hori, Cho, Watanabe 2018). What the pieces of a
word got adds up to the word's log-probability. Words that the tree lacks stay possible, at the price of a new word.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.search.ngrams import BEGIN, CLOSE, N_MARKS, NEW, Ngrams, NgramSizes, count_ngrams, find
from multimodal_attn.tokens import END, MARK, START, split_words

ROOT = 0


@dataclass(frozen=True)
class WordModelConfig:
    """How large a word model is: the sizes of its tables."""

    words: int
    pairs: int
    triples: int
    nodes: int
    edges: int


class WordState(NamedTuple):
    """What a hypothesis has said: node (B, M) of the tree, or -1 for a new word; n_pieces (B, M) of the word it is in;
    before and last (B, M), the two words before that."""

    node: Tensor
    n_pieces: Tensor
    before: Tensor
    last: Tensor


class WordModel(nn.Module):
    """The tree and the trigrams.

    mass (N,): log-probability that a word goes on from a node. word (N,): the word that ends there, or NEW. edges (E,):
    sorted keys node * V + piece, and leads (E,): the nodes there. opens (V,): which pieces begin a word.
    """

    def __init__(self, config: WordModelConfig, n_tokens: int) -> None:
        super().__init__()
        self.config, self.n_tokens = config, n_tokens
        self.ngrams = Ngrams(NgramSizes(config.words, config.pairs, config.triples))
        self.register_buffer("mass", torch.zeros(config.nodes))
        self.register_buffer("word", torch.zeros(config.nodes, dtype=torch.long))
        self.register_buffer("edges", torch.zeros(config.edges, dtype=torch.long))
        self.register_buffer("leads", torch.zeros(config.edges, dtype=torch.long))
        self.register_buffer("opens", torch.zeros(n_tokens, dtype=torch.bool))

    def check(self) -> None:
        """Raises ConfigError for tables that name words or nodes which are not there; a file may hold such."""
        n_words, n_nodes = self.config.words, self.config.nodes
        inside = [(self.word, n_words), (self.leads, n_nodes)]
        if n_words < N_MARKS or any(not len(table) or table.min() < 0 or table.max() >= n for table, n in inside):
            raise ConfigError("words: its tables do not fit each other")

    def start(self, n_inputs: int) -> WordState:
        zeros = self.word.new_zeros(n_inputs, 1)
        return WordState(zeros, zeros, zeros + NEW, zeros + BEGIN)

    def advance(self, tokens: Tensor, state: WordState) -> WordState:
        """The state after tokens (B, M); START changes nothing."""
        opens = self.opens[tokens]
        origin = torch.where(opens, ROOT, state.node)
        child, known = find(self.edges, origin * self.n_tokens + tokens)
        node = torch.where(known & (origin >= 0), self.leads[child], -1)
        ended = opens & (state.n_pieces > 0)
        before, last = self._context(state)
        after = WordState(
            node,
            torch.where(opens, 1, state.n_pieces + 1),
            torch.where(ended, before, state.before),
            torch.where(ended, last, state.last),
        )
        return WordState(*(torch.where(tokens == START, old, new) for old, new in zip(state, after, strict=True)))

    def logp(self, state: WordState) -> Tensor:
        """Log-probability (B, M, V) of every next token."""
        pieces = torch.arange(self.n_tokens, device=state.node.device)
        done = self._done(state).unsqueeze(-1)
        origin = torch.where(self.opens, ROOT, state.node.unsqueeze(-1))  # (B, M, V)
        child, known = find(self.edges, origin * self.n_tokens + pieces)
        known &= origin >= 0
        mass = torch.where(origin >= 0, self.mass[origin], 0.0)
        n_pieces = torch.where(self.opens, 0, state.n_pieces.unsqueeze(-1))
        fresh = torch.where(origin >= 0, self._price(n_pieces + 1) - mass, self._price(1) - self._price(0))
        total = torch.where(known, self.mass[self.leads[child]] - mass, fresh)
        total = total + torch.where(self.opens, done, 0.0)
        before, last = self._context(state)
        total[..., END] = done.squeeze(-1) + self.ngrams(before, last, torch.full_like(last, CLOSE))
        return total

    def _price(self, n_pieces: Tensor | int) -> Tensor:
        """Log-probability of a new word of so many pieces, each as likely as any other."""
        return self.ngrams.single[NEW] - n_pieces * float(np.log(self.n_tokens))

    def _ends(self, state: WordState) -> Tensor:
        """The word (B, M) that the pieces so far make, NEW for an unknown one."""
        return torch.where(state.node >= 0, self.word[state.node], NEW)

    def _context(self, state: WordState) -> tuple[Tensor, Tensor]:
        """The two words before whatever comes after the one begun, if one is begun."""
        begun = state.n_pieces > 0
        ends = self._ends(state)
        return torch.where(begun, state.last, state.before), torch.where(begun, ends, state.last)

    def _done(self, state: WordState) -> Tensor:
        """What is still owed (B, M) when the word ends here: its log-probability less what its pieces got."""
        ends = self._ends(state)
        paid = torch.where(state.node >= 0, self.mass[state.node], self._price(state.n_pieces))
        owed = torch.where(ends == NEW, self._price(state.n_pieces), self.ngrams(state.before, state.last, ends))
        return torch.where(state.n_pieces > 0, owed - paid, 0.0)


class WordScorer:
    """A word model's opinion in a beam search, see scorers.Scorer."""

    option = "words"

    def __init__(self, model: WordModel) -> None:
        self.model = model

    def start(self, n_inputs: int) -> tuple[None, WordState]:
        return None, self.model.start(n_inputs)

    def score(self, tokens: Tensor, source: None, state: WordState) -> tuple[Tensor, WordState]:
        """Log-probabilities (b, M, V) of what follows the tokens (b, M)."""
        state = self.model.advance(tokens, state)
        return self.model.logp(state), state


def build_word_model(texts: Iterable[str], tokenizer: Tokenizer) -> WordModel:
    """Count the words of sentences, for a model with this tokenizer. Raises ConfigError if that has no pieces."""
    pieces = tokenizer.get_vocab()
    if not any(piece.startswith(MARK) for piece in pieces):
        raise ConfigError("a word model is for models that write pieces of words; this one writes words")
    sentences = [split_words(tokenizer, text) for text in texts]
    words = sorted({word for sentence in sentences for word in sentence})
    number = {word: n for n, word in enumerate(words, N_MARKS)}
    ngrams = count_ngrams(([number[word] for word in sentence] for sentence in sentences), N_MARKS + len(words))
    nodes, edges = grow_tree(words, pieces)
    mass = np.zeros(len(nodes))
    for word, p in zip(words, ngrams.single[N_MARKS:].exp().tolist(), strict=True):
        mass[[nodes[word[:end]] for end in range(len(word) + 1)]] += p
    mass[ROOT] = 1.0  # what has not begun may become a new word too
    sizes = ngrams.sizes
    config = WordModelConfig(sizes.words, sizes.pairs, sizes.triples, len(nodes), len(edges))
    model = WordModel(config, len(pieces))
    model.ngrams = ngrams
    model.mass.copy_(torch.from_numpy(np.log(np.maximum(mass, 1e-12))))
    model.word.copy_(torch.tensor([number.get(prefix, NEW) for prefix in nodes]))
    model.edges.copy_(torch.tensor(sorted(edges)))
    model.leads.copy_(torch.tensor([edges[key] for key in sorted(edges)]))
    model.opens[[n for piece, n in pieces.items() if piece.startswith(MARK)]] = True
    return model.eval()


def grow_tree(words: Iterable[str], pieces: dict[str, int]) -> tuple[dict[str, int], dict[int, int]]:
    """(numbers of all beginnings of words, the empty one first; edges node * V + piece -> node), by every way in which
    pieces may spell a word."""
    nodes, edges, longest = {"": ROOT}, {}, max(map(len, pieces))
    for word in words:
        for end in range(1, len(word) + 1):
            nodes.setdefault(word[:end], len(nodes))
        marked = MARK + word
        for start in range(len(marked)):
            origin = nodes[marked[:start][1:]]
            for end in range(start + 1, min(len(marked), start + longest) + 1):
                if (piece := pieces.get(marked[start:end])) is not None:
                    edges[origin * len(pieces) + piece] = nodes[marked[:end][1:]]
    return nodes, edges
