"""Word and character error rates, and for every utterance which words were wrong.

`hypotheses[i]` is judged by `references[i]`, both normalised the same way; either may be empty.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import jiwer

WIDTH = 100  # columns of the report
MARKS = {"equal": " ", "substitute": "S", "insert": "I", "delete": "D"}
NAMES = {"substitute": "substitutions", "delete": "deletions", "insert": "insertions"}

Kind = Literal["equal", "substitute", "insert", "delete"]


@dataclass(frozen=True)
class Edit:
    """One step from the reference to the hypothesis; the side that an insertion or deletion lacks is empty."""

    kind: Kind
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Alignment:
    """The fewest edits that turn a reference into its hypothesis, in order (Levenshtein distance)."""

    edits: tuple[Edit, ...]

    def count(self, kind: Kind) -> int:
        return sum(edit.kind == kind for edit in self.edits)

    @property
    def n_errors(self) -> int:
        return len(self.edits) - self.count("equal")

    @property
    def n_reference(self) -> int:
        """Words (or characters) of the reference."""
        return len(self.edits) - self.count("insert")


def align_words(hypotheses: Sequence[str], references: Sequence[str]) -> list[Alignment]:
    """One alignment of words per utterance. Raises ValueError for lists of different lengths."""
    return (
        _alignments(jiwer.process_words(list(references), list(hypotheses))) if _paired(hypotheses, references) else []
    )


def align_characters(hypotheses: Sequence[str], references: Sequence[str]) -> list[Alignment]:
    """One alignment of characters per utterance, spaces counted. Raises ValueError for lists of different lengths."""
    if not _paired(hypotheses, references):
        return []
    return _alignments(jiwer.process_characters(list(references), list(hypotheses)))


def error_rate(alignments: Iterable[Alignment]) -> float:
    """Errors per word (or character) of the references: 0 is perfect, and insertions may take it above 1.

    Where the references are all empty, the number of errors.
    """
    counts = [(alignment.n_errors, alignment.n_reference) for alignment in alignments]
    n_errors, n_reference = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return n_errors / max(1, n_reference)


def speech_scores(hypotheses: Sequence[str], references: Sequence[str], sets: Sequence[str]) -> dict[str, float]:
    """Rates over all utterances and over each set of them, as shares (0.25 is 25 %).

    Keys: wer, cer; substitutions, deletions and insertions per reference word, whose sum is wer; and wer/SET, cer/SET
    for every name in `sets`, which says for each utterance where it belongs.
    """
    words, characters = align_words(hypotheses, references), align_characters(hypotheses, references)
    scores = {"wer": error_rate(words), "cer": error_rate(characters)}
    n_words = max(1, sum(alignment.n_reference for alignment in words))
    for kind, name in NAMES.items():
        scores[name] = sum(alignment.count(kind) for alignment in words) / n_words
    for part in sorted(set(sets)):
        for name, alignments in (("wer", words), ("cer", characters)):
            chosen = (alignment for alignment, each in zip(alignments, sets, strict=True) if each == part)
            scores[f"{name}/{part}"] = error_rate(chosen)
    return scores


def error_report(
    hypotheses: Sequence[str], references: Sequence[str], names: Sequence[str], n_confusions: int = 20
) -> str:
    """A text for people: the utterances with errors, most errors first, then the most frequent errors.

    Under each reference stands the hypothesis, words in columns, with S, I or D below a word that was substituted,
    inserted or deleted.
    """
    alignments = align_words(hypotheses, references)
    wrong = [pair for pair in zip(names, alignments, strict=True) if pair[1].n_errors]
    wrong.sort(key=lambda pair: -pair[1].n_errors)
    head = f"{len(wrong)} of {len(alignments)} utterances have errors; {_summary(alignments)}"
    return "\n\n".join([head, *(format_alignment(*pair) for pair in wrong), format_confusions(wrong, n_confusions)])


def format_alignment(name: str, alignment: Alignment, width: int = WIDTH) -> str:
    """The name with its rate, then rows of at most `width` columns; one word may need more."""
    lines = [f"{name}: {_summary([alignment])}"]
    rows = ["ref ", "hyp ", "    "]
    for edit in alignment.edits:
        cells = edit.reference, edit.hypothesis, MARKS[edit.kind]
        n_columns = max(map(_columns, cells))
        if _columns(rows[0]) + 1 + n_columns > width and len(rows[0]) > 4:
            lines += rows
            rows = ["ref ", "hyp ", "    "]
        rows = [f"{row} {cell}{' ' * (n_columns - _columns(cell))}" for row, cell in zip(rows, cells, strict=True)]
    return "\n".join(line.rstrip() for line in [*lines, *rows])


def format_confusions(named: Iterable[tuple[str, Alignment]], n_most: int) -> str:
    """The most frequent errors, one per line: how often, what was said, what was written."""
    counts = Counter(edit for _, alignment in named for edit in alignment.edits if edit.kind != "equal")
    rows = (f"{n:6}  {edit.reference or '-'} -> {edit.hypothesis or '-'}" for edit, n in counts.most_common(n_most))
    return "\n".join(["most frequent errors:", *rows])


def _summary(alignments: Sequence[Alignment]) -> str:
    counts = (f"{sum(alignment.count(kind) for alignment in alignments)} {name}" for kind, name in NAMES.items())
    n_reference = sum(alignment.n_reference for alignment in alignments)
    return f"WER {error_rate(alignments):.1%} of {n_reference} words ({', '.join(counts)})"


def _paired(hypotheses: Sequence[str], references: Sequence[str]) -> bool:
    """Whether there is anything to align: jiwer refuses empty lists, and reads a lone string as a list."""
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    return bool(references)


def _alignments(output: jiwer.WordOutput | jiwer.CharacterOutput) -> list[Alignment]:
    parts = zip(output.references, output.hypotheses, output.alignments, strict=True)
    return [
        Alignment(tuple(edit for chunk in chunks for edit in _edits(chunk, reference, hypothesis)))
        for reference, hypothesis, chunks in parts
    ]


def _edits(chunk: jiwer.AlignmentChunk, reference: Sequence[str], hypothesis: Sequence[str]) -> Iterable[Edit]:
    """The edits of a run of equal kind; only its pairs have both sides."""
    said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
    written = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
    n_edits = max(len(said), len(written))
    sides = (list(said) or [""] * n_edits, list(written) or [""] * n_edits)
    return [Edit(chunk.type, *pair) for pair in zip(*sides, strict=True)]


def _columns(text: str) -> int:
    """Columns of a terminal: marks take none, East Asian letters two."""
    return sum(
        0 if unicodedata.category(c)[0] == "M" else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
