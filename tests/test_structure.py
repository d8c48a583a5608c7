"""Imports point only to the left, so that the core can be used, and understood, without what is built on it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [*ROOT.glob("multimodal_attn/**/*.py"), *ROOT.glob("tasks/**/*.py"), ROOT / "app.py"]

KINDS = {path.parent.name for path in ROOT.glob("multimodal_attn/senses/*/__init__.py")}

# file -> media -> encoder -> memory -> decoder x attention -> search -> trace -> { ui, batch, render, metrics }:
# each part knows only parts of the lines above it
LAYERS = (
    {"allocator", "errors", "memory", "threads"},
    {"configs", "files", "layers", "losses", "tokens"},
    {"senses.sense", "senses.*.geometry", "senses.messages", "untrusted"},
    {"parameters", "senses", "senses.*.media"},
    {"senses.reading", "senses.reading_process"},
    {"attention", "senses.*.encoder"},
    {"decoders", "senses.*.sense"},
    {"search"},
    {"trace"},
    {"model"},
    {"checkpoint", "questions"},
    {"predictor"},
    {"figures"},
    {"senses.*.maps", "viewer"},
    {"senses.*.viewer"},
    {"ui"},
    {"senses.*.page"},  # which the window finds by its name
)
# what else a sense keeps in its folder belongs to its media or to its encoder
PARTS = dict.fromkeys(("containers", "ffmpeg", "framing", "pauses", "walk"), "media")
PARTS |= dict.fromkeys(("centres", "logmel", "trunks", "whisper", "whisper_files"), "encoder")

LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def module_of(path: Path) -> tuple[str, ...]:
    """("multimodal_attn", "attention", "scores")"""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports_of(source: str, package: str) -> Iterator[str]:
    """Full names of everything that a module imports, inside functions too: "multimodal_attn.search.beam_search"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{home}.{alias.name}" for alias in node.names)


def part_of(name: Sequence[str]) -> str:
    """The part of the package that a module, or something in it, belongs to; a sense has parts of its own."""
    if name[1] != "senses" or not name[2:]:
        return name[1]
    if name[2] not in KINDS:
        return f"senses.{name[2]}" if f"senses.{name[2]}" in LEVEL else "senses"
    part = name[3] if name[3:] else ""
    return f"senses.*.{PARTS.get(part, part)}" if part else "senses.*"


def all_imports() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """(module, imported name), each as its parts."""
    for path in SOURCES:
        package = ".".join(path.relative_to(ROOT).parent.parts)
        for name in imports_of(path.read_text(encoding="utf-8"), package):
            yield module_of(path), name.split(".")


def violations(forbidden) -> list[str]:
    return [f"{'.'.join(module)} imports {'.'.join(name)}" for module, name in all_imports() if forbidden(module, name)]


def test_imports_are_seen_wherever_they_hide() -> None:
    source = "import a.b\nfrom c import d\ndef f():\n    from . import e\n    from ..g import h as i"
    assert sorted(imports_of(source, "p.q")) == ["a.b", "c.d", "p.g.h", "p.q.e"]
    assert len(SOURCES) > 20


def test_every_part_of_the_package_has_its_place_in_the_order() -> None:
    modules = [module_of(path) for path in SOURCES]
    parts = {part_of(module) for module in modules if module[0] == "multimodal_attn" and module[1:]}
    assert parts - {"senses.*"} == set(LEVEL)


def test_imports_within_the_package_point_left() -> None:
    def points_right(module: tuple[str, ...], name: list[str]) -> bool:
        inside = module[0] == name[0] == "multimodal_attn" and len(module) > 1 and part_of(module) != part_of(name)
        return inside and LEVEL.get(part_of(name), len(LAYERS)) >= LEVEL[part_of(module)]

    assert violations(points_right) == []


def test_senses_do_not_know_each_other() -> None:
    assert {"picture", "sound"} <= KINDS

    def knows_another(module: tuple[str, ...], name: list[str]) -> bool:
        kinds = [
            parts[2] for parts in (module, name) if tuple(parts[:2]) == ("multimodal_attn", "senses") and parts[2:]
        ]
        return len(kinds) == 2 and set(kinds) <= KINDS and kinds[0] != kinds[1]

    assert violations(knows_another) == []


def test_the_package_knows_nothing_of_training() -> None:
    training = {"lightning", "pytorch_lightning", "jsonargparse", "torchmetrics", "tasks", "tests", "benchmarks"}
    assert violations(lambda module, name: module[0] == "multimodal_attn" and name[0] in training) == []


def test_only_the_window_knows_gradio() -> None:
    def knows(module: tuple[str, ...], name: list[str]) -> bool:
        window = module[:2] == ("multimodal_attn", "ui") or module == ("app",) or module[3:] == ("page",)
        return not window and (name[0] in {"gradio", "gradio_client"} or name[:2] == ["multimodal_attn", "ui"])

    assert violations(knows) == []


# commands of use know nothing of training; a study of mechanisms knows no single task
TASK_LAYERS = (
    {"cli", "commands"},
    {"training"},
    {"a task"},
    {"writing a model"},
    {"compare"},
)
TASK_LEVEL = {part: level for level, parts in enumerate(TASK_LAYERS) for part in parts}
TASKS = {path.parent.name for path in ROOT.glob("tasks/*/datamodule.py")}


def task_part_of(name: Sequence[str]) -> str:
    """The part of tasks that a module, or something in it, belongs to."""
    if list(name[1:3]) in (["training", "export"], ["speech", "whisper"]):
        return "writing a model"
    return "a task" if name[1] in TASKS else name[1]


def test_imports_within_tasks_point_left() -> None:
    assert {"captioning", "speech"} <= TASKS

    def points_right(module: tuple[str, ...], name: list[str]) -> bool:
        if not module[0] == name[0] == "tasks" or not module[1:] or not name[1:]:
            return False
        here, there = task_part_of(module), task_part_of(name)
        return here != there and TASK_LEVEL[there] >= TASK_LEVEL[here]

    assert violations(points_right) == []


def test_tasks_do_not_know_each_other() -> None:
    def knows_another(module: tuple[str, ...], name: list[str]) -> bool:
        inside = module[0] == name[0] == "tasks" and task_part_of((*module, "")) in ("a task", "compare")
        return inside and name[1] in TASKS - {module[1]}

    assert violations(knows_another) == []


def test_commands_of_use_know_nothing_of_training() -> None:
    training = {"lightning", "pytorch_lightning", "jsonargparse", "torchmetrics", "torchaudio"}

    def trains(module: tuple[str, ...], name: list[str]) -> bool:
        return (
            module[0] == "tasks" and module[1:] and task_part_of(module) in ("cli", "commands") and name[0] in training
        )

    assert violations(trains) == []


ITEMS = {"Picture", "Sound", "Text", "SoundBatch", "TextBatch"}
ITEMS |= {"PictureGeometry", "SoundGeometry", "TextGeometry", "ImageEncoder", "AudioEncoder", "TextEncoder"}


def names_a_sense(node: ast.AST) -> bool:
    """As a string, or as a constant: "sound", SOUND, pages.SOUND."""
    if isinstance(node, ast.Constant):
        return node.value in KINDS
    name = getattr(node, "attr", getattr(node, "id", ""))
    return name.isupper() and name.lower() in KINDS


def asks_which_sense(node: ast.AST) -> bool:
    """A comparison with the name of a sense, a table by their names, an isinstance of what one of them reads or gives,
    a union of two."""
    if isinstance(node, ast.Compare):
        right = node.comparators[0]
        is_among = isinstance(node.ops[0], ast.In | ast.NotIn)
        return any(map(names_a_sense, getattr(right, "elts", []) if is_among else [node.left, right]))
    if isinstance(node, ast.MatchValue):
        return names_a_sense(node.value)
    if isinstance(node, ast.Dict):
        return sum(names_a_sense(key) for key in node.keys if key) > 1
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        return any(isinstance(each, ast.Name) and each.id in ITEMS for each in ast.walk(node.args[1]))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return len({each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & ITEMS) > 1
    return False


def test_a_question_which_sense_it_is_is_seen() -> None:
    asked = ['kind == "sound"', 'x.kind in ("picture", "text")', "isinstance(x, Sound)", "isinstance(x, str | Sound)"]
    asked += ["x is SOUND", 'match x:\n case "text": ...', '{"picture": f, "sound": g}[kind]', "x is not pages.TEXT"]
    for code in [*asked, "def f(x: Picture | Sound): ..."]:
        assert any(map(asks_which_sense, ast.walk(ast.parse(code)))), code
    for code in (
        "kind == other",
        "isinstance(x, str)",
        "KINDS | {'picture': 1}",
        "x: Path | None",
        "'text' in row",
        "{'text': t}",
    ):
        assert not any(map(asks_which_sense, ast.walk(ast.parse(code)))), code


def test_nobody_asks_which_sense_it_is() -> None:
    """But the senses themselves, and the table that names them."""
    asked = []
    for path in SOURCES:
        module = module_of(path)
        if module != ("multimodal_attn", "senses") and not set(module[2:3]) & KINDS:
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            asked += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in nodes if asks_which_sense(node)]
    assert asked == []


def test_no_script_style_or_markup_asks_which_sense_it_is() -> None:
    """By a name in quotes, or in that of a class or id; comments and sentences may speak of sounds."""
    asks = re.compile(rf"""["'`#-]({"|".join(KINDS)})\b(?!/)""")
    assert all(map(asks.search, ["kind === 'text'", "#sound-drop", '[data-kind="picture"]', ".for-text", "`text-x`"]))
    shared = [path for name in ("viewer", "ui") for path in ROOT.glob(f"multimodal_attn/{name}/static/*")]
    assert len(shared) > 10
    found = [(path.name, found[0]) for path in shared for found in asks.finditer(path.read_text(encoding="utf-8"))]
    assert found == []


def definitions(path: Path) -> Iterator[str]:
    """Classes, types and constants of a module."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = [node.name] if isinstance(node, ast.ClassDef) else [getattr(each, "id", "_") for each in targets]
        yield from (name for name in names if name[0].isupper())


def test_what_others_import_has_one_definition() -> None:
    """Types, whether imported or not, and constants that are; but for what every sense has under the same name."""
    own = KINDS | {"containers", "encoders", "media"}
    homes: dict[str, set[tuple[str, ...]]] = {}
    for path in ROOT.glob("multimodal_attn/**/*.py"):
        for name in definitions(path) if not set(module_of(path)[1:3]) & own else ():
            homes.setdefault(name, set()).add(module_of(path))
    imported = {tuple(name) for _, name in all_imports()}
    known = {
        name for name, found in homes.items() if not name.isupper() or any((*home, name) in imported for home in found)
    }
    assert {name: found for name, found in homes.items() if name in known and len(found) > 1} == {}


@pytest.mark.parametrize(
    "module, unneeded",
    [
        ("multimodal_attn.attention", {"torchvision", "tokenizers", "PIL", "gradio", "pytorch_lightning"}),
        ("multimodal_attn.predictor", {"gradio", "pytorch_lightning", "torchmetrics", "jsonargparse", "tasks"}),
    ],
)
def test_module_is_imported_without_what_it_does_not_need(module: str, unneeded: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert module in loaded.split()
    assert unneeded & set(loaded.split()) == set()
