"""Of many heads those are found that follow the sound."""

import numpy as np

from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.trace import AttentionTrace, Token
from tasks.speech.heads import choose_maps, start_distance

STEP, N_PLACES = 0.02, 101
GEOMETRY = SoundGeometry(N_PLACES * STEP, 0.0, STEP, N_PLACES)
STARTS = {"one": 7, "two": 23, "three": 58, "four": 83}  # places


def planted(head_at: list[dict[str, int]], seed: int) -> AttentionTrace:
    """A head for each dictionary, which looks at the place where a word begins by it, and with noise elsewhere."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0, 0.01, (len(STARTS), len(head_at), N_PLACES))
    for head, places in enumerate(head_at):
        for token, word in enumerate(STARTS):
            weights[token, head, places[word] : places[word] + 3] = 0.3
    tokens = tuple(Token(f"\u2581{word.capitalize()},", 0.5) for word in STARTS)
    return AttentionTrace("", 0.0, tokens, weights.astype(np.float32), GEOMETRY)


def test_the_heads_that_follow_are_found_among_others() -> None:
    late, lost = {word: place + 9 for word, place in STARTS.items()}, dict.fromkeys(STARTS, 50)
    traces = [planted([lost, late, STARTS, lost], seed) for seed in (1, 2)]
    known = [[(word, place * STEP, place * STEP + 0.1) for word, place in STARTS.items()]] * 2
    maps = [(0, 0), (0, 1), (1, 0), (1, 1)]
    chosen, distance = choose_maps(traces, known, maps)
    assert chosen == [(1, 0)] and distance < 1e-6
    assert abs(start_distance(traces, known, [1]) - 180) < 1e-6
