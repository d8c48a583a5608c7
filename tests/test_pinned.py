"""What people rely on is as it was written down in tests/pinned, through all changes of the code; see tests/pin.py."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import pin, pinned_run
from tests.conftest import ROOT, needs_shared


def pinned(name: str) -> dict[str, Any]:
    return json.loads(pin.path_of(name).read_text(encoding="utf-8"))


def test_parameters_keep_their_names_and_shapes() -> None:
    assert pin.parameters() == pinned("parameters")


def test_places_lie_where_they_lay() -> None:
    assert pin.geometries() == pinned("geometries")


def test_commands_explain_themselves_as_before() -> None:
    """In a process of its own, since Lightning names all callbacks and loggers that were ever imported."""
    known = pinned("texts")
    if known.pop("python") != list(sys.version_info[:2]):
        pytest.skip("another version of Python lays out --help otherwise")
    command = [sys.executable, "-c", "import json; from tests import pin; print(json.dumps(pin.texts()))"]
    environment = os.environ | {"COLUMNS": pin.WIDE, "PYTHONPATH": str(ROOT)}
    found = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
    changed = [command for command, text in known.items() if found.get(command) != text]
    assert changed == [], "if this is wanted: python -m tests.pin texts"
    assert found.keys() - {"python"} == known.keys(), "if this is wanted: python -m tests.pin texts"


def test_a_run_of_an_older_commit_goes_on_where_it_would_have_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, known = pinned_run.resume(), json.loads(pinned_run.AHEAD.read_text(encoding="utf-8"))
    assert found.keys() == known.keys()
    for name, sums in known.items():
        assert found[name] == pytest.approx(sums, rel=1e-3, abs=1e-3), name


@pytest.mark.slow
@needs_shared
def test_released_models_say_of_real_files_what_they_said() -> None:
    found, known = pin.rows(), pinned("rows")
    assert found.keys() == known.keys()
    for model, rows in known.items():
        for name, row in rows.items():
            assert found[model][name] == row | {"score": pytest.approx(row["score"], abs=2e-3)}, (model, name)
