"""Transcripts as they are pronounced: a manifest whose texts are phones, one IPA letter each, made by espeak-ng.

    python -m tasks.speech.pronounce --manifest manifest.tsv --out phones.tsv

An encoder that first learns what was pronounced (`configs/phones.yaml`) begins to align in minutes, where English
spelling takes it hours; `--model.encoder_from` then teaches that encoder to spell (docs/results.md). Needs espeak-ng.
"""

import argparse
import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

from multimodal_attn.errors import ConfigError, DataError, UserError
from multimodal_attn.files import write_whole

RARE = 50  # a phone heard less often is left out: no network learns it
MARKS = "ˈˌːʲ"  # stress, length and softness are no phones


def pronounce(texts: list[str], voice: str = "en-us") -> list[str]:
    """One text of IPA letters for each text; words that are spoken as one are written as one."""
    if not shutil.which("espeak-ng"):
        raise ConfigError("phones are made by the program espeak-ng, which is not installed: apt install espeak-ng")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"{text}.\n" for text in texts)
        file.flush()
        command = ["espeak-ng", "-q", "--ipa", "-v", voice, "-f", file.name]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise DataError(f"espeak-ng: {done.stderr.strip().splitlines()[-1]}")
    spoken = [only_phones(line) for line in done.stdout.splitlines() if line.strip()]
    if len(spoken) != len(texts):
        raise DataError(f"espeak-ng made {len(spoken)} lines of {len(texts)} texts; are some without a word?")
    return drop_rare(spoken)


def only_phones(ipa: str) -> str:
    """IPA letters and single spaces: no marks of stress or length, no notes on language such as (en)."""
    letters = unicodedata.normalize("NFD", re.sub(r"\(.*?\)", "", ipa))
    return " ".join("".join(c for c in letters if c not in MARKS and (c.isalpha() or c == " ")).split())


def drop_rare(texts: list[str]) -> list[str]:
    counts = Counter("".join(texts))
    rare = {ord(letter): None for letter, n in counts.items() if n < RARE and letter != " "}
    return [text.translate(rare) for text in texts]


def write_manifest(source: Path, out: Path, voice: str) -> int:
    """The same manifest with phones as its texts; how many rows it has. Raises DataError where `out` is there already:
    a manifest does not tell whose it is."""
    if os.path.lexists(out):
        raise DataError(f"--out {out} is there already, and is left as it is; name another file, or move it away")
    try:
        with source.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from error
    if not rows or not {"file", "text"} <= rows[0].keys():
        raise DataError(f"{source} is no manifest: it needs a header with the columns file and text, and rows")
    folder = os.path.relpath(source.parent, out.parent)
    spoken = pronounce([row["text"] for row in rows], voice)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        row | {"text": text, "file": f"{folder}/{row['file']}"} for row, text in zip(rows, spoken, strict=True)
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, table.getvalue())
    except OSError as error:
        raise DataError(f"--out {out} cannot be written: {error.strerror}") from error
    return len(rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tasks.speech.pronounce", description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True, help="a manifest TSV with the columns file and text")
    parser.add_argument("--out", type=Path, required=True, help="the manifest to write")
    parser.add_argument("--voice", default="en-us", help="espeak-ng's name of language and accent; en-us unless told")
    options = parser.parse_args(argv)
    try:
        n = write_manifest(options.manifest, options.out, options.voice)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {n:,} utterances in phones")
    return 0


if __name__ == "__main__":
    sys.exit(main())
