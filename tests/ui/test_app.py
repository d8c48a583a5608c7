"""The app without a browser: payloads, limits, what the server refuses, and how mistakes are answered."""

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

import app as command
from multimodal_attn.errors import CheckpointError, UserError
from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.senses.picture.page import PAGE as PICTURE
from multimodal_attn.senses.picture.viewer import PREVIEW_SIDE, picture_media
from multimodal_attn.senses.sound.media import RATE, Sound
from multimodal_attn.senses.sound.page import PAGE as SOUND
from multimodal_attn.senses.sound.viewer import MAX_FRAMES, sound_media
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.ui.app import start
from multimodal_attn.ui.limits import Room, room
from multimodal_attn.ui.page import ASSETS
from multimodal_attn.ui.pages import PAGES
from multimodal_attn.ui.readers import Later
from multimodal_attn.ui.tab import answer
from multimodal_attn.viewer.payloads import complete
from multimodal_attn.viewer.share import inline
from multimodal_attn.viewer.sources import static_of
from tests.fake_captioner import FakeCaptioner, planted_trace
from tests.fake_listener import SECONDS, FakeListener, heard_trace, tone


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server():
    app = start({"captioning": FakeCaptioner()}, port=free_port())
    with httpx.Client(base_url=app.local_url, trust_env=False) as client:
        yield client
    app.close()


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "dog.png"
    Image.new("RGB", (210, 150), "olive").save(path)
    return path


def content_of(media: dict) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(media["file"]["url"].partition(",")[2]))


def test_a_picture_gives_a_waiting_and_then_a_complete_payload(photograph):
    first, second = answer(PICTURE, FakeCaptioner(), str(photograph))
    assert "trace" not in first and first["id"] != second["id"]
    assert first["media"] == second["media"]
    assert (first["media"]["name"], first["media"]["width"], first["media"]["height"]) == ("dog.png", 210, 150)
    assert second["trace"] == planted_trace().to_dict()


def test_a_bad_picture_gives_one_line_that_names_the_file_and_no_folder(tmp_path):
    (tmp_path / "note.jpg").write_text("not a picture")
    (payload,) = answer(PICTURE, FakeCaptioner(), str(tmp_path / "note.jpg"))
    assert payload["problem"].startswith("note.jpg: not a picture")
    assert str(tmp_path) not in payload["problem"] and "\n" not in payload["problem"]


def test_a_failing_model_is_logged_and_gives_one_line(photograph, caplog):
    *_, last = answer(PICTURE, FakeCaptioner(), str(photograph.rename(photograph.with_name("crash.png"))))
    assert last["problem"].startswith("crash.png: the model failed")
    assert "planted" in caplog.text


def test_preview_is_bounded_upright_and_carries_no_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"  # orientation, maker
    Image.new("RGB", (3001, 1999), "olive").save(tmp_path / "large.jpg", exif=exif)
    media = picture_media(read_picture(tmp_path / "large.jpg"), inline)
    preview = Image.open(content_of(media))
    assert preview.size == (media["width"], media["height"]) == (1066, PREVIEW_SIDE)
    assert not preview.getexif()


def test_small_pictures_are_not_enlarged():
    media = picture_media(read_picture(np.zeros((1, 1, 3), np.uint8)), inline)
    assert (media["width"], media["height"]) == (1, 1)


def test_the_examples_come_with_gradio_or_with_their_sense():
    for page in PAGES.values():
        homes = (ASSETS, static_of(page.kind))
        assert all(path.is_file() and any(path.is_relative_to(home) for home in homes) for path in page.files)


def test_sounds_are_labelled_with_the_words_that_the_file_says_were_spoken_and_with_who_spoke_them():
    for label, path in SOUND.examples.items():
        with soundfile.SoundFile(path) as sound:
            assert label.strip("“”") == sound.title
            assert sound.artist.split()[0] in SOUND.source and re.match("Synthetic|Common Voice.*CC0", sound.comment)
            assert sound.samplerate == RATE and 1 < len(sound) / RATE < 4


def test_the_best_bundled_folder_is_taken_and_none_is_none(tmp_path):
    best, *_, last = SOUND.checkpoints
    assert SOUND.bundled(tmp_path) is None
    for name in (last, best):
        (tmp_path / name).mkdir()
        assert SOUND.bundled(tmp_path) == tmp_path / name


def test_room_is_made_by_removing_the_oldest_files(tmp_path):
    room = Room(tmp_path, quota=300, max_files=3)
    old, middle, new = (Path(room.save(bytes([n]) * 100, "file")) for n in range(3))
    assert room.save(bytes([0]) * 100, "file") == str(old)  # seen again, so the newest
    assert old.exists() and middle.exists() and new.exists() and room.n_bytes == 300
    with room.reserve(90):
        room.make_way()
        assert not middle.exists() and not middle.parent.exists() and old.exists() and new.exists()
        small = Path(room.save(bytes(3), "small"))  # a fourth, with what is under way
        assert old.exists() and small.exists() and not new.exists() and room.n_bytes == 103
        with pytest.raises(UserError, match="try again"):
            room.save(bytes(211), "file")
    assert room.reserved == room.n_reserved == 0


def test_files_of_more_than_an_hour_go(tmp_path, monkeypatch):
    room = Room(tmp_path)
    old = Path(room.save(b"1", "file"))
    monkeypatch.setattr("multimodal_attn.ui.limits.MAX_AGE", -1)
    room.make_way()
    assert not old.exists() and room.n_bytes == 0 and room.files == {}


def test_room_is_made_before_an_upload(server, monkeypatch):
    monkeypatch.setattr(room(), "max_files", 1)
    folder = room().folder
    empty = {path for path in folder.iterdir() if not any(path.iterdir())}  # Gradio leaves some
    for content in (b"123", b"12345"):
        files = server.post("/gradio_api/upload", files={"files": ("a.png", content)}).json()
        assert files[0].startswith("/uploads") and str(folder) not in files[0]
        assert [path.read_bytes() for path in folder.rglob("*") if path.is_file()] == [content]
        filled = [path for path in folder.iterdir() if path not in empty or any(path.iterdir())]
        assert len(filled) == 1 and room().n_bytes == len(content)


@pytest.mark.parametrize(
    ("n_files", "size"), [(1, 20_000_001), (20, 1_500_000)], ids=["one large file", "many files in one request"]
)
def test_oversized_uploads_are_refused(server, n_files, size):
    answer = server.post("/gradio_api/upload", files=[("files", ("a.png", bytes(size))) for _ in range(n_files)])
    assert answer.status_code == 413


@pytest.mark.parametrize("route", ["queue/join", "run/predict", "component_server", "no-such-route"])
def test_oversized_bodies_are_refused_on_every_route(server, route):
    picture = {"url": "data:image/png;base64," + "A" * 1_000_000, "meta": {"_type": "gradio.FileData"}}
    answer = server.post(f"/gradio_api/{route}", json={"data": [picture], "fn_index": 0, "session_hash": "s"})
    assert answer.status_code == 413


def test_a_body_of_unknown_length_is_refused(server):
    answer = server.post("/gradio_api/queue/join", content=iter([b"{}"]))
    assert answer.status_code == 411


@pytest.mark.parametrize("path", ["/monitoring", "/monitoring/summary", "/monitoring/key"])
def test_monitoring_is_off(server, path):
    assert server.get(path).status_code >= 400


@pytest.mark.parametrize("path", ["/etc/passwd", str(Path(command.__file__).resolve())])
def test_files_of_this_machine_are_not_served(server, path):
    assert server.get(f"/gradio_api/file={path}").status_code == 403


def test_no_event_is_a_public_endpoint(server):
    assert server.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}


def test_analytics_are_off():
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_port_in_use_is_one_clear_line(server):
    port = server.base_url.port
    with pytest.raises(UserError, match=rf"^cannot listen on 127\.0\.0\.1:{port}.*--port$"):
        start({"captioning": FakeCaptioner()}, port=port)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
def test_no_upload_outlives_the_app(tmp_path, ending):
    serve = "import multimodal_attn.ui.app as a; a.launch({{}}, port={})"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", serve.format(free_port())],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # a test run in the background inherits that SIGINT is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    url = process.stdout.readline().split()[1]
    (upload,) = httpx.post(f"{url}gradio_api/upload", files={"files": ("a.png", b"123")}, trust_env=False).json()
    assert str(tmp_path) not in upload and [path.read_bytes() for path in tmp_path.rglob("a.png")] == [b"123"]
    process.send_signal(ending)
    assert process.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_app_that_is_ended_in_the_middle_of_uploads_leaves_nothing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", f"import multimodal_attn.ui.app as a; a.launch({{}}, port={free_port()})"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().split()[1]

    def upload_until_it_ends(n: int) -> None:
        with suppress(httpx.HTTPError):
            while True:
                files = {"files": (f"{n}.png", os.urandom(3_000_000))}
                httpx.post(f"{url}gradio_api/upload", files=files, trust_env=False, timeout=20)

    with ThreadPoolExecutor(7) as pool:
        jobs = [pool.submit(upload_until_it_ends, n) for n in range(7)]
        while not list(tmp_path.rglob("*.png")):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0 and all(job.exception() is None for job in jobs)
    assert list(tmp_path.iterdir()) == [] and "Traceback" not in told


@pytest.fixture
def load(monkeypatch):
    """Stands in for the reading of checkpoints; returns what was asked for."""
    asked = []

    def load(path):
        asked.append(Path(path))
        if not Path(path).is_dir():
            raise CheckpointError(f"{path}: no such folder; name a checkpoint folder")
        return FakeListener() if Path(path).name.startswith("speech") else FakeCaptioner()

    monkeypatch.setitem(sys.modules, "multimodal_attn.predictor", SimpleNamespace(load=load))
    return asked


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """What the command would have served: (readers, host, port). The bundled folders are those below tmp_path."""
    served = []
    monkeypatch.setattr("multimodal_attn.ui.app.launch", lambda *arguments, **_: served.append(arguments))
    monkeypatch.setattr(command, "CHECKPOINTS", tmp_path)
    return served


def test_a_missing_checkpoint_is_one_line_and_exit_status_2(load, capsys):
    assert command.main(["--checkpoint", "nowhere"]) == 2
    assert capsys.readouterr().err == "app.py: nowhere: no such folder; name a checkpoint folder\n"


def test_the_command_opens_the_checkpoint_for_its_task_at_the_address_it_is_given(load, launched, tmp_path):
    mine = tmp_path / "speech-mine"
    for folder in (mine, tmp_path / "captioning-flickr8k", tmp_path / "whisper-tiny.en"):
        folder.mkdir()
    assert command.main(["--checkpoint", str(mine), "--port", "7861", "--host", "0.0.0.0", "--no-password"]) == 0
    ((readers, *address),) = launched
    assert load == [mine] and address == ["0.0.0.0", 7861]
    assert isinstance(readers["speech"], FakeListener) and readers["captioning"].name == "captioning-flickr8k"


def test_the_bundled_checkpoints_are_the_default_and_are_not_read_before_they_are_needed(load, launched, tmp_path):
    (tmp_path / "captioning-flickr8k").mkdir()
    assert command.main([]) == 0
    readers = launched[0][0]
    assert list(readers) == ["captioning"] and load == []  # no folder, no reader: the tab says so
    assert readers["captioning"]("dog.png").text == readers["captioning"]("dog.png").text == "a dog runs"
    assert load == [tmp_path / "captioning-flickr8k"]


def test_threads_that_need_a_checkpoint_at_once_open_it_once(load, tmp_path):
    later = Later(tmp_path)
    with ThreadPoolExecutor(7) as pool:
        readers = set(pool.map(lambda _: later.open(), range(7)))
    assert load == [tmp_path] and len(readers) == 1


# Sounds


@pytest.fixture
def recording(tmp_path) -> Path:
    path = tmp_path / "hello.flac"
    soundfile.write(path, tone(), RATE)
    return path


def test_a_sound_gives_a_waiting_and_then_a_complete_payload(recording):
    first, second = answer(SOUND, FakeListener(), str(recording))
    assert "trace" not in first and first["media"] == second["media"]
    media = first["media"]
    assert (media["kind"], media["name"], media["seconds"]) == ("sound", "hello.flac", SECONDS)
    assert second["trace"] == heard_trace().to_dict()
    json.dumps(second)


def test_the_sound_to_play_is_a_wav_of_the_same_length_without_overflow():
    loud = np.array([0.0, 0.5, 1.0, 7.0, -7.0], np.float32)
    played, rate = soundfile.read(content_of(sound_media(Sound(loud), inline)), dtype="int16")
    assert rate == RATE and soundfile.info(content_of(sound_media(Sound(loud), inline))).format == "WAV"
    np.testing.assert_allclose(played, [0, 16384, 32767, 32767, -32768], atol=1)


def test_the_spectrogram_of_a_sound_covers_it_and_is_bounded():
    for seconds in (0.01, SECONDS, 179.0):
        media = sound_media(Sound(np.zeros(round(seconds * RATE), np.float32)), inline)
        n_pitches, n_frames = media["spectrogram"]["shape"]
        assert len(base64.b64decode(media["spectrogram"]["data"])) == n_pitches * n_frames <= 80 * MAX_FRAMES
        assert 0 <= n_frames * media["spectrogram"]["step"] - media["seconds"] < media["spectrogram"]["step"]


def test_a_sound_of_no_length_still_has_an_axis():
    media = sound_media(Sound(np.zeros(0, np.float32)), inline)
    assert media["seconds"] > 0 and media["spectrogram"]["shape"] == (80, 1)


def test_a_long_sound_is_one_line_that_says_what_to_do(tmp_path):
    path = tmp_path / "lecture.flac"
    soundfile.write(path, np.zeros(181 * RATE, np.int16), RATE)
    (payload,) = answer(SOUND, FakeListener(), str(path))
    assert payload["problem"].startswith("lecture.flac: longer than 3 minutes; cut it")


@pytest.mark.parametrize(("name", "content"), [("notes.wav", b"not a sound"), ("empty.wav", b"")])
def test_a_bad_sound_gives_one_line_that_names_the_file_and_no_folder(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    (payload,) = answer(SOUND, FakeListener(), str(tmp_path / name))
    assert payload["problem"].startswith(f"{name}: ") and str(tmp_path) not in payload["problem"]


def test_a_large_trace_travels_as_a_file():
    weights = np.zeros((4, 10_007, 13), np.float32)
    weights[..., 0] = 1
    payload = complete({"kind": "sound"}, heard_trace(weights=weights), inline)
    assert "trace" not in payload and len(json.dumps(payload | {"file": ""})) < 1_000
    trace = AttentionTrace.from_json(content_of(payload).read().decode())
    np.testing.assert_array_equal(trace.weights, weights)
