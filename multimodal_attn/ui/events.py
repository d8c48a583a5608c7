"""What the page may ask of the server: events of its own shape, whose files are uploads or bundled examples."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

NO_FILE = "This is not a file of this page; drop it onto the page, or choose an example."
NO_EVENT = "This is not an event of this page; load the page again."
MAX_PATH = 4096  # characters; beyond, no system has such a file, and to take one apart costs time
MAX_NAME = 255  # characters of a session's hash, and of a file's name
MAX_TEXT = 10_000  # characters that are read at all, to be told that they are too many

FILE, EXAMPLE, WRITTEN, SWITCH = "file", "example", "written", "switch"  # what an event may bring
ASKED = "asked"  # beside its inputs, a question about a result
WANTS = ("needed", "test", "again", "best")
MAX_LIST = 2_000  # tokens, or places, of a question
Inputs = Mapping[int, Sequence[str]]  # by the number of an event


class Forged(Exception):
    """An event that the page does not send. Its text is the same whether what it names exists or not."""


class Uploads:
    """Which files a reader may open: those below `folder`, and `examples`."""

    def __init__(self, folder: Path, examples: Iterable[Path]) -> None:
        self.folder, self.examples = folder.resolve(), {path.resolve() for path in examples}

    def check(self, path: object) -> str:
        """The path as it was given. Raises Forged for every other one, before anything of it is opened."""
        # lexically first: nothing outside is even looked at
        if not isinstance(path, str) or len(path) > MAX_PATH or "\0" in path or ".." in Path(path).parts:
            raise Forged(NO_FILE)
        known = Path(path) in self.examples
        if not known and not Path(path).is_relative_to(self.folder):
            raise Forged(NO_FILE)
        try:
            resolved = Path(path).resolve()
            inside = resolved in self.examples if known else self.folder in resolved.parents and resolved.is_file()
        except (OSError, RuntimeError, ValueError):
            inside = False
        if not inside:
            raise Forged(NO_FILE)
        return path


def rebuild_event(body: bytes, inputs: Inputs, uploads: Uploads, to_path: Callable[[str], str]) -> bytes:
    """The event anew, of the fields that the page sends and nothing else; a url is never handed on.

    Gradio's own check follows, for every file is marked as one. Raises Forged.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Forged(NO_EVENT) from error
    if not isinstance(event, dict) or not isinstance(event.get("data"), list):
        raise Forged(NO_EVENT)
    index, trigger, session = event.get("fn_index"), event.get("trigger_id"), event.get("session_hash")
    if not (is_count(index) and index in inputs) or not (trigger is None or is_count(trigger)):
        raise Forged(NO_EVENT)
    values, kinds = event["data"], [kind for kind in inputs[index] if kind != ASKED]
    if len(values) != len(kinds):
        raise Forged(NO_EVENT)
    if not isinstance(session, str) or not 0 < len(session) <= MAX_NAME:
        raise Forged(NO_EVENT)
    data = [rebuild_input(value, kind, uploads, to_path) for value, kind in zip(values, kinds, strict=True)]
    asked = event.get("event_data")
    question = rebuild_question(asked, uploads, to_path) if ASKED in inputs[index] else None
    kept = {"data": data, "fn_index": index, "trigger_id": trigger, "session_hash": session, "event_data": question}
    return json.dumps(kept).encode()


def rebuild_input(value: object, kind: str, uploads: Uploads, to_path: Callable[[str], str]) -> object:
    """Nothing, the number of an example, what was written, a switch, or a file."""
    known = {EXAMPLE: is_count, WRITTEN: is_text, SWITCH: is_bool}
    if value is None or kind in known and known[kind](value):
        return value
    if kind != FILE:
        raise Forged(NO_EVENT)
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        raise Forged(NO_FILE)
    path, url = to_path(value["path"]), value.get("url")
    if not (url is None or isinstance(url, str) and to_path(unquote(url)).endswith(f"/gradio_api/file={path}")):
        raise Forged(NO_FILE)
    name = value.get("orig_name")
    if not (name is None or isinstance(name, str) and len(name) <= MAX_NAME):
        raise Forged(NO_FILE)
    return {"path": uploads.check(path), "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def rebuild_question(value: object, uploads: Uploads, to_path: Callable[[str], str]) -> dict:
    """A question of `questions.py`: of: the payload that it is about. source: what that is of, a path or a text. begin:
    tokens. written: what follows them. hidden: places."""
    if not isinstance(value, dict) or value.get("want") not in WANTS:
        raise Forged(NO_EVENT)
    texts = {key: value.get(key) for key in ("of", "kind", "source", "written")}
    if not all(map(is_text, texts.values())) or len(texts["of"]) > MAX_NAME:
        raise Forged(NO_EVENT)
    if texts["kind"] != WRITTEN:
        texts["source"] = uploads.check(to_path(texts["source"]))
    lists = {key: value.get(key) for key in ("begin", "hidden")}
    if not all(isinstance(each, list) and len(each) <= MAX_LIST for each in lists.values()):
        raise Forged(NO_EVENT)
    tokens_fit = all(is_id(token) or isinstance(token, str) and len(token) <= MAX_NAME for token in lists["begin"])
    if not tokens_fit or not all(map(is_id, lists["hidden"])):
        raise Forged(NO_EVENT)
    return {"want": value["want"], **texts, **lists}


def is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < 1_000_000


def is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def is_bool(value: object) -> bool:
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 10_000
