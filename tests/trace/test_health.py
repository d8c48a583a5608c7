"""Attention that was planted sick or healthy must be found so, and the figures are those of their definitions."""

import json
from dataclasses import replace
from math import log

import numpy as np
import pytest

from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.trace import AttentionTrace, Token
from multimodal_attn.trace.health import (
    COLLAPSED,
    NOWHERE,
    STILL,
    STUCK,
    UNIFORM,
    Health,
    longest_run,
    measure_health,
    summarise,
    widespread_fault,
)

ROWS, COLS = 3, 7
S, T, N = ROWS * COLS, 7, 2
PICTURE = PictureGeometry(71, 31, (0.0, 0.0, 71.0, 31.0), ROWS, COLS)
SOUND = SoundGeometry(S * 0.08, 0.0, 0.08, S)


def looking_at(*places: int, n_places: int = S) -> np.ndarray:
    """Weights (T, N, S) of a sentence whose tokens look at one place each."""
    return np.repeat(np.eye(n_places, dtype=np.float32)[list(places)][:, None], N, axis=1)


def random_weights(sharpness: float = 1.0) -> np.ndarray:
    energies = sharpness * np.random.default_rng(3).standard_normal((T, N, S))
    return (np.exp(energies) / np.exp(energies).sum(-1, keepdims=True)).astype(np.float32)


ALONG = looking_at(*range(0, S, 3))  # 0, 3, ... 18
BACK = ALONG[::-1]
STUCK_THERE = looking_at(*[5] * T)
EVEN = np.full((T, N, S), 1 / S, np.float32)
ONE_MAP = np.repeat(random_weights()[:1], T, axis=0)
SAME_PEAK = random_weights() * 0.6 + looking_at(*[5] * T) * 0.4


def test_a_walk_that_stops_nowhere_is_told_and_gets_no_verdict() -> None:
    nowhere = measure_health(np.zeros((T, N, S), np.float32), SOUND)
    assert nowhere.warnings[0] == NOWHERE and nowhere.verdict == ""
    once = ALONG.copy()
    once[1:] = 0
    assert measure_health(once, PICTURE).warnings == (NOWHERE,)
    mostly = ALONG.copy()
    mostly[:2] = 0
    assert NOWHERE not in measure_health(mostly, PICTURE).warnings


def test_figures_are_those_of_their_definitions() -> None:
    weights = random_weights().astype(np.float64)
    health = measure_health(weights, SOUND)
    for t in range(T):
        nats = [-sum(w * log(w) for w in weights[t, n]) for n in range(N)]
        assert health.entropy[t] == pytest.approx(sum(nats) / N)
    assert health.evenness == pytest.approx(sum(health.entropy) / T / log(S))
    for t in range(T - 1):
        moved = [sum(abs(weights[t + 1, n, s] - weights[t, n, s]) for s in range(S)) / 2 for n in range(N)]
        assert health.change[t] == pytest.approx(sum(moved) / N)
    got = [weights[:, :, s].sum() / (T * N) for s in range(S)]
    assert health.coverage == pytest.approx(sum(min(1.0, share * S) for share in got) / S)
    centres = [sum(s * weights[t, :, s].mean() for s in range(S)) for t in range(T)]
    forward = [centres[t + 1] >= centres[t] - 1 for t in range(T - 1)]
    assert 0 < sum(forward) < T - 1
    assert health.monotonicity == pytest.approx(sum(forward) / (T - 1))


@pytest.mark.parametrize(
    ("weights", "entropy", "change", "coverage"),
    [(ALONG, 0, 1, T / S), (STUCK_THERE, 0, 0, 1 / S), (EVEN, log(S), 0, 1), (looking_at(*range(S)), 0, 1, 1)],
    ids=["along", "stuck", "even", "each place once"],
)
def test_planted_weights_have_the_figures_that_one_knows(
    weights: np.ndarray, entropy: float, change: float, coverage: float
) -> None:
    health = measure_health(weights, PICTURE)
    assert health.entropy == pytest.approx([entropy] * len(weights), abs=1e-5)
    assert health.change == pytest.approx([change] * (len(weights) - 1))
    assert health.coverage == pytest.approx(coverage, rel=1e-5)
    assert health.monotonicity is None


@pytest.mark.parametrize("geometry", [PICTURE, SOUND], ids=["picture", "sound"])
@pytest.mark.parametrize(
    ("weights", "fault"),
    [(EVEN, UNIFORM), (STUCK_THERE, STUCK), (ONE_MAP, COLLAPSED), (SAME_PEAK, STILL)],
    ids=["even", "stuck", "one map", "same peak"],
)
def test_each_illness_is_named_and_only_it(
    weights: np.ndarray, fault: str, geometry: PictureGeometry | SoundGeometry
) -> None:
    assert measure_health(weights, geometry).warnings == (fault,)


@pytest.mark.parametrize("weights", [ALONG, random_weights(), random_weights(3)], ids=["along", "soft", "sharp"])
def test_attention_that_chooses_and_moves_is_well(weights: np.ndarray) -> None:
    assert measure_health(weights, PICTURE).warnings == ()


@pytest.mark.parametrize(
    ("weights", "verdict"),
    [
        (ALONG, "attention moves and is sharp"),
        (STUCK_THERE, "attention hardly moves and is sharp"),
        (EVEN, "attention hardly moves and is spread wide"),
        (ONE_MAP * 0.7 + ALONG * 0.3, "attention moves a little and is soft"),
        (ALONG[:1], "attention is sharp"),
    ],
    ids=["along", "stuck", "even", "a little", "one word"],
)
def test_the_verdict_says_how_far_maps_move_and_how_wide_they_are(weights: np.ndarray, verdict: str) -> None:
    assert measure_health(weights, PICTURE).verdict == verdict
    assert measure_health(weights, PICTURE).to_dict()["verdict"] == verdict


def test_a_drift_so_slow_that_neighbours_look_alike_is_no_collapse() -> None:
    places, tokens = np.arange(101), np.arange(53)[:, None]
    bell = np.exp(-((places - 2 * tokens) ** 2) / 800).astype(np.float32)
    health = measure_health((bell / bell.sum(1, keepdims=True))[:, None], SoundGeometry(8.08, 0.0, 0.08, 101))
    assert max(health.change) < 0.05 and health.monotonicity == 1 and health.warnings == ()


def test_one_head_that_moves_is_enough_and_heads_that_cancel_out_are_not_the_same_map() -> None:
    there_and_back = np.stack([ALONG[:, 0], BACK[:, 0]], 1)
    assert measure_health(there_and_back, PICTURE).warnings == ()
    half_asleep = np.stack([ALONG[:, 0], EVEN[:, 0]], 1)
    assert measure_health(half_asleep, PICTURE).warnings == ()


def test_a_reading_that_goes_back_in_time_is_told_and_a_picture_may_be_read_in_any_order() -> None:
    assert measure_health(BACK, SOUND).monotonicity == 0
    assert measure_health(BACK, SOUND).warnings == (f"attention jumps back in time at {T - 1} of {T - 1} steps",)
    assert measure_health(BACK, PICTURE).warnings == ()
    assert measure_health(ALONG, SOUND).monotonicity == 1 and measure_health(ALONG, SOUND).warnings == ()


def test_centres_may_tremble_by_a_place() -> None:
    trembling = looking_at(2, 5, 4, 8, 7, 11, 10)
    assert measure_health(trembling, SOUND).monotonicity == 1
    assert measure_health(looking_at(2, 5, 3, 8, 7, 11, 10), SOUND).monotonicity == pytest.approx(5 / 6)


def test_a_stretch_that_no_word_looks_at_is_told_with_its_seconds() -> None:
    places = [*range(0, 30), *range(80, 101)]
    weights = looking_at(*places, n_places=101)
    geometry = SoundGeometry(20.0 + 101 * 0.08, 20.0, 0.08, 101)  # a piece of a longer recording
    (warning,) = measure_health(weights, geometry).warnings
    assert warning.startswith("no word looks at 22.4 to 26.4 s")
    shorter = replace(geometry, step=0.05)  # 2.5 seconds
    assert measure_health(weights, shorter).warnings == ()


def test_the_longest_run_is_found_wherever_it_lies() -> None:
    assert longest_run(np.array([True, False, True, True])) == (2, 4)
    assert longest_run(np.array([True, True, False, True])) == (0, 2)
    assert longest_run(np.zeros(3, bool)) == (0, 0)


@pytest.mark.parametrize("shape", [(0, N, S), (T, 0, S), (0, 0, S)])
def test_without_words_or_without_attention_there_is_nothing_to_measure(shape: tuple[int, int, int]) -> None:
    assert measure_health(np.zeros(shape, np.float32), SOUND) == Health()


def test_short_sentences_and_single_places_raise_no_alarm() -> None:
    assert measure_health(STUCK_THERE[:3], PICTURE).warnings == ()
    alone = measure_health(looking_at(4), SOUND)
    assert alone.change == () and alone.monotonicity is None
    one_place = measure_health(np.ones((T, N, 1), np.float32), PictureGeometry(3, 3, (0, 0, 3, 3), 1, 1))
    assert one_place.warnings == () and one_place.evenness == 1
    assert one_place.verdict == ""  # it has nothing to choose from


def test_weights_that_sum_to_less_than_one_are_measured_by_their_shape() -> None:
    scale = np.linspace(0.2, 1, T * N, dtype=np.float32).reshape(T, N, 1)
    whole, part = measure_health(random_weights(), SOUND), measure_health(random_weights() * scale, SOUND)
    assert part.entropy == pytest.approx(whole.entropy, rel=1e-4)
    assert part.change == pytest.approx(whole.change, rel=1e-4)
    assert part.warnings == whole.warnings


def test_a_token_that_looks_nowhere_does_not_go_back() -> None:
    weights = ALONG.copy()
    weights[3] = 0
    health = measure_health(weights, SOUND)
    assert health.monotonicity == 1 and health.warnings == () and health.entropy[3] == 0


# Of a trace, and of many


def trace_of(weights: np.ndarray) -> AttentionTrace:
    tokens = tuple(Token(f"w{n}", 0.5) for n in range(len(weights)))
    return AttentionTrace("", -1.0, tokens, weights, SOUND)


def test_every_trace_carries_its_health_also_as_json() -> None:
    trace = trace_of(BACK)
    assert trace.health == measure_health(BACK, SOUND) and trace.health is trace.health
    data = json.loads(json.dumps(trace.to_dict(weights=False), allow_nan=False))
    assert data["health"]["monotonicity"] == 0 and data["health"]["warnings"] == list(trace.health.warnings)
    assert data["health"]["change"] == [1.0] * (T - 1)
    assert AttentionTrace.from_dict(trace.to_dict()).health == trace.health
    assert replace(trace, weights=ALONG).health.warnings == ()  # derived, never carried along


def test_the_summary_is_the_median_over_those_that_have_the_figure() -> None:
    healths = [measure_health(weights, SOUND) for weights in (ALONG, BACK, ALONG, np.zeros((0, N, S)))]
    figures = summarise(healths)
    assert figures["monotonicity"] == 1 and figures["coverage"] == pytest.approx(T / S) and figures["change"] == 1
    assert summarise([Health()]) == {} and summarise([]) == {}


def test_a_fault_of_most_sentences_is_told_with_their_number() -> None:
    well, even = measure_health(ALONG, SOUND), measure_health(EVEN, SOUND)
    assert widespread_fault([even, well, even]) == f"{UNIFORM} (in 2 of 3 sentences)"
    assert widespread_fault([even, well]) == widespread_fault([]) == ""
