"""From Python: what frameworks for the web, pictures and sound hold in hand, and one line for what is neither."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.reading import read_picture, read_pieces, read_sound
from multimodal_attn.senses.sound.media import RATE
from tests.senses.test_sound import encoded, tone

PIXELS = np.random.default_rng(3).integers(0, 256, (43, 67, 3), np.uint8)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        lambda: io.BytesIO(png()),
        lambda: bytearray(png()),
        lambda: memoryview(png()),
        lambda: PIXELS.transpose(2, 0, 1),
        lambda: torch.from_numpy(PIXELS).permute(2, 0, 1),
        lambda: torch.from_numpy(PIXELS),
        lambda: PIXELS / 255,
        lambda: torch.from_numpy(PIXELS).permute(2, 0, 1).float().requires_grad_() / 255,
    ],
)
def test_a_picture_is_the_same_however_it_is_held(make: Any) -> None:
    assert np.array_equal(np.asarray(read_picture(make()).image), PIXELS)


def test_an_open_file_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "lion.png"
    path.write_bytes(png())
    with path.open("rb") as file:
        assert read_picture(file).name == str(path)
    path.write_bytes(b"words")
    with path.open("rb") as file, pytest.raises(MediaError, match="lion.png: not a picture"):
        read_picture(file)
    with path.open() as file, pytest.raises(MediaError, match="of type str|no such file"):
        read_picture(file)


def test_grey_of_one_channel_is_grey() -> None:
    for grey in (PIXELS[..., :1], PIXELS[..., 0], torch.from_numpy(PIXELS[None, ..., 0])):
        assert np.array_equal(np.asarray(read_picture(grey).image)[..., 1], PIXELS[..., 0])


@pytest.mark.parametrize("wrong", [None, ["a.jpg", "b.jpg"], {"path": "x" * 10_000}, object(), 7])
def test_other_types_are_named_and_never_printed(wrong: object) -> None:
    for read, kind in ((read_picture, "picture"), (read_sound, "sound"), (lambda x: list(read_pieces(x)), "sound")):
        with pytest.raises(MediaError) as caught:
            read(wrong)
        told = str(caught.value)
        assert f"a {kind} " in told and len(told) < 200
        assert type(wrong).__name__ in told or (kind == "sound" and isinstance(wrong, dict))


@pytest.mark.parametrize("wrong", [PIXELS.astype(np.int64), PIXELS * 1.0, PIXELS[:5, :5, :2], PIXELS[None]])
def test_arrays_that_are_no_pictures_are_told_what_to_be(wrong: np.ndarray) -> None:
    with pytest.raises(MediaError, match="give uint8, or floats from 0 to 1, of shape"):
        read_picture(wrong)


def sounds() -> dict[str, Any]:
    mono = tone(1).astype(np.float32)
    return {
        "tensor": (torch.from_numpy(mono)[None], RATE),
        "tensor of shape (n,)": (torch.from_numpy(mono), RATE),
        "channels first": (np.stack([mono, mono]), RATE),
        "channels last": (np.stack([mono, mono], 1), RATE),
        "rate first": (RATE, mono),
        "list": (mono.tolist(), RATE),
        "dictionary": {"array": mono, "sampling_rate": RATE, "path": None},
        "file": io.BytesIO(encoded(mono, "WAV", "FLOAT")),
        "bytearray": bytearray(encoded(mono, "WAV", "FLOAT")),
    }


@pytest.mark.parametrize("kind", sounds())
def test_a_sound_is_the_same_however_it_is_held(kind: str) -> None:
    assert np.allclose(read_sound(sounds()[kind]).samples, tone(1), atol=1e-6)
    assert sum(len(piece.samples) for piece in read_pieces(sounds()[kind])) == RATE


def test_a_dictionary_without_a_rate_is_told_so() -> None:
    with pytest.raises(MediaError, match='without "array" and "sampling_rate"'):
        read_sound({"array": tone(1)})
