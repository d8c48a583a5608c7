"""What a sentence needed: a place is planted that each token cannot do without, in every sense."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from multimodal_attn import AttentionTrace, load
from multimodal_attn.decoders import Ready
from multimodal_attn.errors import ConfigError
from multimodal_attn.questions.needed import hide, measure_needed
from multimodal_attn.senses.picture.framing import Framing, PicturePlaces
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import SoundBatch
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.senses.text.encoder import TextBatch
from multimodal_attn.senses.text.geometry import TextGeometry
from multimodal_attn.trace import join_traces
from tasks.captioning.pointing import judge
from tasks.cli import main
from tests.fake_captioner import GEOMETRY, planted_trace, planted_weights
from tests.test_predictor import noise

ROWS, COLS, STRIDE = 3, 5, 7
PLACES = PicturePlaces(Framing(41), ROWS, COLS, (6.5, 9.5), STRIDE)  # 35 x 21 pixels of 41, from (3, 6)
SPLIT = (0, 0, 1, 2)  # parts that the pieces of a text belong to


class Planted:
    """Token t is its own next token with probability 1/2 more where `present(batch)` (B, T) says that its place is."""

    def __init__(self, sense: str, present, **encoder) -> None:
        self.encoder, self.present, self.decoder = SimpleNamespace(sense=sense, **encoder), present, self

    def read(self, batch) -> SimpleNamespace:
        self.seen = self.present(batch).float()
        return SimpleNamespace(source=Ready((), self.seen))

    def unroll(self, tokens: Tensor, source: Ready) -> tuple[Tensor, None]:
        assert tokens.shape[1] == 1 and len(tokens) == len(self.seen)
        return self.seen.unsqueeze(1), None

    def logits(self, features: Tensor) -> Tensor:
        """The tokens are all 1; 0 and 1 are all there are."""
        chances = 0.25 + 0.5 * features
        return torch.stack([1 - chances, chances], -1).log()


def falls_of(model: Planted, batch, geometry, n_tokens: int) -> np.ndarray:
    *before, (share, falls) = measure_needed(model, batch, geometry, [1] * n_tokens)
    assert share == 1 and [each for each, _ in before] == sorted({each for each, _ in before})
    return falls


def test_the_cell_that_a_word_cannot_do_without_is_found_in_a_picture() -> None:
    frame, cells = torch.full((1, 3, 41, 41), 200, dtype=torch.uint8), (7, 0, 14)
    frame[..., ::2] = 0  # so that no pixel has the mean colour
    middles = [(6 + 7 * (cell // COLS) + 3, 3 + 7 * (cell % COLS) + 3) for cell in cells]
    model = Planted(
        "picture",
        lambda frames: torch.stack([frames[:, 0, y, x] != 98 for y, x in middles], 1),
        grid=(ROWS, COLS),
        places=PLACES,
    )
    geometry = PLACES.geometry(41, 41)
    assert np.unique(frame.float().mean((2, 3)).round()) == [98]
    falls = falls_of(model, frame, geometry, len(cells))
    np.testing.assert_allclose(falls, 0.5 * np.eye(15, dtype=np.float32)[list(cells)], atol=1e-6)


def test_a_hidden_cell_covers_its_own_pixels_and_one_at_the_edge_all_up_to_it() -> None:
    frame = torch.randint(0, 90, (1, 3, 41, 41), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    frame[..., 0, :] = 255  # far from the mean
    keep = torch.ones(2, 15, dtype=torch.bool)
    keep[0, 7], keep[1, 0] = False, False
    inner, corner = hide(Planted("picture", None, grid=(ROWS, COLS), places=PLACES), frame, keep)
    for seen, box in ((inner, (17, 13, 24, 20)), (corner, (0, 0, 10, 13))):
        left, top, right, bottom = box
        inside = torch.zeros(41, 41, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        assert torch.equal(seen[:, ~inside], frame[0][:, ~inside])
        assert all(len(seen[channel][inside].unique()) == 1 for channel in range(3))


def test_a_stretch_of_sound_falls_silent_and_all_the_rest_is_heard() -> None:
    geometry = SoundGeometry(3.0, 0.0, 0.1, 30)
    assert list(geometry.parts) == [place // 2 for place in range(30)]
    times, parts = (0.55, 2.15), (2, 10)
    model = Planted(
        "sound",
        lambda sounds: torch.stack([sounds.samples[:, int(time * RATE)] != 0 for time in times], 1),
        geometry=lambda n, start: geometry,
    )
    sounds = SoundBatch(torch.ones(1, 3 * RATE), torch.tensor([3 * RATE]))
    falls = falls_of(model, sounds, geometry, 2)
    np.testing.assert_allclose(falls, 0.5 * (np.array(geometry.parts) == np.array(parts)[:, None]), atol=1e-6)
    gone = hide(model, sounds, torch.arange(30).unsqueeze(0) // 2 != 2).samples[0]
    assert gone[int(0.42 * RATE) : int(0.58 * RATE)].abs().max() == 0
    assert gone[: int(0.39 * RATE)].min() == gone[int(0.61 * RATE) :].min() == 1
    assert gone.diff().abs().max() < 0.02  # no click


def test_a_word_is_taken_out_of_a_text_with_all_its_pieces() -> None:
    geometry = TextGeometry("Tomas sees.", ((0, 3), (3, 5), (6, 10), (10, 11)))
    assert list(geometry.parts) == [0, 0, 1, 2]
    batch = TextBatch(torch.tensor([[5, 6, 7, 8]]))
    model = Planted("text", lambda texts: torch.stack([(texts.tokens == id).any(1) for id in (6, 8)], 1))
    falls = falls_of(model, batch, geometry, 2)
    np.testing.assert_allclose(falls, [[0.5, 0.5, 0, 0], [0, 0, 0, 0.5]], atol=1e-6)
    gone = hide(model, batch, torch.tensor([[False, False, True, True], [True, True, False, True]])).tokens
    assert gone.tolist() == [[7, 8, 0, 0], [5, 6, 8, 0]]


def test_signs_of_china_and_bytes_of_one_letter_are_parts_of_their_own() -> None:
    assert list(TextGeometry("我爱a", ((0, 1), (1, 2), (2, 3))).parts) == [0, 1, 2]
    assert list(TextGeometry("é x", ((0, 1), (0, 1), (2, 3))).parts) == [0, 0, 1]
    assert list(TextGeometry("", ()).parts) == []


def test_long_sounds_have_longer_parts_but_none_longer_than_a_word() -> None:
    for seconds, part in ((2, 10), (20, 21), (600, 32)):
        parts = SoundGeometry(seconds, 0.0, 0.02, seconds * 50).parts
        assert [list(parts).count(n) for n in (0, 1)] == [part, part]


def test_each_token_is_told_whether_it_looked_where_it_needed() -> None:
    needed = np.zeros((4, GEOMETRY.n_places), np.float32)
    needed[0, 8], needed[1, 3], needed[2, 13] = 0.2, 0.2, 0.02  # of .25, .5 and .75; they looked at 7, 1, 13 and 5
    trace = replace(planted_trace(("a", "dog", "runs", "far")), needed=needed)
    assert trace.needs == ("looked", "elsewhere", "nothing", "nothing")
    blind = replace(trace, weights=trace.weights[:, :0])
    assert blind.needs == ("elsewhere", "elsewhere", "nothing", "nothing")
    assert replace(trace, needed=None).needs == ()


def test_what_was_needed_survives_json_and_unfit_numbers_are_refused() -> None:
    trace = replace(planted_trace(), needed=planted_weights((7,), (1,), (13,))[:, 0] / 4)
    again = AttentionTrace.from_json(trace.to_json())
    np.testing.assert_array_equal(again.needed, trace.needed)
    assert trace.to_dict()["needed"]["tokens"] == list(again.needs) == ["looked", "looked", "looked"]
    data = trace.to_dict()
    data["needed"] = data["weights"]
    with pytest.raises(ValueError, match="needed of shape"):
        AttentionTrace.from_dict(data)


def test_a_trace_of_schema_1_is_still_read() -> None:
    data = planted_trace().to_dict() | {"schema": "multimodal-attn/trace/1"}
    for token in data["tokens"]:
        del token["id"]
    again = AttentionTrace.from_dict(data)
    assert again.needed is None and again.tokens == planted_trace().tokens


def test_joined_pieces_needed_only_places_of_their_own() -> None:
    def piece(start: float) -> AttentionTrace:
        geometry = SoundGeometry(start + 1, start, 0.5, 2)
        return AttentionTrace(
            "a", 0, planted_trace(("a",)).tokens, np.ones((1, 1, 2)) / 2, geometry, needed=np.ones((1, 2))
        )

    whole = join_traces([piece(0.0), piece(1.0)])
    assert whole.needed.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert join_traces([piece(0.0), replace(piece(1.0), needed=None)]).needed is None


def test_a_model_says_what_its_own_sentence_needed_and_nothing_else_changes(tiny_checkpoint: Path) -> None:
    predictor, picture = load(tiny_checkpoint), noise(1)
    plain, told = predictor(picture), predictor(picture, needed=True)
    assert plain.needed is None and told.needed.shape == (len(plain.tokens), plain.geometry.n_places)
    assert np.abs(told.needed).max() > 0
    assert (told.tokens, told.text, told.score) == (plain.tokens, plain.text, plain.score)
    [segment] = predictor.segments([picture], needed=True)
    np.testing.assert_allclose(segment.result.needed, told.needed, atol=1e-6)


def test_the_probability_without_a_part_is_that_of_the_input_without_it(tiny_checkpoint: Path) -> None:
    predictor = load(tiny_checkpoint)
    item = predictor.read(noise(1))
    trace = predictor(item, needed=True)
    frame, _ = predictor.via.batch([item], predictor.model)
    keep = torch.arange(trace.geometry.n_places).unsqueeze(0) != 2
    [gone] = hide(predictor.model, frame, keep)
    source = predictor.model.read(gone[None]).source
    state, last = predictor.model.decoder.start(source, 1), torch.ones(1, 1, dtype=torch.long)
    for token, fall in zip(trace.tokens, trace.needed[:, 2], strict=True):
        logits, _, state = predictor.model.decoder.step(last, source, state)
        chance = float(logits.detach().softmax(-1)[0, 0, token.id])
        assert token.probability - chance == pytest.approx(fall, abs=1e-5)
        last = torch.tensor([[token.id]])


def test_traces_of_others_and_senses_that_hide_nothing_are_told(tiny_checkpoint: Path, monkeypatch) -> None:
    predictor = load(tiny_checkpoint)
    with pytest.raises(ValueError, match="by the model that wrote it"):
        next(predictor.needs(predictor.read(noise(1)), planted_trace()))
    blind = replace(predictor.via, hide=None)
    monkeypatch.setattr("multimodal_attn.questions.needed.sense_of", lambda kind: blind)
    with pytest.raises(ConfigError, match="how a part of a picture is hidden"):
        predictor(noise(1), needed=True)


def test_the_command_puts_it_into_rows_and_says_where_it_has_no_place(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(1).save(tmp_path / "a.png")
    args = ["caption", str(tmp_path / "a.png"), "--checkpoint", str(tiny_checkpoint), "--needed"]
    assert main(args) == 2
    assert "--needed goes with --attention or --html" in capsys.readouterr().err
    assert main([*args, "--attention"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert len(row["needed"]["tokens"]) == len(row["tokens"])
    assert AttentionTrace.from_dict(row).needed.shape == (len(row["tokens"]), 4)


def test_a_noun_is_judged_by_the_cell_that_it_needs() -> None:
    needed = np.zeros((3, GEOMETRY.n_places), np.float32)
    needed[1, 1], needed[2, 13] = 0.2, 0.02  # "dog" looked at 1, the others at 7 and 13, the middle is 7
    assert list(judge(replace(planted_trace(), needed=needed))) == [(True, [1.0, 0.5, 1.0])]
    needed[1, :2] = 0.02, 0
    assert list(judge(replace(planted_trace(), needed=needed))) == [(False, [1.0, 0.0, 0.0])]


def test_an_empty_sentence_needed_nothing() -> None:
    [(share, falls)] = measure_needed(None, None, PictureGeometry(9, 9, (0, 0, 9, 9), 3, 3), [])
    assert share == 1 and falls.shape == (0, 9)
