"""The app without a browser: payloads, limits, what the server refuses, and how mistakes are answered."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image

import app as command
from multimodal_attn.errors import CheckpointError, UserError
from multimodal_attn.media import read_picture
from multimodal_attn.ui.app import EXAMPLES, caption, start
from multimodal_attn.ui.limits import make_room
from multimodal_attn.ui.viewer import PREVIEW_SIDE, picture_media
from tests.fake_captioner import FakeCaptioner, planted_trace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server():
    app = start(FakeCaptioner(), port=free_port())
    with httpx.Client(base_url=app.local_url, trust_env=False) as client:
        yield client
    app.close()


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "dog.png"
    Image.new("RGB", (210, 150), "olive").save(path)
    return path


def test_a_picture_gives_a_waiting_and_then_a_complete_payload(photograph):
    first, second = caption(FakeCaptioner(), str(photograph))
    assert "trace" not in first and first["id"] != second["id"]
    assert first["media"] == second["media"]
    assert (first["media"]["name"], first["media"]["width"], first["media"]["height"]) == ("dog.png", 210, 150)
    assert second["trace"] == planted_trace().to_dict()


def test_a_bad_picture_gives_one_line_that_names_the_file_and_no_folder(tmp_path):
    (tmp_path / "note.jpg").write_text("not a picture")
    (payload,) = caption(FakeCaptioner(), str(tmp_path / "note.jpg"))
    assert payload["problem"].startswith("note.jpg: not a picture")
    assert str(tmp_path) not in payload["problem"] and "\n" not in payload["problem"]


def test_a_failing_model_is_logged_and_gives_one_line(photograph, caplog):
    *_, last = caption(FakeCaptioner(), str(photograph.rename(photograph.with_name("crash.png"))))
    assert last["problem"].startswith("crash.png: the model failed")
    assert "planted" in caplog.text


def test_preview_is_bounded_upright_and_carries_no_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"  # orientation, maker
    Image.new("RGB", (3001, 1999), "olive").save(tmp_path / "large.jpg", exif=exif)
    media = picture_media(read_picture(tmp_path / "large.jpg"), str(tmp_path))
    preview = Image.open(media["file"]["path"])
    assert preview.size == (media["width"], media["height"]) == (1066, PREVIEW_SIDE)
    assert not preview.getexif()


def test_small_pictures_are_not_enlarged(tmp_path):
    media = picture_media(read_picture(np.zeros((1, 1, 3), np.uint8)), str(tmp_path))
    assert (media["width"], media["height"]) == (1, 1)


def test_the_examples_come_with_gradio():
    assert all(path.is_file() for path in EXAMPLES)


def test_room_is_made_by_removing_the_oldest_files(tmp_path):
    for age, name in enumerate(["new", "middle", "old"]):
        path = tmp_path / name / "file"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 1000 - age))
    make_room(tmp_path, 300)
    assert len(list(tmp_path.glob("*/file"))) == 3
    make_room(tmp_path, 250)
    assert [path.parent.name for path in sorted(tmp_path.glob("*/file"))] == ["middle", "new"]


def test_room_is_made_before_an_upload(server, monkeypatch):
    asked = []
    monkeypatch.setattr("multimodal_attn.ui.limits.make_room", lambda folder, quota: asked.append(folder))
    files = server.post("/gradio_api/upload", files={"files": ("a.png", b"123")}).json()
    assert Path(files[0]).is_relative_to(asked[0])


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
        start(FakeCaptioner(), port=port)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
def test_no_upload_outlives_the_app(tmp_path, ending):
    serve = "import tests.fake_captioner as f, multimodal_attn.ui.app as a; a.launch(f.FakeCaptioner(), port={})"
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
    assert Path(upload).is_relative_to(tmp_path) and Path(upload).is_file()
    process.send_signal(ending)
    assert process.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def load(monkeypatch):
    """Stands in for the reading of checkpoints; returns what was asked for."""
    asked = []

    def load(path):
        asked.append(Path(path))
        if not Path(path).is_dir():
            raise CheckpointError(f"{path}: no such folder; name a checkpoint folder")
        return FakeCaptioner()

    monkeypatch.setitem(sys.modules, "multimodal_attn.predictor", SimpleNamespace(load=load))
    return asked


def test_a_missing_checkpoint_is_one_line_and_exit_status_2(load, capsys):
    assert command.main(["--checkpoint", "nowhere"]) == 2
    assert capsys.readouterr().err == "app.py: nowhere: no such folder; name a checkpoint folder\n"


def test_the_command_opens_the_checkpoint_at_the_address_it_is_given(load, monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr("multimodal_attn.ui.app.launch", lambda *arguments: served.append(arguments))
    assert command.main(["--checkpoint", str(tmp_path), "--port", "7861", "--host", "0.0.0.0"]) == 0
    assert load == [tmp_path]
    assert served[0][1:] == ("0.0.0.0", 7861)


def test_the_bundled_captioner_is_the_default(load, monkeypatch):
    monkeypatch.setattr("multimodal_attn.ui.app.launch", lambda *arguments: None)
    assert command.main([]) == 0
    assert load[0].parts[-2:] == ("checkpoints", "captioning-flickr8k")
