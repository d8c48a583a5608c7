"""`multimodal-attn attention list`: every score and every alignment, its source, and what can be set."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from multimodal_attn.attention import ALIGNMENTS, SCORES, AttentionConfig, Entry, NoAttention, Sentinel, describe
from multimodal_attn.attention.registry import canonical, find

TABLES = {
    "score": SCORES,
    "align": ALIGNMENTS | {"none": NoAttention},
    "around": {"sentinel": Sentinel},
}
HEADS = {
    "score": "Scores: how well does each place match? {score: NAME}",
    "align": "Alignments: how are the matches turned into weights? {align: NAME}",
    "around": "Around them: one more place, outside the input, {sentinel: true}",
}
DEFAULTS = {name: default for name, default in asdict(AttentionConfig()).items() if name not in ("dim", "options")}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "multimodal-attn attention",
        description="What attention can be made of. Any score goes with any alignment: "
        "--model.attention '{score: additive, align: local_p, window: 5, heads: 4}'",
    )
    parser.add_argument("what", choices=["list"], help="list every mechanism, its source and its options")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, by any of their names")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def attention_main(argv: Sequence[str]) -> int:
    args = build_parser().parse_intermixed_args(argv)  # names on both sides of --json
    entries = {stage: describe(table) for stage, table in chosen(args.names).items()}
    if args.json:
        rows = {stage: [entry._asdict() for entry in listed] for stage, listed in entries.items()}
        print(json.dumps({"defaults": DEFAULTS} | rows, indent=2, ensure_ascii=False))
        return 0
    width = min(max(shutil.get_terminal_size((120, 24)).columns, 60), 120)
    print("\n".join(line for stage, listed in entries.items() for line in table_lines(HEADS[stage], listed, width)))
    print("\n".join(line for part in closing_words() for line in wrap(part, width)))
    return 0


def chosen(names: Sequence[str]) -> dict[str, dict[str, type]]:
    """The tables with these names only, or whole without any. Raises ConfigError for a name of nothing."""
    everything = {name: kind for table in TABLES.values() for name, kind in table.items()}
    for name in names:
        find(everything, name, "mechanism")
    known = set(map(canonical, names)) or set(everything)
    tables = {stage: {name: table[name] for name in table if name in known} for stage, table in TABLES.items()}
    return {stage: table for stage, table in tables.items() if table}


def table_lines(head: str, entries: Sequence[Entry], width: int) -> Iterator[str]:
    """A heading, then for each entry its name beside what it is, its options and where it comes from."""
    margin = max(len(entry.name) for entry in entries) + 4
    yield from wrap(head, width)
    yield ""
    for entry in entries:
        options = f"options: {', '.join(map(option_text, entry.options.items()))}" if entry.options else ""
        aliases = f"also called {', '.join(entry.aliases)}" if entry.aliases else ""
        parts = [part for part in (entry.summary, options, aliases, f"[{entry.source}]") if part]
        lines = [line for part in parts for line in wrap(part, width - margin)]
        for name, line in zip([f"  {entry.name}", *[""] * len(lines)], lines, strict=False):
            yield name.ljust(margin) + line
    yield ""


def closing_words() -> Iterator[str]:
    """What goes with every mechanism, and what is meant when nothing is said."""
    defaults = ", ".join(map(option_text, DEFAULTS.items()))
    yield f"Without being told otherwise: {defaults}, dim = the decoder's width. Every mechanism takes heads and dim."
    fit = ", ".join(name for name, kind in ALIGNMENTS.items() if kind.takes_sentinel)
    yield f"A sentinel goes with {fit}."


def option_text(option: tuple[str, Any]) -> str:
    name, default = option
    return f"{name} = {default if isinstance(default, str) else json.dumps(default)}"


def wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)
