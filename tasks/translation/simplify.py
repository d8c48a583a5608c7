"""`python -m tasks.translation.simplify TABLE --column zh --out TABLE`: Chinese in simplified characters.

Needs OpenCC: pip install 'multimodal-attn[chinese]'. Training and translating do not.
"""

import argparse
import sys
from pathlib import Path

from multimodal_attn.errors import DataError, UserError
from multimodal_attn.files import write_whole
from tasks.training.tables import read_text


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tasks.translation.simplify", description=__doc__)
    parser.add_argument("table", type=Path, help="a table with tabs between its columns, and a header")
    parser.add_argument("--column", default="zh", help="the one to change (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    args = parser.parse_args(argv)
    if args.out.exists():
        raise UserError(f"--out {args.out} is there already; name a new file")
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise UserError("OpenCC is not installed; run pip install 'multimodal-attn[chinese]'") from error
    simplified = simplify(args.table, args.column, OpenCC("t2s"))
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.out, simplified)
    except OSError as error:
        raise UserError(f"--out {args.out} cannot be written: {error.strerror}") from error
    return 0


def simplify(table: Path, column: str, converter: "OpenCC") -> str:  # noqa: F821
    """The table with one of its columns converted, the others as they are."""
    header, *rows = (line.split("\t") for line in read_text(table).rstrip("\n").split("\n"))
    if column not in header:
        raise DataError(f"{table}:1: no column {column!r}; the columns are {', '.join(header)}")
    place = header.index(column)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{table}:{number}: {len(row)} columns, but the header has {len(header)}")
        row[place] = converter.convert(row[place])
    return "".join("\t".join(row) + "\n" for row in [header, *rows])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
