"""`multimodal-attn attention list`: every score and every alignment, its source, and what can be set."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from multimodal_attn.attention import ALIGNMENTS, SCORES, Entry, describe

TABLES = {"score": SCORES, "align": ALIGNMENTS}
HEADS = {
    "score": "Scores: how well does each place match? {score: NAME}",
    "align": "Alignments: how are the matches turned into weights? {align: NAME}, or none, which never looks",
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "multimodal-attn attention",
        description="What attention can be made of. Any score goes with any alignment: "
        "--model.decoder.attention '{score: additive, align: local_p, window: 5, heads: 4}'",
    )
    parser.add_argument("what", choices=["list"], help="list every mechanism, its source and its options")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def attention_main(argv: Sequence[str]) -> int:
    args = build_parser().parse_args(argv)
    entries = {stage: describe(table) for stage, table in TABLES.items()}
    if args.json:
        rows = {stage: [entry._asdict() for entry in listed] for stage, listed in entries.items()}
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    width = min(max(shutil.get_terminal_size((120, 24)).columns, 60), 120)
    print("\n".join(line for stage in TABLES for line in table_lines(HEADS[stage], entries[stage], width)))
    print("Every mechanism also takes heads (1) and dim (the decoder's width).")
    fit = ", ".join(name for name, kind in ALIGNMENTS.items() if kind.takes_sentinel)
    print("\n".join(textwrap.wrap(f"{fit} also take sentinel (false): one more place, outside the input.", width)))
    return 0


def table_lines(head: str, entries: Sequence[Entry], width: int) -> Iterator[str]:
    """A heading, then for each entry its name beside what it is, its options and where it comes from."""
    margin = max(len(entry.name) for entry in entries) + 4
    yield from textwrap.wrap(head, width)
    yield ""
    for entry in entries:
        options = f"options: {', '.join(map(option_text, entry.options.items()))}" if entry.options else ""
        parts = [part for part in (entry.summary, options, f"[{entry.source}]") if part]
        lines = [line for part in parts for line in textwrap.wrap(part, width - margin)]
        for name, line in zip([f"  {entry.name}", *[""] * len(lines)], lines, strict=False):
            yield name.ljust(margin) + line
    yield ""


def option_text(option: tuple[str, Any]) -> str:
    name, default = option
    return f"{name} = {json.dumps(default)}"
