"""The guide to adding a score, followed to the letter in a copy of the project, which must then pass its tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
TOUCHED = ("multimodal_attn", "tasks", "tests", "docs", "benchmarks")
# the tests that walk the registry, and those that try each entry in many ways, of which the new one's are run
WALKING = ("test_attention_alone", "test_attention_benchmark", "test_attention_command", "test_docs", "test_structure")
TRYING = ("test_attention_pairs", "test_attention_planted", "test_attention_scores")


def section(title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)^## ", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL | re.M).group(1)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section("Adding a score"), re.DOTALL)


def patch(path: Path, hunks: str) -> None:
    """Apply a diff without line numbers: what a hunk keeps and removes is in the file once, and becomes the rest."""
    text = path.read_text(encoding="utf-8")
    for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(old) == 1, f"{path.name} has no such place:\n{old}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python in the copy, which imports the copy alone."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the score of the guide, as its readers would have it."""
    copy = tmp_path_factory.mktemp("project")
    for name in TOUCHED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for path in (CONTRIBUTING, ROOT / "pyproject.toml", ROOT / "app.py", ROOT / "README.md"):
        shutil.copy(path, copy)
    ((new_class,), (chapter,), (registry, equation)) = map(blocks, ("python", "markdown", "diff"))
    (copy / "multimodal_attn/attention/distances.py").write_text(new_class, encoding="utf-8")
    patch(copy / "multimodal_attn/attention/registry.py", registry)
    patch(copy / "docs/attention.md", "+" + chapter.replace("\n", "\n+") + "\n ## Stage 2: alignments\n")
    assert run(copy, "docs/include_code.py", "--write").returncode == 0
    patch(copy / "tests/attention/test_attention_scores.py", equation)
    return copy


@pytest.mark.parametrize("files, chosen", [(WALKING, ""), (TRYING, "city_block or cover")])
def test_guide_followed_to_the_letter_gives_a_project_that_passes_its_tests(
    followed: Path, files: tuple[str, ...], chosen: str
) -> None:
    paths = [str(path.relative_to(ROOT)) for name in files for path in ROOT.glob(f"tests/**/{name}.py")]
    assert len(paths) == len(files)
    done = run(followed, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-k", chosen, *paths)
    assert done.returncode == 0, done.stdout[-4000:]
    for path in paths:
        assert f"PASSED {path}" in done.stdout, path


def test_guide_followed_to_the_letter_gives_code_in_the_style_of_the_project(followed: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        done = run(
            followed, "-m", "ruff", *command, "multimodal_attn/attention", "tests/attention/test_attention_scores.py"
        )
        assert done.returncode == 0, done.stdout


def test_guide_names_the_new_score_to_users_and_the_benchmark_does_without_a_plain_version(followed: Path) -> None:
    listed = run(followed, "-m", "tasks.cli", "attention", "list").stdout
    assert "city_block" in listed and "Rahimi and Recht 2007" in listed
    program = "from benchmarks.attention import *; print(measure(('city_block', 'softmax'), *problem(2, 5, 3, 7), 1))"
    assert "no plain version" in run(followed, "-c", program).stdout


def test_guide_whose_place_is_gone_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "registry.py"
    file.write_text("a\nb\n")
    patch(file, "+new\n b\n@@\n-a\n+c\n")
    assert file.read_text() == "c\nnew\nb\n"
    with pytest.raises(AssertionError, match="registry.py has no such place"):
        patch(file, " a\n+more\n")
