"""A sound as a picture to look at: loudness by pitch and time. What the encoder reads is its own affair."""

from functools import cache

import numpy as np

N_BANDS = 80
WINDOW_SECONDS, HOP_SECONDS = (
    0.032,
    0.01,
)  # long enough for the lowest voice; apart as an eye can tell
RANGE = 60.0  # decibels below the loudest that are still shown
FAINTEST = -50.0  # decibels of a full-scale tone: nothing softer is drawn as loud, so that silence stays empty
BLOCK = 2048  # frames at a time, so that memory does not grow with the sound


def spectrogram(samples: np.ndarray, rate: int, max_frames: int | None = None) -> np.ndarray:
    """Log-mel picture of mono samples (n,) at `rate` Hz: uint8 (80, frames), the lowest pitch first.

    Frame i shows the time from i to i + 1 times `frame_seconds`. 255 is the loudest of this sound, 0 is 60 dB below it
    or less. max_frames: where there would be more, neighbours are joined to their loudest.
    """
    hop, width = round(HOP_SECONDS * rate), 2 * round(WINDOW_SECONDS * rate / 2)
    n_frames = max(-(-len(samples) // hop), 1)
    join = n_joined(n_frames, max_frames)
    frames = [
        mel_decibels(samples, rate, first, min(BLOCK, n_frames - first), hop, width)
        for first in range(0, n_frames, BLOCK)
    ]
    levels = np.concatenate(frames, axis=1)  # (80, frames)
    levels = np.maximum.reduceat(levels, np.arange(0, n_frames, join), axis=1)
    top = max(levels.max(), FAINTEST)
    return np.rint(np.clip((levels - top) / RANGE + 1, 0, 1) * 255).astype(np.uint8)


def frame_seconds(n_samples: int, rate: int, max_frames: int | None = None) -> float:
    """Seconds from frame to frame of `spectrogram` with the same arguments."""
    hop = round(HOP_SECONDS * rate)
    return hop / rate * n_joined(max(-(-n_samples // hop), 1), max_frames)


def n_joined(n_frames: int, max_frames: int | None) -> int:
    return -(-n_frames // max_frames) if max_frames else 1


def mel_decibels(samples: np.ndarray, rate: int, first: int, n_frames: int, hop: int, width: int) -> np.ndarray:
    """(80, n_frames) decibels from frame `first` on, each window centred in its frame."""
    start = first * hop - (width - hop) // 2
    stop = start + (n_frames - 1) * hop + width
    part = np.pad(samples[max(start, 0) : stop], (max(-start, 0), max(stop - len(samples), 0)))
    windows = np.lib.stride_tricks.sliding_window_view(part, width)[::hop] * np.hanning(width)  # (frames, width)
    n_bins = 2 * width  # finer than the window resolves, so that no low filter falls between two bins
    power = np.abs(np.fft.rfft(windows, n_bins, axis=1)) ** 2 / (width / 4) ** 2  # a full-scale tone has 1
    return 10 * np.log10(mel_filters(rate, n_bins) @ power.T + 1e-12)


@cache
def mel_filters(rate: int, n_bins: int) -> np.ndarray:
    """(80, n_bins // 2 + 1) triangles of peak 1, evenly apart on O'Shaughnessy's mel scale from 0 to rate / 2."""
    from torchaudio.functional import melscale_fbanks  # which figures of other senses do without

    return melscale_fbanks(n_bins // 2 + 1, 0.0, rate / 2, N_BANDS, rate).T.numpy()
