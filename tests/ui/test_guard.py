"""What stands before the page: forged events, foreign names and pages, floods. Nothing of them reaches a file."""

import io
import json
import sys
from urllib.parse import quote

import gradio as gr
import httpx
import pytest
from PIL import Image

import app as command
from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.senses.picture.viewer import image_to_jpeg
from multimodal_attn.ui.app import Address, start
from multimodal_attn.ui.events import NO_EVENT, NO_FILE
from multimodal_attn.ui.limits import Room, room
from tests.fake_captioner import FakeCaptioner
from tests.fake_translator import FakeTranslator

META = {"_type": "gradio.FileData"}
ROUTES = ("queue/join", "run/predict", "api/predict", "call/predict", "call/v2/predict", "component_server")


def shapes(path: str) -> list[object]:
    """Ways to say a file, most of which no page ever sends."""
    file = {"path": path}
    return [
        *({**file, **extra} for extra in ({}, {"meta": {}}, {"meta": {"_type": "x"}}, {"meta": META}, {"url": path})),
        *(
            {**file, "meta": META, **extra}
            for extra in ({"url": "http://a.invalid/x"}, {"orig_name": "a"}, {"size": 1})
        ),
        *([file], {"file": file}, {"image": file, "meta": META}, path, [[path]], {"url": path, "meta": META}),
        *({"path": {"path": path}}, {"path": [path]}, {"path": None, "url": path}, {"path": f"/uploads/../{path}"}),
    ]


def event(value: object, **fields) -> dict:
    """With a switch that is off."""
    return {"data": [value, False], "fn_index": 0, "trigger_id": None, "session_hash": "s", **fields}


@pytest.fixture(scope="module")
def server():
    app = start({"captioning": FakeCaptioner()}, port=0)
    with httpx.Client(base_url=app.local_url, trust_env=False) as client:
        yield client
    app.close()


@pytest.fixture(scope="module")
def watched():
    """What is opened, looked up and connected to while the list is not None."""
    seen: dict[str, list | None] = {"now": None}

    def hook(name: str, arguments: tuple) -> None:
        if seen["now"] is not None and name in ("open", "socket.getaddrinfo", "socket.connect", "socket.sendto"):
            seen["now"].append((name, str(arguments)))

    sys.addaudithook(hook)  # for the life of the process, so it must cost nothing
    return seen


@pytest.mark.parametrize("route", ROUTES)
def test_a_forged_file_is_refused_in_every_shape_and_nothing_of_it_is_opened_or_looked_up(
    server, watched, tmp_path, route
):
    Image.new("RGB", (7, 5)).save(tmp_path / "secret.png")
    there, missing, url = str(tmp_path / "secret.png"), str(tmp_path / "missing.png"), "http://forged.invalid/x.png"
    watched["now"] = []
    answers = [
        [
            (reply.status_code, reply.text)
            for reply in (server.post(f"/gradio_api/{route}", json=event(each)) for each in shapes(path))
        ]
        for path in (there, missing, url)
    ]
    opened, watched["now"] = watched["now"], None
    assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 18
    assert {status for status, _ in answers[0]} <= {403, 404}
    assert route != "queue/join" or {text for _, text in answers[0]} == {NO_FILE}
    assert not [each for each in opened if str(tmp_path) in each[1] or "forged" in each[1]]
    here = str(server.base_url.port)  # the test's own connections
    assert not [each for each in opened if each[0].startswith("socket") and here not in each[1]]


def test_an_upload_is_read_and_no_reply_names_a_folder_of_the_server(server):
    file = io.BytesIO()
    Image.new("RGB", (7, 5)).save(file, "PNG")
    (path,) = server.post("/gradio_api/upload", files={"files": ("a.png", file.getvalue())}).json()
    joined = server.post("/gradio_api/queue/join", json=event({"path": path, "meta": META}, session_hash="mine"))
    assert joined.status_code == 200
    stream = server.get("/gradio_api/queue/data", params={"session_hash": "mine"}).text
    assert "a dog runs" in stream
    assert "multimodal-attn-" not in path + stream + server.get("/").text + server.get("/config").text
    assert server.get(f"/gradio_api/file={path}").content == file.getvalue()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{}", "127.0.0.1", "a@127.0.0.1:{}", "127.0.0.1.nip.io:{}", ""]
)
def test_a_foreign_name_is_refused(server, host):
    reply = server.get("/config", headers={"Host": host.format(server.base_url.port)})
    assert reply.status_code in (400, 403) and "components" not in reply.text


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
def test_a_foreign_page_can_neither_post_nor_read(server, origin):
    reply = server.post("/gradio_api/upload", files={"files": ("a.png", b"1")}, headers={"Origin": origin})
    assert reply.status_code == 403
    assert "access-control-allow-origin" not in server.get("/config", headers={"Origin": origin}).headers


def test_headers_of_a_proxy_do_not_set_the_urls_of_the_page(server):
    headers = {"X-Forwarded-Host": "evil.example", "X-Gradio-Server": "http://evil.example"}
    assert "evil" not in server.get("/", headers=headers).text + server.get("/config", headers=headers).text


def test_every_reply_has_the_headers_that_keep_browsers_out(server):
    for path in ("/", "/config", "/nowhere"):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
        assert headers["content-security-policy"] == "frame-ancestors 'self'"


def test_two_files_in_one_request_are_refused(server):
    files = [("files", (name, b"1")) for name in ("a.png", "b.png")]
    assert server.post("/gradio_api/upload", files=files).status_code == 413


def test_only_what_takes_a_text_is_given_one_and_nothing_else(tmp_path):
    app = start({"captioning": FakeCaptioner(), "translation": FakeTranslator()}, port=0)
    [written] = [key for key, fn in app.fns.items() if any(isinstance(each, gr.Textbox) for each in fn.inputs)]
    with httpx.Client(base_url=app.local_url, trust_env=False) as client:

        def ask(value: object, index: int) -> httpx.Response:
            return client.post("/gradio_api/queue/join", json=event(value, fn_index=index, session_hash="text"))

        assert ask("Tom chases Jerry.", written).status_code == 200
        stream = client.get("/gradio_api/queue/data", params={"session_hash": "text"}).text
        assert json.dumps("汤姆追杰瑞。") in stream or "汤姆追杰瑞。" in stream
        others = (*shapes(str(tmp_path))[:10], 1, "x" * 10_001)
        assert {ask(each, written).status_code for each in others} == {403}
        assert {ask("Tom chases Jerry.", key).status_code for key in app.fns if key != written} == {403}
    app.close()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"data": [[-1], false], "fn_index": 0}',
        b'{"data": [-1, false], "fn_index": 1, "session_hash": "s"}',
        b'{"data": [5, false], "fn_index": 0, "session_hash": "s"}',
        b'{"data": [], "fn_index": 0, "session_hash": "s"}',
        b'{"data": [null, false, false], "fn_index": 0, "session_hash": "s"}',
        b'{"data": [{"path": "%s"}, false], "fn_index": 0, "session_hash": "s"}' % (b"a/" * 400_000),  # takes minutes
    ],
)
def test_a_forged_event_is_one_line(server, body):
    reply = server.post("/gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 403 and len(reply.text.splitlines()) == 1


@pytest.mark.parametrize("index", [9, 99, 9999])
def test_an_event_that_the_page_does_not_have_is_one_line_and_no_traceback(server, capfd, index):
    reply = server.post("/gradio_api/queue/join", json={**event(None), "fn_index": index})
    assert reply.status_code in (400, 403) and len(reply.text.splitlines()) == 1
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "ranges", [",".join(f"{n}-{n}" for n in range(500)), "0-0,-1", "5-2", "-", "x", "0-" + "9" * 5000, "-0"]
)
def test_odd_ranges_of_a_file_are_answered_without_a_traceback(server, capfd, ranges):
    (path,) = server.post("/gradio_api/upload", files={"files": ("a.png", b"123")}).json()
    reply = server.get(f"/gradio_api/file={path}", headers={"Range": f"bytes={ranges}"})
    assert reply.status_code in (200, 206, 400, 416) and len(reply.content) < 200
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["100%.png", "a%2f..%2fb.png", "%00.png", "a b#c?d.png", "é“”.png", "a%25.png"])
def test_a_file_of_any_name_can_be_fetched_back(server, name):
    file = io.BytesIO()
    Image.new("RGB", (7, 5)).save(file, "PNG")
    (path,) = server.post("/gradio_api/upload", files={"files": (name, file.getvalue())}).json()
    url = f"{server.base_url}".rstrip("/") + f"/gradio_api/file={quote(path)}"  # as the browser says it
    assert server.get(url).content == file.getvalue()
    joined = server.post(
        "/gradio_api/queue/join", json=event({"path": path, "url": url, "meta": META}, session_hash="named")
    )
    assert joined.status_code == 200
    assert "a dog runs" in server.get("/gradio_api/queue/data", params={"session_hash": "named"}).text


@pytest.mark.parametrize("name", ["proxy=http://a.invalid/", "call/predict/1", "runs", "stream/a/1/2/playlist.m3u8"])
def test_a_closed_route_is_closed_below_a_root_path_too(name):
    app = start({"captioning": FakeCaptioner()}, port=0, root_path="/attn")
    with httpx.Client(base_url=f"http://127.0.0.1:{app.server_port}", trust_env=False) as client:
        assert client.get(f"/attn/gradio_api/{name}").text == NO_EVENT
    app.close()


def test_nobody_can_cancel_events_or_send_a_form_for_a_file(server):
    fields = {"session_hash": "s", "fn_index": 0, "event_id": "e"}
    assert server.post("/gradio_api/cancel", json=fields).status_code == 404
    assert server.post("/gradio_api/upload", data={"files": "text"}).status_code in (400, 422)


def test_the_number_of_files_is_bounded_and_empty_folders_go(tmp_path):
    room = Room(tmp_path, quota=100, max_files=2)
    for content in (b"1", b"2", b"3", b"4", b"5"):
        room.save(content, "file")
    assert len(list(tmp_path.iterdir())) == 2 and room.n_bytes == 2


def test_comments_of_a_picture_never_reach_its_preview(tmp_path):
    Image.new("RGB", (7, 5)).save(tmp_path / "a.gif", comment=b"secret" * 20_000)
    Image.new("RGB", (7, 5)).save(tmp_path / "a.jpg", comment=b"secret")
    for name in ("a.gif", "a.jpg"):
        image = Image.open(tmp_path / name).convert("RGB")
        assert b"secret" not in image_to_jpeg(image)
    assert b"secret" not in image_to_jpeg(read_picture(tmp_path / "a.jpg").image)


def test_a_network_needs_a_password_or_an_explicit_word(capsys, monkeypatch):
    monkeypatch.delenv(command.PASSWORD, raising=False)
    assert command.main(["--host", "0.0.0.0"]) == 2
    assert "--no-password" in capsys.readouterr().err


def test_with_a_password_nothing_is_told_without_it():
    app = start({"captioning": FakeCaptioner()}, port=0, password="sesame")
    with httpx.Client(base_url=app.local_url, trust_env=False) as client:
        assert client.get("/config").status_code == 401
        before = list(room().files)
        assert client.post("/gradio_api/upload", files={"files": ("a.png", bytes(7))}).status_code == 401
        assert client.post("/gradio_api/queue/join", json=event(None)).status_code == 401
        assert list(room().files) == before and not room().reserved
        assert client.post("/login", data={"username": "me", "password": "guess"}).status_code == 400
        assert client.post("/login", data={"username": "me", "password": "sesame"}).status_code == 200
        assert client.get("/config").status_code == 200
    app.close()
    assert Address(password="sesame").admits("me", "sesame")
