"""Files are read in a process that can be ended: it gives what reading in place gives, and nothing that a file does to
it reaches this one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from multimodal_attn.errors import ConfigError, MediaError
from multimodal_attn.senses import reading
from multimodal_attn.senses.picture import media
from multimodal_attn.senses.reading import READERS, read_picture, read_pieces, read_sound
from multimodal_attn.senses.sound import media as sound
from tests import planted_decoders
from tests.conftest import CLEAN, ROOT
from tests.senses.test_media import encoded, noise
from tests.senses.test_sound import encoded as encoded_sound
from tests.senses.test_sound import speech_like, tone

pytestmark = pytest.mark.skipif(
    not (reading.CAN_START and Path("/proc/self/stat").exists()), reason="processes are looked up in /proc"
)


@pytest.fixture(autouse=True)
def none_at_rest() -> Iterator[None]:
    READERS.end()
    yield
    READERS.end()


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MODULE", "tests.planted_decoders")


def png(width: int) -> bytes:
    return encoded(noise(width, 13), "PNG")


def line_of(source: media.Source) -> str:
    with pytest.raises(MediaError) as caught:
        read_picture(source)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    return str(caught.value)


# The same as in place


@pytest.mark.parametrize("hint", [0, 11])
def test_pictures_are_those_of_reading_in_place(hint: int, tmp_path: Path) -> None:
    data = encoded(noise(97, 61), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    for source in (data, tmp_path / "a.jpg", str(tmp_path / "a.jpg"), noise(), np.asarray(noise())):
        here = media.read_picture(source, min_side_hint=hint)
        there = read_picture(source, min_side_hint=hint)
        assert np.array_equal(np.asarray(there.image), np.asarray(here.image))
        assert (there.width, there.height, there.name) == (here.width, here.height, here.name)


@pytest.mark.parametrize("seconds", [0, 0.5, 23])
def test_sounds_are_those_of_reading_in_place(seconds: float, tmp_path: Path) -> None:
    data = encoded_sound(speech_like(seconds) if seconds else tone(0), rate=8_000)
    (tmp_path / "a.wav").write_bytes(data)
    for source in (data, tmp_path / "a.wav", (tone(0.2), 16_000)):
        here, there = sound.read_sound(source), read_sound(source)
        assert np.array_equal(there.samples, here.samples) and there.samples.dtype == np.float32
        assert there.name == here.name
        pieces, others = list(read_pieces(source, 7)), list(sound.read_pieces(source, 7))
        assert [piece.start for piece in pieces] == [piece.start for piece in others]
        assert np.array_equal(np.concatenate([p.samples for p in pieces]), np.concatenate([p.samples for p in others]))
        there.samples[:] = 0  # may be written to, as those


def test_refusals_are_those_of_reading_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text\udcff.jpg").write_bytes(b"hello")
    Path("folder").mkdir()
    for source in ("none.jpg", "folder", b"", b"hello", "text\udcff.jpg", Path("text\udcff.jpg"), np.zeros(3)):
        with pytest.raises(MediaError) as here:
            media.read_picture(source)
        assert line_of(source) == str(here.value)
    assert len(READERS.at_rest) == 1  # a refusal ends no process
    with pytest.raises(MediaError, match=r"none.wav: no such file"):
        read_sound("none.wav")
    with pytest.raises(ConfigError, match="choose from 1 to 600"):
        list(read_pieces(tone(), np.nan))


def test_no_model_is_loaded_where_files_are_read() -> None:
    code = "import sys, multimodal_attn.senses.reading_process; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "torchvision", "gradio"} & set(loaded.split())


def test_nothing_is_imported_from_the_folder_that_people_work_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert read_picture(png(17)).width == 17


# What a file can do to it


@pytest.mark.parametrize(
    "width, words",
    [
        (planted_decoders.HANGS, "takes too long to read; save it again as a plain JPEG or PNG"),
        (planted_decoders.CRASHES, "the decoder stopped"),
        (planted_decoders.GROWS, "MemoryError"),
        (planted_decoders.FAILS, "the decoder stopped"),
    ],
)
@pytest.mark.usefixtures("planted")
def test_decoder_that_misbehaves_is_ended_and_the_next_file_is_read(width: int, words: str) -> None:
    assert words in line_of(png(width))
    assert read_picture(png(17)).width == 17


@pytest.mark.usefixtures("planted")
def test_many_files_may_take_more_time_together_than_one_may() -> None:
    process = READERS.take()
    READERS.give_back(process)
    large, n = encoded(noise(1_999, 1_001), "PNG"), 0
    while cpu_seconds(process.popen.pid) < 2.5:  # the limit of one is 1
        read_picture(large)
        n += 1
    assert n > 5 and READERS.at_rest == [process]


def test_process_that_was_killed_at_rest_is_replaced() -> None:
    read_picture(png(17))
    READERS.at_rest[0].popen.kill()
    READERS.at_rest[0].popen.wait()
    assert read_picture(png(17)).width == 17


@pytest.mark.usefixtures("planted")
def test_eight_threads_get_their_own_pictures() -> None:
    widths = [planted_decoders.CRASHES, *range(20, 43)] * 2

    def width_of(width: int) -> int | None:
        try:
            return read_picture(png(width)).image.width
        except MediaError:
            return None

    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(width_of, widths))
    assert read == [None if width == planted_decoders.CRASHES else width for width in widths]
    assert 1 <= len(READERS.at_rest) <= reading.MAX_AT_REST


def test_sounds_that_are_left_in_the_middle_leave_no_process() -> None:
    data, others = encoded_sound(speech_like(200)), children_of(os.getpid())  # others: such as a browser's driver
    several = [read_pieces(data, 7) for _ in range(3)]
    first = [next(pieces) for pieces in several]
    assert all(np.array_equal(piece.samples, first[0].samples) for piece in first)
    assert len(children_of(os.getpid())) == 3 + len(others)
    for pieces in several:
        pieces.close()
    assert children_of(os.getpid()) == others


def fork_after_reading() -> None:
    """The child of a process that has a reader asks for a reader of its own, and its parent keeps the first."""
    read_picture(png(17))
    if not (pid := os.fork()):
        os._exit(0 if READERS.at_rest == [] and read_picture(png(19)).width == 19 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read_picture(png(23)).width == 23


def test_process_that_forked_does_not_share_its_parents_readers() -> None:
    process = CLEAN.Process(target=fork_after_reading)
    process.start()
    process.join(60)
    assert process.exitcode == 0


# Its parent's end


@pytest.mark.parametrize("width", [17, planted_decoders.HANGS])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_parent_leaves_no_process(width: int, kill: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(width))
    code = (
        "import time; from multimodal_attn.senses import reading; reading.MODULE = 'tests.planted_decoders';"
        f"print('ready', flush=True); reading.read_picture({str(tmp_path / 'a.png')!r}); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        parent.stdout.readline()
        [child] = until(lambda: children_of(parent.pid))
        parent.send_signal(kill)
    until(lambda: not is_running(child))


def until(condition, seconds: float = 60):
    """What a condition gives, once it is true; the machine may be busy."""
    for _ in range(int(seconds / 0.02)):
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("never came true")


def stat_of(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on, see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children_of(pid: int) -> list[int]:
    def is_child(folder: Path) -> bool:
        try:
            state, parent = stat_of(folder.name)[:2]
        except OSError:  # gone
            return False
        return int(parent) == pid and state != "Z"

    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and is_child(folder)]


def is_running(pid: int) -> bool:
    try:
        return stat_of(pid)[0] != "Z"
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    return sum(map(int, stat_of(pid)[11:13])) / os.sysconf("SC_CLK_TCK")
