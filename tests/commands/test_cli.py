"""The command line's table: every task by the same mechanism, and nothing imported before it is asked for."""

import os
import subprocess
import sys

import pytest

from tasks.cli import COMMANDS, TASKS, look_up, main
from tests.conftest import ROOT


@pytest.mark.parametrize("name", TASKS)
def test_every_name_in_the_table_leads_to_its_class(name: str) -> None:
    for full_name in (TASKS[name].module, TASKS[name].data):
        assert full_name.startswith(f"{look_up(full_name).__module__}.")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_batch_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert f"usage: multimodal-attn {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "subcommand"),
    [(name, each) for name, task in TASKS.items() for each in task.subcommands if each != "export"],
)
def test_lightning_commands_reach_the_classes_of_their_task(
    name: str, subcommand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr("tasks.training.run.run_task", lambda *args: calls.append(args) or 0)
    assert main([name, subcommand, "--trainer.max_epochs", "3"]) == 0
    ((task, module, data, argv),) = calls
    assert (task, argv) == (name, [subcommand, "--trainer.max_epochs", "3"])
    assert (module, data) == (look_up(TASKS[name].module), look_up(TASKS[name].data))


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if "export" in task.subcommands])
def test_export_reaches_the_exporter_without_the_classes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("tasks.training.export.export_main", lambda *args: calls.append(args) or 0)
    assert main([name, "export", "--out", "x"]) == 0
    assert calls == [(name, ["--out", "x"])]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["speech"], "speech: say what to do: fit, validate, test, predict, export"),
        (["speech", "train"], "speech: say what to do"),
        (["language", "predict"], "language: say what to do: fit, validate"),
        (["speach", "fit"], "no command 'speach'"),
    ],
)
def test_a_command_that_does_not_exist_is_answered_with_those_that_do(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"multimodal-attn: {words}")


def test_the_usage_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    usage = capsys.readouterr().out
    for name in (*(f"{task} fit" for task in TASKS), *(f"{command} PATH..." for command in COMMANDS)):
        assert f"\n  {name} " in usage


def test_the_usage_is_shown_without_waiting_for_torch() -> None:
    code = "import sys, tasks.cli; tasks.cli.main([]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("own", "found"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_that_wait_spin_little_unless_the_user_says_otherwise(own: dict[str, str], found: str | None) -> None:
    code = "import os, sys; from tasks.cli import main; main(['help']); assert 'torch' not in sys.modules;"
    code += "print(os.environ.get('GOMP_SPINCOUNT'), file=sys.stderr)"
    environment = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | own, capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == [str(found)]
