"""Many uploads at once: the quota holds, what is refused leaves nothing, and what is taken in is whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from multimodal_attn.ui import temporary_folder
from multimodal_attn.ui.app import start
from multimodal_attn.ui.limits import QUOTA, Room, room
from tests.fake_captioner import FakeCaptioner
from tests.fake_reader import FOREVER

N_PEOPLE = 30


def n_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # unlike rglob it does not mind folders that go meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


@pytest.fixture
def serve(monkeypatch):
    apps = []

    def serve(quota: int, max_files: int = 1000) -> str:
        monkeypatch.setattr(room(), "quota", quota)
        monkeypatch.setattr(room(), "max_files", max_files)
        apps.append(start({"captioning": FakeCaptioner()}, port=0))
        return apps[-1].local_url

    yield serve
    for app in apps:
        app.close()


@pytest.mark.parametrize(
    ("size", "quota"), [(150_000, QUOTA // 100), pytest.param(15_000_000, QUOTA, marks=pytest.mark.slow)]
)
def test_the_quota_holds_while_thirty_upload_at_once_and_the_page_still_answers(serve, size, quota):
    address, folder = serve(quota), Path(temporary_folder().name)

    def upload(n: int) -> httpx.Response:
        files = {"files": (f"{n}.png", bytes([n]) * size)}
        return httpx.post(f"{address}gradio_api/upload", files=files, trust_env=False, timeout=FOREVER)

    with ThreadPoolExecutor(N_PEOPLE) as pool, httpx.Client(base_url=address, trust_env=False) as client:
        jobs, seen = [pool.submit(upload, n) for n in range(N_PEOPLE)], [0]
        while not all(job.done() for job in jobs):
            assert client.get("/config").status_code == 200
            seen.append(n_bytes(folder))
        replies = [job.result() for job in jobs]
        assert {reply.status_code for reply in replies} <= {200, 413} and replies[0].status_code in (200, 413)
        assert max(seen) <= quota and n_bytes(folder) <= quota
        assert any(reply.status_code == 200 for reply in replies)
        assert not [path for path in folder.iterdir() if path.is_file()]


def test_an_upload_that_breaks_off_or_is_malformed_leaves_nothing(serve):
    address, folder = serve(QUOTA), Path(temporary_folder().name)
    before = {path for path in folder.rglob("*") if path.is_file()}
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    for body in (
        head + bytes(70_000),
        head + bytes(9) + b"\r\n--bx",
        b"--b--",
        head,
        b"",
        head + bytes(9) + b"\r\n--b--",
        head + bytes(9) + b"\r\n" + head + bytes(70_000),
        (head + bytes(70_000) + b"\r\n--b--").replace(b'"files"', b'"other"'),
    ):
        reply = httpx.post(f"{address}gradio_api/upload", content=body, headers=kind, trust_env=False)
        assert len(reply.text.splitlines()) <= 1 and "Traceback" not in reply.text
    left = {path for path in folder.rglob("*") if path.is_file()} - before
    assert [path.name for path in left if path.stat().st_size != 9] == []


@pytest.mark.parametrize(
    "kinds", [["xboundary=c; boundary=b"], ["Boundary=b"], ["boundary =b"], ["boundary=b", "boundary=c"]]
)
def test_two_files_in_one_request_are_refused_however_their_boundary_is_told(serve, kinds):
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n1\r\n'
    headers = [("Content-Type", f"multipart/form-data; {kind}") for kind in kinds]
    address = f"{serve(QUOTA)}gradio_api/upload"
    assert httpx.post(address, content=part * 2 + b"--b--", headers=headers, trust_env=False).status_code == 413


def test_thousands_of_small_files_are_not_possible(serve):
    address, folder = serve(QUOTA, max_files=7), Path(temporary_folder().name)
    n_folders = len(list(folder.iterdir()))
    with httpx.Client(base_url=address, trust_env=False) as client:
        for n in range(30):
            assert client.post("/gradio_api/upload", files={"files": (f"{n}.png", b"%d" % n)}).status_code == 200
    assert len([path for path in folder.rglob("*") if path.is_file()]) <= 7
    assert len(list(folder.iterdir())) <= n_folders + 7


def test_folders_that_stay_empty_go(tmp_path):
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "loose").touch()
    Room(tmp_path).remove_loose()
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
