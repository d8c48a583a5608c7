"""Where the page is served: behind a proxy, on IPv6, on a free port, and to whom it is open."""

import io
import re
import socket

import httpx
import pytest
from PIL import Image

import app as command
from multimodal_attn.errors import UserError
from multimodal_attn.ui.app import start
from tests.fake_captioner import FakeCaptioner
from tests.prefix_proxy import proxy

PREFIX = "/tools/attn"
META = {"_type": "gradio.FileData"}


@pytest.fixture
def serve():
    apps = []

    def serve(*arguments, **options) -> str:
        apps.append(start({"captioning": FakeCaptioner()}, *arguments, **options))
        return apps[-1].local_url

    yield serve
    for app in apps:
        app.close()


@pytest.fixture
def picture_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (7, 5)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_behind_a_proxy_all_urls_are_below_its_path_and_uploads_are_answered(serve, picture_bytes, scheme):
    address = serve(port=0, allowed=["127.0.0.1"], root_path=PREFIX)
    with (
        proxy(httpx.URL(address).port, PREFIX, scheme) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}{PREFIX}", trust_env=False) as client,
    ):
        root = f"{scheme}://127.0.0.1:{port}{PREFIX}"
        own = {"Origin": f"{scheme}://127.0.0.1:{port}"}
        assert client.get("/config").json()["root"] == root
        (path,) = client.post("/gradio_api/upload", files={"files": ("a.png", picture_bytes)}, headers=own).json()
        file = {"path": path, "url": f"{root}/gradio_api/file={path}", "meta": META}
        event = {"data": [file, False], "fn_index": 0}
        event |= {"trigger_id": None, "session_hash": "p"}
        assert client.post("/gradio_api/queue/join", json=event, headers=own).status_code == 200
        stream = client.get("/gradio_api/queue/data", params={"session_hash": "p"}).text
        assert "a dog runs" in stream and f"{root}/gradio_api/file=/uploads" in stream
        foreign = client.post("/gradio_api/queue/join", json=event, headers={"Origin": "http://127.0.0.1:1"})
        assert foreign.status_code == 403


def test_a_proxy_that_nobody_allowed_is_refused_and_its_headers_are_not_believed(serve):
    address = serve(port=0)
    with proxy(httpx.URL(address).port, PREFIX) as port:
        assert httpx.get(f"http://127.0.0.1:{port}{PREFIX}/config", trust_env=False).status_code == 403
    root = httpx.get(f"{address}config", headers={"X-Forwarded-Proto": "https"}, trust_env=False).json()["root"]
    assert root == address.rstrip("/")


@pytest.mark.parametrize(("host", "shown"), [("localhost", "localhost"), ("::1", "[::1]"), ("[::1]", "[::1]")])
def test_other_names_of_this_computer_work_and_port_0_is_a_free_one(serve, host, shown):
    if ":" in host:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this computer has no IPv6")
    address = serve(host, 0)
    assert re.fullmatch(rf"http://{re.escape(shown)}:[1-9]\d+/", address)
    assert httpx.get(f"{address}config", trust_env=False).status_code == 200
    assert httpx.get(f"{address}config", headers={"Host": "a.example"}, trust_env=False).status_code == 403


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.7", 7861), ("nowhere.invalid", 7861), ("127.0.0.1", 65_536), ("", -1)]
)
def test_an_address_that_cannot_be_had_is_one_line(serve, host, port):
    with pytest.raises(UserError, match=r"^cannot listen on [^\n]*--port$"):
        serve(host, port)


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """The options with which the command would have served."""
    served = []
    monkeypatch.setattr("multimodal_attn.ui.app.launch", lambda *_, **options: served.append(options))
    monkeypatch.setattr(command, "CHECKPOINTS", tmp_path)
    monkeypatch.delenv(command.PASSWORD, raising=False)
    return served


def test_the_password_comes_from_a_file_or_the_environment_and_the_line_says_who_can_come_in(
    launched, tmp_path, monkeypatch, capsys
):
    (tmp_path / "word").write_text("sesame\n")
    network = ["--host", "0.0.0.0"]
    assert command.main([*network, "--password-file", str(tmp_path / "word")]) == 0
    monkeypatch.setenv(command.PASSWORD, "open")
    assert command.main(network) == 0
    assert command.main([*network, "--no-password"]) == 0
    assert [each["password"] for each in launched] == ["sesame", "open", None]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Open to")]
    assert lines == [
        "Open to those with the password who can reach 0.0.0.0 port 7860.",
        "Open to those with the password who can reach 0.0.0.0 port 7860.",
        "Open to everybody who can reach 0.0.0.0 port 7860.",
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "192.0.2.7", "example.org", "127.example.org", ""])
def test_a_host_that_others_reach_needs_a_word(launched, capsys, host):
    assert command.main(["--host", host]) == 2
    assert "--no-password" in capsys.readouterr().err and not launched


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_this_computer_alone_needs_none_and_nothing_is_said(launched, capsys, host):
    assert command.main(["--host", host]) == 0
    assert capsys.readouterr().err == "" and launched[0]["password"] is None


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_password_file_without_a_password_is_one_line(launched, tmp_path, capsys, content):
    path = tmp_path / "word"
    if content is not None:
        path.write_bytes(content)
    assert command.main(["--password-file", str(path)]) == 2
    assert re.fullmatch(r"app\.py: [^\n]*password[^\n]*\n", capsys.readouterr().err) and not launched


@pytest.mark.parametrize(
    "root_path", ["tools", "/tools/", "http://example.org/tools", "//evil.example", "/a b", "/a?b"]
)
def test_a_root_path_that_is_no_path_is_one_line(launched, capsys, root_path):
    assert command.main(["--root-path", root_path]) == 2
    assert "--root-path" in capsys.readouterr().err and not launched
