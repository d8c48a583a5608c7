"""Slow and silent connections are closed, whatever they began; slow people and long answers are not."""

import socket
import time
from threading import Thread

import httpx
import pytest

from multimodal_attn.ui.app import start
from tests.fake_reader import FOREVER, SlowReader

SILENCE = 0.4  # seconds instead of many


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setattr("multimodal_attn.ui.connections.SILENCE", SILENCE)
    monkeypatch.setattr("multimodal_attn.ui.connections.PATIENCE", SILENCE)
    reader = SlowReader()
    app = start({"captioning": reader}, port=0)
    yield reader, app.local_url
    reader.answer(100)
    app.close()


def connect(address: str, text: str) -> socket.socket:
    url = httpx.URL(address)
    connection = socket.create_connection((url.host, url.port), FOREVER)
    connection.sendall(text.replace("HOST", f"{url.host}:{url.port}").encode())
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Reads until the other side closes; a timeout fails the test."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


UPLOAD = "POST /gradio_api/upload HTTP/1.1\r\nHost: HOST\r\nContent-Type: multipart/form-data; boundary=b\r\n"
BEGUN = {
    "nothing": "",
    "half a line": "GET /con",
    "half a header": "GET /config HTTP/1.1\r\nHost: HOST\r\nX-",
    "an answer and then silence": "GET /robots.txt HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "an answer and then half a header": "GET /robots.txt HTTP/1.1\r\nHost: HOST\r\n\r\nGET /robots.txt HTT",
    "an upload without a body": UPLOAD + "Content-Length: 1000\r\n\r\n",
    "half an upload": UPLOAD + "Content-Length: 1000\r\n\r\n--b\r\n",
    "half an event": "POST /gradio_api/queue/join HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99\r\n\r\n{",
    "half a login": "POST /login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99\r\n\r\nuser",
    "a refused body": "POST /nowhere HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99\r\n\r\n{",
    "a body of a GET": "GET /robots.txt HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99\r\n\r\n{",
    "an upgrade": "GET /ws HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an expectation": UPLOAD + "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
}


def test_what_is_begun_and_not_ended_is_closed(served):
    connections = {name: connect(served[1], text) for name, text in BEGUN.items()}
    assert {name: is_closed(each) for name, each in connections.items()} == dict.fromkeys(BEGUN, True)


def drip(connection: socket.socket) -> None:
    try:
        while True:
            connection.sendall(b"x")
            time.sleep(SILENCE / 5)
    except OSError:
        pass


@pytest.mark.parametrize("name", ["half a header", "half an upload", "a refused body", "a body of a GET"])
def test_what_comes_byte_by_byte_is_closed(served, name):
    connection = connect(served[1], BEGUN[name].replace("99", "9999").replace("1000", "9999"))
    dripping = Thread(target=drip, args=[connection])
    dripping.start()
    assert is_closed(connection)
    dripping.join(FOREVER)
    assert not dripping.is_alive()


def test_an_answer_that_nobody_reads_is_closed(served):
    with httpx.Client(base_url=served[1], trust_env=False) as client:
        (path,) = client.post("/gradio_api/upload", files={"files": ("a.bin", bytes(19_000_000))}).json()
    connection = connect(served[1], f"GET /gradio_api/file={path} HTTP/1.1\r\nHost: HOST\r\n\r\n")
    time.sleep(8 * SILENCE)
    received = 0
    try:
        while part := connection.recv(65_536):
            received += len(part)
    except ConnectionError:
        pass
    assert 0 < received < 19_000_000


def test_an_upload_that_keeps_coming_and_a_stream_that_waits_are_left_alone(served):
    reader, address = served
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = body + bytes(200_000) + b"\r\n--b--\r\n"
    slow = connect(address, UPLOAD + f"Content-Length: {len(body)}\r\n\r\n")
    event = {"data": [0, False], "fn_index": 2, "trigger_id": None, "session_hash": "waits"}
    with httpx.Client(base_url=address, trust_env=False, timeout=FOREVER) as client:
        index = next(
            each["id"] for each in client.get("/config").json()["dependencies"] if each["targets"][0][1] == "click"
        )
        assert client.post("/gradio_api/queue/join", json={**event, "fn_index": index}).status_code == 200
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "waits"}) as stream:
            for start_ in range(0, len(body), 20_000):
                slow.sendall(body[start_ : start_ + 20_000])
                time.sleep(SILENCE / 4)
            assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
            reader.answer()
            assert any("a dog runs" in line for line in stream.iter_lines())
