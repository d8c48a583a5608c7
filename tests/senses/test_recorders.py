"""What phones, browsers and recorders write is read, and of what was cut off all that is there."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
import soundfile
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.senses import reading
from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.senses.sound.ffmpeg import kind_of
from multimodal_attn.senses.sound.media import RATE, read_pieces, read_sound
from tasks.cli import main
from tasks.commands import batch
from tests.fake_transcriber import FakeTranscriber
from tests.senses.test_sound import encoded, tone

FILES = [
    ("mp4", "aac", 44_100),
    ("mov", "aac", 16_000),
    ("mov", "alac", 48_000),
    ("3gp", "amr_nb", 8_000),
    ("webm", "libopus", 48_000),
    ("matroska", "libmp3lame", 44_100),
    ("adts", "aac", 32_000),
    ("amr", "amr_nb", 8_000),
    ("asf", "wmav2", 44_100),
    ("aiff", "pcm_s24be", 16_000),
    ("caf", "pcm_s16le", 22_050),
]


def recorded(format: str, codec: str, rate: int, seconds: float = 3.0, hertz: float = 440) -> bytes:
    """A tone as a recorder writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options={"strict": "experimental"})
        stream.bit_rate = 12_200 if codec == "amr_nb" else 64_000
        samples = tone(seconds, rate=rate, hertz=hertz).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate = rate
        queue = av.AudioFifo()
        for part in av.AudioResampler(stream.format.name, "mono", rate).resample(frame):
            queue.write(part)
        while queue.samples:
            part = queue.read(min(stream.codec_context.frame_size or 1_024, queue.samples))
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def heard(source: object) -> tuple[float, float, str]:
    """Seconds, the frequency that is loudest, and what is wrong."""
    samples, fault = [np.zeros(0)], ""
    try:
        for piece in read_pieces(source):
            samples.append(piece.samples)
    except MediaError as error:
        fault = str(error)
    whole = np.concatenate(samples)
    loudest = np.abs(np.fft.rfft(whole)).argmax() / (len(whole) / RATE) if len(whole) else 0.0
    return len(whole) / RATE, loudest, fault


@pytest.mark.parametrize(("format", "codec", "rate"), FILES)
def test_every_container_gives_the_tone_that_was_recorded(format: str, codec: str, rate: int) -> None:
    data = recorded(format, codec, rate)
    assert kind_of(data[:64])
    seconds, hertz, fault = heard(data)
    assert (seconds, hertz, fault) == (pytest.approx(3, abs=0.15), pytest.approx(440, abs=3), "")


def test_they_are_read_in_a_process_of_their_own_too(tmp_path: Path) -> None:
    path = tmp_path / "memo.m4a"
    path.write_bytes(recorded("mp4", "aac", 44_100))
    assert reading.read_sound(path).seconds == pytest.approx(3, abs=0.15)
    path.write_bytes(path.read_bytes()[:9_001])  # its index is at its end, and gone
    with pytest.raises(MediaError, match="memo.m4a: damaged or cut short"):
        reading.read_sound(path)


def test_a_film_without_sound_and_other_kinds_of_streams_are_told_apart() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    assert heard(file.getvalue())[2].endswith("no sound in it; take another file")


@pytest.mark.parametrize("text", [b"#EXTM3U\nhttp://127.0.0.1/x.ts\n", b"ffconcat version 1.0\nfile /etc/passwd\n"])
def test_lists_that_would_lead_elsewhere_are_no_sounds(text: bytes) -> None:
    assert "not a sound of a known format" in heard(text)[2]


def test_an_index_that_asks_for_more_than_there_is_harms_nothing(tmp_path: Path) -> None:
    data = recorded("mov", "pcm_s16le", 16_000)
    place = data.index(b"stsz") + 4
    path = tmp_path / "bomb.mov"
    for size in (0, 1):
        path.write_bytes(data[: place + 4] + size.to_bytes(4) + b"\x7f\xff\xff\xff" + data[place + 12 :])
        try:
            assert reading.read_sound(path).seconds < 600
        except MediaError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("format", ["mp4", "webm", "adts", "amr", "asf", "caf"])
def test_changed_bytes_give_a_sound_or_one_line(format: str, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "changed"
    _, codec, rate = next(each for each in FILES if each[0] == format)
    data = recorded(format, codec, rate, 0.5)
    for _ in range(20):
        mutated = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, rng.choice([200, len(mutated)]), rng.integers(1, 9))
        mutated[places] = rng.integers(0, 256, len(places))
        path.write_bytes(mutated.tobytes())
        try:
            assert np.isfinite(reading.read_sound(path).samples).all()
        except MediaError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("format", "subtype", "least", "told"),
    [
        ("WAV", "PCM_16", 19.9, "cut short: 256"),
        ("FLAC", None, 18, "damaged or cut short"),
        ("OGG", "VORBIS", 15, "the last page is not complete"),
        ("OGG", "OPUS", 15, "the last page is not complete"),
        ("MP3", None, 19, "cut short"),
    ],
)
def test_a_recording_that_was_cut_off_is_read_up_to_there(
    format: str, subtype: str | None, least: float, told: str
) -> None:
    noise = np.random.default_rng(3).normal(0, 0.05, 25 * 16_000)
    data = encoded(tone(25) + noise, format, subtype)
    seconds, _, fault = heard(data[: int(len(data) * 0.8)])
    assert least < seconds < 20.5 and (told in fault or "cut short" in fault)


def test_the_words_of_a_cut_recording_have_their_row_with_a_note_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(encoded(tone(25))[:640_000])
    monkeypatch.setattr(batch, "load", lambda *_: FakeTranscriber())
    assert main(["transcribe", str(path), "--out", str(tmp_path / "t"), "--format", "jsonl", "txt"]) == 2
    row = json.loads((tmp_path / "t" / "transcripts.jsonl").read_text())
    assert "cut short" in row["note"] and row["text"].startswith("w0 it's w1") and "error" not in row
    assert (tmp_path / "t" / "cut.txt").read_text().strip() == row["text"]
    assert "1 of 1 files could not be transcribed to the end:" in capsys.readouterr().err
    assert main(["transcribe", str(path), "--out", str(tmp_path / "t"), "--format", "jsonl", "txt"]) == 2
    assert "1 of them could not be transcribed to the end, as their notes say" in capsys.readouterr().err


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_every_recording_of_a_chained_file_is_read(subtype: str) -> None:
    first, second = encoded(tone(2), "OGG", subtype), encoded(tone(1.5, rate=8_000), "OGG", subtype, rate=8_000)
    assert heard(first + second + first)[::2] == (pytest.approx(5.5, abs=0.05), "")


def test_mp3s_are_read_to_the_end_whatever_their_index_says() -> None:
    samples = tone(5, hertz=3_000) * np.linspace(0, 1, 5 * RATE) ** 3
    samples *= 1 + np.random.default_rng(0).normal(0, 0.1, len(samples))
    data = encoded(samples, "MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    second = data.index(data[:2], 4)
    for changed, seconds in ((data[second:], 5), (data + data, 10), (b"<html>" * 1_009 + data[second:], 5)):
        assert heard(changed)[::2] == (pytest.approx(seconds, abs=0.3), "")


def test_a_streamed_flac_needs_no_length_and_an_unfinished_wav_is_read_to_its_end() -> None:
    flac = bytearray(encoded(tone(3), "FLAC"))
    flac[21], flac[22:26] = flac[21] & 0xF0, bytes(4)
    assert heard(bytes(flac))[::2] == (3.0, "")
    wav = bytearray(encoded(tone(3)))
    place = wav.index(b"data") + 4
    wav[4:8], wav[place : place + 4] = bytes(4), bytes(4)
    seconds, _, fault = heard(bytes(wav))
    assert seconds == 3.0 and fault.endswith("the recorder was stopped before it could finish; read to its end")


@pytest.mark.parametrize("other", [-1.0, -0.9])
def test_a_channel_that_is_inverted_cancels_nothing(other: float) -> None:
    sound = tone(1)
    assert np.abs(read_sound((np.stack([sound, other * sound], 1), RATE)).samples).max() > 0.9 * np.abs(sound).max()
    quiet = read_sound((np.stack([sound, 0 * sound], 1), RATE)).samples
    assert np.abs(quiet).max() == pytest.approx(np.abs(sound).max() / 2, rel=0.01)


def test_telephone_calls_are_read_at_their_rate() -> None:
    file = io.BytesIO()
    soundfile.write(file, tone(2, rate=8_000), 8_000, format="WAV", subtype="ULAW")
    assert heard(file.getvalue()) == (2.0, pytest.approx(440, abs=3), "")


@pytest.mark.parametrize("format", ["HEIF", "AVIF", "JPEG2000", "MPO"])
def test_pictures_of_phones_are_read(format: str, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    pixels = np.zeros((150, 210, 3), np.uint8)
    pixels[:75, :105] = (200, 30, 30)
    path = tmp_path / "IMG_1"
    Image.fromarray(pixels).save(path, format, **({"save_all": True} if format == "MPO" else {}))
    picture = reading.read_picture(path)
    assert (picture.width, picture.height) == (210, 150)
    seen = np.asarray(picture.image).astype(int)
    assert np.abs(seen[30, 40] - (200, 30, 30)).max() < 20 and seen[120, 160].max() < 20
    data = path.read_bytes()
    with pytest.raises(MediaError):
        read_picture(data[: len(data) // 3])


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_greys_of_fewer_bits_than_sixteen_are_not_black(bits: int, tmp_path: Path) -> None:
    ramp = np.linspace(0, 2**bits - 1, 211).round().astype(np.uint16)
    path = tmp_path / "x.png"
    Image.fromarray(np.tile(ramp, (7, 1))).save(path)
    seen = np.asarray(read_picture(path).image)[0, :, 0]
    assert seen[0] == 0 and seen[-1] == 255 and np.abs(seen - np.linspace(0, 255, 211)).max() <= 1


def test_a_photograph_that_lacks_its_end_is_seen_with_a_note(tmp_path: Path) -> None:
    path, file = tmp_path / "x.jpg", io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 256, (211, 307, 3), np.uint8)
    Image.fromarray(noise).save(file, "jpeg")
    data = file.getvalue()
    for changed, note in ((data, ""), (data[:-20], "cut short: the end"), (b"\n" + data, ""), (data[:-2], "cut short")):
        path.write_bytes(changed)
        picture = reading.read_picture(path)
        assert picture.note.startswith(note) and bool(picture.note) == bool(note)
        assert np.abs(np.asarray(picture.image)[:190].astype(int) - noise[:190]).mean() < 60
    for part in (0.5, 0.8):
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(MediaError, match="cut short"):
            reading.read_picture(path)


def test_the_row_of_such_a_photograph_says_so(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path, file = tmp_path / "x.jpg", io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (43, 67, 3), np.uint8)).save(file, "jpeg")
    path.write_bytes(file.getvalue()[:-9])
    assert main(["caption", str(path), "--checkpoint", str(tiny_checkpoint), "--out", str(tmp_path / "o.jsonl")]) == 0
    row = json.loads((tmp_path / "o.jsonl").read_text())
    assert row["note"].startswith("cut short") and "error" not in row
