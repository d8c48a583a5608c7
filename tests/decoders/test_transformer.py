"""The Transformer decoder: its equations, kept keys, causality, search, files, and planted captions that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from multimodal_attn import load
from multimodal_attn.checkpoint import save_checkpoint
from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.decoders.transformer import TransformerDecoder
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.positions import GridPositions
from multimodal_attn.memory import Memory, select_inputs, select_queries
from multimodal_attn.model import build_model
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.tokens import END, PAD, SPECIALS, START, build_word_tokenizer

B, S, M, T = 2, 7, 3, 5  # inputs, places, sentences per input, tokens
D, H, V = 11, 9, 13  # widths of memory and decoder, vocabulary

# everything that a step can remember: weights, sums of weights, a position, a first look, nothing at all
MECHANISMS = (
    {"score": "scaled_dot"},
    {"score": "additive", "heads": 3},
    {"score": "location", "width": 3},
    {"score": "coverage", "align": "sparsemax"},
    {"score": "general", "align": "static"},
    {"score": "dot", "align": "local_m", "window": 2},
    {"score": "cosine", "align": "local_p", "window": 2},
    {"score": "scaled_dot", "align": "monotonic", "bias": 0.0},
    {"score": "scaled_dot", "align": "mocha", "bias": 0.0, "chunk": 2},
    {"score": "scaled_dot", "align": "forward_agent"},
    {"score": "gaussian", "align": "hard"},
    {"align": "uniform"},
    {"align": "none"},
)
PLAIN = MECHANISMS[0]


def build(attention: dict = PLAIN, dim: int = H, layers: int = 2, **options) -> TransformerDecoder:
    torch.manual_seed(2)
    config = DecoderConfig("transformer", attention, dim, layers=layers, **options)
    return build_decoder(config, D, V).double().eval()


def inputs() -> tuple[Tensor, Memory]:
    """Tokens (B, M, T), and a memory with 7 and 4 real places."""
    torch.manual_seed(3)
    mask = torch.arange(S) < torch.tensor([[S], [4]])
    return torch.randint(V, (B, M, T)), Memory(torch.randn(B, S, D, dtype=torch.float64), mask)


def unroll(decoder: TransformerDecoder, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    features, weights = decoder.unroll(tokens, decoder.read(memory))
    return decoder.logits(features), weights


# The equations, for one input and one sentence


def normalised(x: Tensor) -> Tensor:
    return (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()


def sinusoid(place: int, dim: int) -> Tensor:
    angles = [place / 10_000 ** (2 * (i // 2) / dim) for i in range(dim)]
    return torch.tensor([np.cos(a) if i % 2 else np.sin(a) for i, a in enumerate(angles)], dtype=torch.float64)


def heads_of(x: Tensor, n: int) -> list[Tensor]:
    return list(x.chunk(n, -1))


def look_back(words: torch.nn.Module, xs: list[Tensor]) -> Tensor:
    """What the last of the words so far gets from all of them, head by head."""
    joint = [words.project.weight @ normalised(x) + words.project.bias for x in xs]
    queries, keys, values = zip(*(x.chunk(3) for x in joint), strict=True)
    n, found = words.heads, []
    for head in range(n):
        query = heads_of(queries[-1], n)[head]
        energies = torch.stack([query @ heads_of(key, n)[head] / len(query) ** 0.5 for key in keys])
        found.append(sum(w * heads_of(v, n)[head] for w, v in zip(energies.softmax(0), values, strict=True)))
    return words.output.weight @ torch.cat(found) + words.output.bias


def by_the_equations(decoder: TransformerDecoder, tokens: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (T, V) and the last layer's weights (T, S) of one sentence over the real places (S, D), token by token."""
    dim, places = decoder.config.dim, decoder.bridge(values)
    columns = [[] for _ in decoder.layers]  # what each layer has read so far
    logits, weights = [], []
    for t, token in enumerate(tokens):
        x = decoder.embedding.weight[token] * dim**0.5 + sinusoid(t, dim)
        x = x + decoder.first(places.mean(0)) if t == 0 else x
        for layer, earlier in zip(decoder.layers, columns, strict=True):
            earlier.append(x)
            x = x + look_back(layer.words, earlier)
            score = layer.attention.score
            chances = (score.key_map(places) @ score.query_map(normalised(x)) / dim**0.5).softmax(0)
            x = x + layer.from_context(chances @ places)
            _, enter, _, leave = layer.network
            x = x + leave.weight @ (enter.weight @ normalised(x) + enter.bias).clamp_min(0) + leave.bias
        x = decoder.norm.weight * normalised(x) + decoder.norm.bias
        logits.append(decoder.embedding.weight @ x + decoder.bias)
        weights.append(chances)
    return torch.stack(logits), torch.stack(weights)


@torch.no_grad()
@pytest.mark.parametrize("dim, n_heads", [(H, 1), (130, 2)])
def test_logits_and_weights_follow_the_equations(dim: int, n_heads: int) -> None:
    decoder, (tokens, memory) = build(dim=dim), inputs()
    assert decoder.layers[0].words.heads == n_heads
    decoder.norm.weight.uniform_(0.5, 2)
    found, looked = unroll(decoder, tokens, memory)
    for b, m in np.ndindex(B, M):
        real = memory.mask[b]
        logits, weights = by_the_equations(decoder, tokens[b, m], memory.values[b, real])
        torch.testing.assert_close(found[b, m], logits)
        torch.testing.assert_close(looked[b, m, :, 0, real], weights)


# Steps with kept keys


@torch.no_grad()
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("attention", MECHANISMS)
def test_unroll_is_the_step_repeated_whatever_the_attention_remembers(attention: dict, positions: str) -> None:
    decoder, (tokens, memory) = build(attention, positions=positions), inputs()
    expected, looked = unroll(decoder, tokens, memory)
    source = decoder.read(memory)
    state = decoder.start(source, M)
    for t, column in enumerate(tokens.unbind(2)):
        logits, weights, state = decoder.step(column, source, state)
        torch.testing.assert_close(logits, expected[:, :, t], rtol=0, atol=1e-10)
        torch.testing.assert_close(weights, looked[:, :, t], rtol=0, atol=1e-10)
        assert [past.shape for past, _ in state] == [(B, M, t + 1, 2 * H)] * 2


@torch.no_grad()
@pytest.mark.parametrize("attention", MECHANISMS)
def test_later_token_changes_no_earlier_output(attention: dict) -> None:
    decoder, (tokens, memory) = build(attention), inputs()
    before, looked = unroll(decoder, tokens, memory)
    for t in range(T):
        changed = tokens.clone()
        changed[:, :, t] = (changed[:, :, t] + 1) % V
        after, weights = unroll(decoder, changed, memory)
        torch.testing.assert_close(after[:, :, :t], before[:, :, :t], rtol=0, atol=1e-12)
        torch.testing.assert_close(weights[:, :, :t], looked[:, :, :t], rtol=0, atol=1e-12)
        assert ((after - before)[:, :, t:].abs().amax(-1) > 1e-9).all()  # and every later one


@torch.no_grad()
@pytest.mark.parametrize("attention", MECHANISMS)
def test_state_follows_its_hypotheses_and_its_inputs(attention: dict) -> None:
    decoder, (tokens, memory) = build(attention), inputs()
    source = decoder.read(memory)
    state = decoder.start(source, M)
    for t in range(3):
        _, _, state = decoder.step(tokens[:, :, t], source, state)
    order = torch.tensor([[2, 0, 0, 1, 2], [1, 1, 2, 0, 1]])  # more hypotheses than before, some of them twice
    last = torch.randint(V, (B, 5))
    found = decoder.step(last, source, select_queries(state, order))
    sentences = torch.cat([select_queries(tokens[:, :, :3], order), last.unsqueeze(-1)], -1)
    expected, weights = (part[:, :, -1] for part in unroll(decoder, sentences, memory))
    torch.testing.assert_close(found.logits, expected)
    torch.testing.assert_close(found.weights, weights)
    only = torch.tensor([1])
    left = decoder.step(tokens[1:, :, 3], *select_inputs((source, state), only))
    torch.testing.assert_close(left.logits, unroll(decoder, tokens, memory)[0][1:, :, 3])


@torch.no_grad()
def test_two_decodings_in_turn_do_not_meet() -> None:
    decoder, (tokens, memory) = build(), inputs()
    source = decoder.read(memory)
    expected = unroll(decoder, torch.stack([tokens[:, 0], tokens[:, 1]], 1), memory)[0]
    states = [decoder.start(source, 1), decoder.start(source, 1)]
    for t in range(T):
        for i in range(2):
            logits, _, states[i] = decoder.step(tokens[:, i : i + 1, t], source, states[i])
            torch.testing.assert_close(logits[:, 0], expected[:, i, t])


@torch.no_grad()
@pytest.mark.parametrize("attention", [PLAIN, MECHANISMS[1], MECHANISMS[4]])
def test_bfloat16_and_autocast_stay_near_double_precision(attention: dict) -> None:
    decoder, (tokens, memory) = build(attention, dim=130 if "heads" not in attention else 129), inputs()
    exact = unroll(decoder, tokens, memory)[0]
    single = Memory(memory.values.float(), memory.mask)
    source = decoder.float().read(single)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = unroll(decoder, tokens, single)[0]
        source, state = decoder.read(single), decoder.start(source, M)
        for column in tokens.unbind(2):
            logits, _, state = decoder.step(column, source, state)
    half = unroll(decoder.bfloat16(), tokens, Memory(memory.values.bfloat16(), memory.mask))[0]
    assert mixed.dtype == half.dtype == torch.bfloat16
    for found, expected in ((mixed, exact), (half, exact), (logits, exact[:, :, -1])):
        assert (found.double() - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("options", [{"layers": 0}, {"positions": "rotary"}])
def test_impossible_transformer_is_refused_in_one_line(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


# Search


@torch.no_grad()
def greedy_again(decoder: TransformerDecoder, memory: Memory, max_length: int) -> list[int]:
    """The most probable next token again and again, all of the sentence read anew each time."""
    ids = [START]
    for _ in range(max_length):
        logits = unroll(decoder, torch.tensor([[ids]]), memory)[0][0, 0, -1]
        logits[[PAD, START, SPECIALS.index("<unk>")]] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == END:
            break
    return ids[1:]


@pytest.mark.parametrize("attention", [PLAIN, MECHANISMS[2], MECHANISMS[4]])
def test_greedy_search_with_kept_keys_says_what_reading_all_again_says(attention: dict) -> None:
    decoder, (_, memory) = build(attention), inputs()
    config = SearchConfig(beam=1, no_repeat=0, min_length=0, max_length=11)
    best = beam_search(decoder, decoder.read(memory), config).tokens[:, 0].tolist()
    for row, found in enumerate(best):
        alone = Memory(memory.values[row : row + 1, memory.mask[row]])
        expected = greedy_again(decoder, alone, 11)
        assert found[: len(expected)] == expected


@pytest.mark.parametrize("attention", MECHANISMS)
def test_beam_search_finds_the_same_alone_and_in_a_batch(attention: dict) -> None:
    decoder = build(attention)
    torch.manual_seed(5)
    lengths, config = (7, 4, 1, 6, 2), SearchConfig(beam=3, no_repeat=2, max_length=7)
    mask = torch.arange(S) < torch.tensor(lengths).unsqueeze(1)
    values = torch.randn(5, S, D, dtype=torch.float64)
    together = beam_search(decoder, decoder.read(Memory(values, mask)), config)
    for row, length in enumerate(lengths):
        alone = beam_search(decoder, decoder.read(Memory(values[row : row + 1, :length])), config)
        assert torch.equal(together.tokens[row], alone.tokens[0])
        torch.testing.assert_close(together.scores[row], alone.scores[0])


# From a picture to a trace, and through a folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(7)
    tokenizer = build_word_tokenizer(["a dog runs over green grass", "two children play in the snow"], 1)
    encoder = ImageEncoderConfig("mobilenet_v3_small", size=96, self_attention=1, dim=24)
    attention = {"score": "scaled_dot", "heads": 2}
    model = build_model(encoder, DecoderConfig("transformer", attention, 16, layers=2, positions="learned"), tokenizer)
    path = tmp_path_factory.mktemp("checkpoints") / "transformer"
    save_checkpoint(path, model, SearchConfig(beam=3, max_length=7), "captioning", {"metrics": {}}, "# tiny\n")
    return path


def test_checkpoint_with_self_attention_and_transformer_captions_a_picture(folder: Path) -> None:
    predictor = load(folder)
    rng = np.random.default_rng(1)
    shapes = ((67, 41, 3), (50, 90, 3), (31, 31, 3))
    pictures = [Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)) for shape in shapes]
    items = [predictor.read(picture) for picture in pictures]
    for picture, together in zip(pictures, predictor.batch(items), strict=True):
        alone = predictor(picture)
        assert alone.text == together.text and np.abs(alone.weights - together.weights).max() < 1e-4
        assert alone.weights.shape == (len(alone.tokens), predictor.model.n_heads, 9) and predictor.model.n_heads == 2
        assert np.allclose(alone.weights.sum(-1), 1, atol=1e-5)
        assert (alone.geometry.rows, alone.geometry.cols) == (3, 3)


# Learning

N_WORDS, GRID = 7, (2, 3)
N_PLACES = GRID[0] * GRID[1]


def plant(n: int) -> tuple[Memory, Tensor, Tensor]:
    """Grids on which some cells hold a word, the rest nothing; the caption lists the words in reading order.

    Memory of word and cell codes, tokens (n, 1, T), and the place of every token (n, 1, T), -1 for END and PAD.
    """
    words = torch.randint(N_WORDS, (n, N_PLACES))
    filled = torch.rand(n, N_PLACES).argsort(-1) < torch.randint(1, N_PLACES + 1, (n, 1))
    order = (~filled).to(torch.uint8).argsort(dim=1, stable=True)  # filled cells first, in reading order
    n_words, t = filled.sum(1, keepdim=True), torch.arange(N_PLACES + 1)
    tokens = functional.pad((words + len(SPECIALS)).gather(1, order), (0, 1))
    tokens = tokens.masked_fill(t == n_words, END).masked_fill(t > n_words, PAD)
    places = functional.pad(order, (0, 1)).masked_fill(t >= n_words, -1)
    seen = functional.one_hot(words, N_WORDS) * filled.unsqueeze(-1)
    codes = GridPositions("sinusoidal", 12, *GRID)(torch.zeros(n, N_PLACES, 12))
    return Memory(torch.cat([seen, codes], -1)), tokens.unsqueeze(1), places.unsqueeze(1)


def shifted(tokens: Tensor) -> Tensor:
    return torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)


def test_planted_captions_are_learned_and_their_places_found() -> None:
    torch.manual_seed(1)
    n_steps, config = 300, DecoderConfig("transformer", {"score": "scaled_dot"}, 32, dropout=0.0, layers=2)
    decoder = build_decoder(config, N_WORDS + 12, len(SPECIALS) + N_WORDS)
    optimizer = torch.optim.AdamW(decoder.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, (n + 1) / 30) * (1 - 0.9 * n / n_steps))
    for _ in range(n_steps):
        memory, tokens, _ = plant(64)
        features, _ = decoder.unroll(shifted(tokens), decoder.read(memory))
        optimizer.zero_grad()
        functional.cross_entropy(decoder.logits(features).flatten(0, 2), tokens.flatten(), ignore_index=PAD).backward()
        optimizer.step()
        schedule.step()
    memory, tokens, places = plant(512)
    source = decoder.eval().read(memory)
    best = beam_search(decoder, source, SearchConfig(beam=1, no_repeat=0, max_length=N_PLACES)).tokens[:, :1]
    assert (best == tokens).all(-1).double().mean() > 0.95
    looked = decoder.unroll(shifted(tokens), source)[1].mean(-2).argmax(-1)
    assert (looked == places)[places >= 0].double().mean() > 0.8
