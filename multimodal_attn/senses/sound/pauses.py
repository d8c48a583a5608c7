"""Cutting a stream of sound at its pauses: every sample goes to exactly one piece, so no word is lost or doubled."""

from collections.abc import Iterable, Iterator

import numpy as np

FRAME = 160  # samples: 10 ms at 16 kHz, the grid on which cuts lie
PAUSE = 30  # frames: 300 ms, the shortest rest that is taken for a pause between phrases
QUIET = 20  # frames: 200 ms, over which the quietest place is sought where there is no pause
PAUSE_POWER = 0.01  # of the mean power of what is at hand: 20 dB below the speech around it
EARLIEST = 0.45  # of the longest piece: 8 s of 18; shorter pieces would take context from the decoder


def split_at_pauses(blocks: Iterable[np.ndarray], n_max: int) -> Iterator[np.ndarray]:
    """Pieces of at most `n_max` samples whose concatenation is the stream.

    blocks: float (n,) each, of any lengths; the pieces do not depend on them. A stream of at most n_max samples stays
    whole, an empty one gives one empty piece. Holds n_max samples and a block at a time.
    """
    held = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > n_max:
            cut = cut_place(held[:n_max])
            yield held[:cut].copy()  # a view would keep all that is held
            held = held[cut:]
    yield held


def cut_place(samples: np.ndarray) -> int:
    """Where to end the piece that `samples` (n,) begin with: in the middle of the first pause after EARLIEST, or at the
    quietest place of the second half if the speaker makes none."""
    power = frame_power(samples)  # (F,)
    if len(power) < 2 * QUIET:
        return len(samples)
    pause = first_pause(power < PAUSE_POWER * power.mean(), int(EARLIEST * len(power)))
    return FRAME * (pause if pause is not None else quietest(power, len(power) // 2))


def frame_power(samples: np.ndarray) -> np.ndarray:
    """(F,) mean square of each whole frame."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.square(frames, dtype=np.float64).mean(1)


def first_pause(is_quiet: np.ndarray, earliest: int) -> int | None:
    """The middle of the first run of at least PAUSE quiet frames from `earliest` on."""
    edges = np.flatnonzero(np.diff(is_quiet[earliest:].astype(np.int8), prepend=0, append=0)) + earliest
    starts, ends = edges[::2], edges[1::2]
    long = np.flatnonzero(ends - starts >= PAUSE)
    return int(starts[long[0]] + ends[long[0]]) // 2 if len(long) else None


def quietest(power: np.ndarray, earliest: int) -> int:
    """The middle of the QUIET frames with the least power that begin at `earliest` or later."""
    total = np.cumsum(np.concatenate([[0.0], power]))
    windows = total[earliest + QUIET :] - total[earliest:-QUIET]
    return earliest + int(windows.argmin()) + QUIET // 2
