"""Keeps the code in docs/attention.md what it is in the source.

    python docs/include_code.py            name the blocks that differ, if any, and exit with 1
    python docs/include_code.py --write    refresh them

A block follows its marker, which names a file and what to take from it, methods with their class:

    <!-- code: multimodal_attn/memory.py Memory.clean map_state -->
"""

import argparse
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHAPTER = ROOT / "docs" / "attention.md"
BLOCK = re.compile(r"<!-- code: (?P<path>\S+) (?P<names>[^>]+) -->\n(?P<code>```python\n.*?\n```\n)?", re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep the code in docs/attention.md what it is in the source.")
    parser.add_argument("--write", action="store_true", help="refresh the blocks that differ")
    options = parser.parse_args()
    text = CHAPTER.read_text(encoding="utf-8")
    if options.write:
        CHAPTER.write_text(refresh(text), encoding="utf-8")
        return 0
    stale = stale_blocks(text)
    print("\n".join(stale) or "every block is what it is in the source")
    return 1 if stale else 0


def refresh(text: str) -> str:
    """The text with every block as its source has it now. Raises LookupError for a name that is not there."""
    return BLOCK.sub(fresh, text)


def stale_blocks(text: str) -> list[str]:
    """The markers whose blocks differ from the source."""
    return [match[0].split("\n")[0] for match in BLOCK.finditer(text) if match[0] != fresh(match)]


def fresh(match: re.Match) -> str:
    """Marker and block."""
    path, names = match["path"], match["names"].split()
    code = excerpt((ROOT / path).read_text(encoding="utf-8"), names, path)
    return f"<!-- code: {path} {' '.join(names)} -->\n```python\n# {path}\n{code}\n```\n"


def excerpt(source: str, names: list[str], path: str) -> str:
    """The definitions line by line, methods below the first line of their class."""
    lines, tree = source.splitlines(), ast.parse(source)
    text, inside = "", ""
    for name in names:
        owner, node = tree, None
        for part in name.split("."):
            owner, node = node or owner, find(node or owner, part)
            if node is None:
                raise LookupError(f"{path} has no {name}")
        outer = name.rpartition(".")[0]
        if text:
            text += "\n\n" if outer and outer == inside else "\n\n\n"
        if outer and outer != inside:
            text += lines[owner.lineno - 1] + "\n"
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        text += "\n".join(lines[first - 1 : node.end_lineno])
        inside = outer
    return text


def find(scope: ast.AST, name: str) -> ast.AST | None:
    """The class or function of that name in a module or class."""
    kinds = ast.ClassDef | ast.FunctionDef
    return next((node for node in scope.body if isinstance(node, kinds) and node.name == name), None)


if __name__ == "__main__":
    sys.exit(main())
