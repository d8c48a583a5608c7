"""The options of `multimodal-attn caption`, `transcribe` and `translate`."""

import argparse
from pathlib import Path

from tasks.commands.bundled import BUNDLED
from tasks.commands.outputs import add_choice
from tasks.commands.writers import FORMATS, ROW_FORMATS

LINE_FORMATS = (*ROW_FORMATS, "txt", "tsv")  # of translations
CAPTION_EPILOG = """each line of the output is a JSON object with path, text and score (mean log-probability per token),
or path and error for a file that could not be used; --attention adds tokens and weights (docs/trace-format.md).
--out NAME.csv and NAME.parquet hold the same as a table, which is there when all is done.

A command that was stopped goes on when it is given again: files that have their row or figure are left as they are.
--overwrite begins anew, as another model or other options have to.

examples:
  multimodal-attn caption dog.jpg
  multimodal-attn caption photos/ --out captions.jsonl --pictures figures/
  multimodal-attn caption "2024-*/*.jpg" --out captions.csv
"""
TRANSCRIBE_EPILOG = """formats:
  jsonl   one line for each recording: path, text, score (of the search; higher is surer) and words with start and
          end in seconds and their probability; or path and error. A note says why a text is empty: silence, or no
          speech. --attention adds tokens and weights, under `pieces` where the recording is
          long and was split at pauses (docs/trace-format.md)
  csv, parquet  the same as a table of all recordings, which is there when all is done
  json    the same, as a file for each recording
  txt     the text        srt, vtt   subtitles        tsv   every word with start and end in milliseconds

where they go:
  --out FOLDER           FOLDER/transcripts.jsonl, and FOLDER/2024/talk.srt and so on for recordings/2024/talk.mp3
  --out talk.srt         that file, in the format that its name ends in; jsonl takes any number of recordings
  no --out               the standard output

A recording that is cut off or damaged has the words of what is there, a note that says so, and exit status 2.

A command that was stopped goes on when it is given again: recordings that have their results are left as they are.
--overwrite begins anew, as another model or other options have to.

examples:
  multimodal-attn transcribe talk.mp3 --format srt
  multimodal-attn transcribe recordings/ --out transcripts/ --format jsonl txt vtt --pictures figures/
"""
TRANSLATE_EPILOG = """formats:
  jsonl   one line for each sentence: path (file and line), source, text and score (mean log-probability per token), or
          path and error; --attention adds tokens and weights (docs/trace-format.md)
  csv, parquet  the same as a table, which is there when all is done
  txt     the translations alone, line by line        tsv   sentence, tab, translation

examples:
  echo "Tom chases Jerry." | multimodal-attn translate -
  multimodal-attn translate letter.txt --out letter.de.txt --checkpoint checkpoints/translation-en-de
  multimodal-attn translate letter.txt --out letter.jsonl --attention --pictures figures/
"""


def build_caption_parser() -> argparse.ArgumentParser:
    kinds = "JPEG, PNG, WEBP, GIF, BMP, TIFF, HEIC, AVIF or JPEG 2000"
    description = f"Caption pictures, and folders of them, recursively: {kinds}."
    parser = build_parser("caption", description, CAPTION_EPILOG, "picture", "captioning", 32)
    parser.add_argument("--out", type=Path, help="write the lines to this file instead of the standard output")
    parser.add_argument(
        "--looks",
        type=float,
        nargs="+",
        help="see each picture at all of these shares of its sides, below 0 in a mirror; 1 is fastest (checkpoint's)",
    )
    return parser


def build_transcribe_parser() -> argparse.ArgumentParser:
    description = (
        "Transcribe sounds of any length, and folders of them, recursively: WAV, FLAC, OGG, Opus, MP3, AIFF, CAF, AAC, "
        "AMR, WMA, and the sound of M4A, MP4, MOV, 3GP, WebM and MKV."
    )
    parser = build_parser("transcribe", description, TRANSCRIBE_EPILOG, "sound", "speech", 16)
    parser.add_argument("--out", type=Path, help="write to this folder or file instead of the standard output")
    known = {"nargs": "+", "action": "extend", "choices": FORMATS, "metavar": "FORMAT"}
    parser.add_argument("--format", **known, help=f"one or several of {', '.join(FORMATS)} (default: jsonl)")
    parser.add_argument("--ctc", type=float, help="weight of the CTC head in the search, 0 to 1 (checkpoint's)")
    parser.add_argument("--lm", type=float, help="weight of the language model in the search (checkpoint's)")
    parser.add_argument("--words", type=float, help="weight of the word model in the search (checkpoint's)")
    parser.add_argument(
        "--speeds", type=float, nargs="+", help="hear each sound at all of these; 1 alone is fastest (checkpoint's)"
    )
    parser.add_argument(
        "--consensus",
        type=float,
        help="how far scores count when hypotheses agree; 0 says the best (checkpoint's)",
    )
    return parser


def build_translate_parser() -> argparse.ArgumentParser:
    description = (
        "Translate texts: UTF-8 files with a sentence on each line, folders of .txt files, or - for the standard input."
    )
    parser = build_parser("translate", description, TRANSLATE_EPILOG, "text", "translation", 32)
    parser.add_argument("--out", type=Path, help="write to this file instead of the standard output")
    known = f"{', '.join(LINE_FORMATS)} (default: what --out ends in, or jsonl)"
    parser.add_argument("--format", choices=LINE_FORMATS, metavar="FORMAT", help=known)
    return parser


def build_parser(
    command: str, description: str, epilog: str, unit: str, task: str, batch_size: int
) -> argparse.ArgumentParser:
    """What all of them understand."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(f"multimodal-attn {command}", None, description, epilog, formatter_class=layout)
    add = parser.add_argument
    told = (
        f"a {unit} file, a folder of them, a tar archive, a pattern in quotes, or - for a list from the standard input"
    )
    add("paths", nargs="+", type=Path, metavar="PATH", help=told)
    add("--checkpoint", type=Path, default=BUNDLED[task], help="checkpoint folder (default: %(default)s)")
    add("--beam", type=int, help="hypotheses kept while searching; 1 is greedy (default: the checkpoint's)")
    add("--attention", action="store_true", help="put tokens and attention weights into every row")
    add(
        "--self-attention",
        nargs="?",
        const="all",
        metavar="LAYER[.HEAD]",
        help=f"put into every row which place of the {unit} looks at which inside the encoder: all layers and heads "
        "(where that is too much, as many of the last as fit), one layer, such as 3, or one head of it, such as 3.0",
    )
    told = "measure what each word needed of the input, by hiding part after part of it; with --attention or --html"
    add("--needed", action="store_true", help=told)
    add("--pictures", type=Path, metavar="DIR", help=f"draw the attention of each {unit} into a PNG here")
    add("--html", type=Path, metavar="DIR", help=f"write the viewer of each {unit} here, as a page to open and to send")
    add_choice(parser)
    add("--batch-size", type=int, default=batch_size, help=f"{unit}s read at once (default: %(default)s)")
    add(
        "--workers",
        type=int,
        default=1,
        help="processes that read, each with a model of its own (default: %(default)s)",
    )
    add("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    return parser
