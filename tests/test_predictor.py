"""From a file to a trace, through the one path that opens everything."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn import AttentionTrace, load
from multimodal_attn.errors import CheckpointError, ConfigError, MediaError
from tests.conftest import RELEASED, needs_released


def noise(n: int, size: tuple[int, int] = (67, 41)) -> Image.Image:
    rng = np.random.default_rng(n)
    return Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), dtype=np.uint8))


def test_a_path_bytes_a_picture_and_an_array_give_the_same_trace(tiny_checkpoint: Path, tmp_path: Path) -> None:
    predictor, picture = load(tiny_checkpoint), noise(1)
    picture.save(tmp_path / "noise.png")
    path = tmp_path / "noise.png"
    traces = [predictor(source) for source in (path, str(path), path.read_bytes(), picture, np.asarray(picture))]
    assert isinstance(traces[0], AttentionTrace)
    assert len({trace.to_json() for trace in traces}) == 1
    assert (traces[0].geometry.width, traces[0].geometry.height) == (67, 41)
    assert np.allclose(traces[0].weights.sum(-1), 1, atol=1e-5)


def test_a_picture_gets_the_same_caption_alone_and_in_any_company(tiny_checkpoint: Path) -> None:
    predictor = load(tiny_checkpoint)
    pictures = [predictor.read(noise(n, (41 + n, 67))) for n in range(13)]
    alone = [predictor.batch([picture])[0] for picture in pictures]
    for n in (2, 5, 13):
        for start in range(0, 13, n):
            for one, other in zip(alone[start:], predictor.batch(pictures[start : start + n]), strict=False):
                assert one.text == other.text
                assert abs(one.score - other.score) < 1e-4
                assert np.abs(one.weights - other.weights).max() < 1e-4


def test_without_weights_the_same_is_said_for_less(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(tiny_checkpoint)
    pictures = [predictor.read(noise(n)) for n in range(5)]
    traced = predictor.batch(pictures)
    monkeypatch.setattr(predictor.model.decoder, "unroll", None)  # the second pass
    for one, other in zip(traced, predictor.batch(pictures, weights=False), strict=True):
        assert (one.text, one.score, one.geometry, one.origin) == (
            other.text,
            other.score,
            other.geometry,
            other.origin,
        )
        assert other.weights.shape == (len(one.tokens), 0, one.geometry.n_places)


def test_a_stream_goes_on_past_bad_files_in_order(tiny_checkpoint: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(5)]
    for n, path in enumerate(paths):
        if n % 2:
            path.write_text("not a picture")
        else:
            noise(n).save(path)
    results = list(load(tiny_checkpoint).stream(paths, batch_size=2))
    assert [path for path, _ in results] == paths
    assert [isinstance(result, MediaError) for _, result in results] == [False, True, False, True, False]


def test_the_trace_says_where_it_came_from(tiny_checkpoint: Path) -> None:
    trace = load(tiny_checkpoint)(noise(1), beam=2)
    assert trace.origin.checkpoint == "tiny" and len(trace.origin.sha256) == 64
    assert trace.origin.options["beam"] == 2 and trace.origin.options["max_length"] == 7
    again = AttentionTrace.from_json(trace.to_json())
    assert (again.text, again.origin) == (trace.text, trace.origin)


@pytest.mark.parametrize("options", [{"beams": 3}, {"beam": 0}, {"max_length": 0}])
def test_an_option_that_does_not_exist_or_cannot_be_is_one_line(tiny_checkpoint: Path, options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tiny_checkpoint)(noise(1), **options)
    assert "\n" not in str(caught.value)


def test_models_without_attention_answer_too(tiny_checkpoint: Path) -> None:
    predictor = load(tiny_checkpoint)
    assert predictor(noise(1)).weights.shape[1:] == (1, predictor.model.encoder.grid[0] ** 2)


@needs_released
def test_the_released_captioner_sees_a_cat_of_prey_as_an_animal_and_looks_at_it() -> None:
    gradio = pytest.importorskip("gradio")
    picture = Path(gradio.__file__).parent / "media_assets/images/lion.jpg"
    trace = load(RELEASED)(picture)
    assert set(trace.text.split()) & {"dog", "animal", "lion", "cat", "bear", "sheep", "cow"}, trace.text


def test_parameters_that_make_nan_are_one_line(tiny_checkpoint: Path) -> None:
    predictor = load(tiny_checkpoint)
    next(predictor.model.parameters()).data.fill_(3e38)
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        predictor(np.full((31, 37, 3), 99, np.uint8))
