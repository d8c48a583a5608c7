"""The chapter on attention against the code that it describes."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from docs import attention_examples as examples
from docs.draw_attention import DRAWINGS, FIGURES
from docs.include_code import CHAPTER, excerpt, refresh, stale_blocks
from multimodal_attn.attention import ALIGNMENTS, SCORES, Entry, describe
from tests.conftest import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
LARGEST, LARGEST_OF_PHOTOGRAPHS = 150_000, 1_000_000  # bytes of a figure
INTRODUCTIONS = ("The decoders", "Pushing weights into place", "Reading a map with care")
BULLETS = ("- **Map.**", "- **Use.**")
REGISTRIES = {"score": SCORES, "align": ALIGNMENTS}
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
MATHS = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)


def chapter() -> str:
    return CHAPTER.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """The text without its code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def sections(text: str) -> dict[tuple[str, str], str]:
    """What the headings name, such as ("score", "dot"), and what is below each."""
    parts = re.split(r"^#+ (.*)\n", prose(text), flags=re.MULTILINE)
    return {
        named: body
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
        for named in re.findall(r"`(score|align): ([\w.]+)`", heading)
    }


def gaps(text: str, stage: str, entry: Entry) -> list[str]:
    """What the section of a mechanism lacks."""
    body = sections(text).get((stage, entry.name))
    if body is None:
        return [f"no section `{stage}: {entry.name}`"]
    wanted = [
        "$",
        "<!-- code: ",
        *BULLETS,
        *re.findall(r"\d{4}", entry.source),
        *(f"`{option}" for option in entry.options),
    ]
    return [f"`{stage}: {entry.name}` lacks {part}" for part in wanted if part not in body]


def test_code_blocks_are_what_they_are_in_the_source() -> None:
    assert chapter().count("<!-- code: ") > 20
    assert stale_blocks(chapter()) == [], "python docs/include_code.py --write"


def test_code_block_that_drifted_is_found_and_refreshed() -> None:
    drifted = chapter().replace("energies / self.temperature", "energies * self.temperature")
    (marker,) = stale_blocks(drifted)
    assert marker == "<!-- code: multimodal_attn/attention/alignments.py Softmax.weigh -->"
    assert refresh(drifted) == chapter()
    with pytest.raises(LookupError, match="alignments.py has no Softmax.weight"):
        refresh(drifted.replace("Softmax.weigh -->", "Softmax.weight -->"))


def test_excerpt_holds_methods_below_their_class_and_functions_with_their_decorators() -> None:
    source = (
        "import a\n\n\n@a.b\ndef f():\n    pass\n\n\nclass C(a.D):\n    x = 1\n\n    def g(self):\n        return 2\n"
    )
    expected = "@a.b\ndef f():\n    pass\n\n\nclass C(a.D):\n    def g(self):\n        return 2"
    assert excerpt(source, ["f", "C.g"], "m.py") == expected


@pytest.mark.parametrize("stage", REGISTRIES)
def test_every_mechanism_has_a_section_with_equation_code_source_and_options(stage: str) -> None:
    assert [gap for entry in describe(REGISTRIES[stage]) for gap in gaps(chapter(), stage, entry)] == []
    named = {name for of, name in sections(chapter()) if of == stage}
    assert named - {"none"} == set(REGISTRIES[stage])


def test_what_is_around_the_core_has_equation_code_map_and_use_too() -> None:
    part = re.search(r"^## Around the core\n(.*?)^## ", prose(chapter()), re.DOTALL | re.MULTILINE)[1]
    _, *parts = re.split(r"^### (.*)\n", part, flags=re.MULTILINE)
    bodies = dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(bodies) >= 15 and set(INTRODUCTIONS) < set(bodies)
    for heading in set(bodies) - set(INTRODUCTIONS):
        assert [wanted for wanted in ("$", "<!-- code: ", *BULLETS) if wanted not in bodies[heading]] == [], heading


def test_section_that_is_missing_or_thin_is_noticed() -> None:
    entry = next(entry for entry in describe(SCORES) if entry.name == "cosine")
    assert gaps(chapter().replace("`score: cosine`", "cosine"), "score", entry) == ["no section `score: cosine`"]
    assert gaps(chapter().replace("`strength`", ""), "score", entry) == ["`score: cosine` lacks `strength"]
    assert gaps(chapter().replace("- **Use.**", ""), "score", entry) == ["`score: cosine` lacks - **Use.**"]


def test_figures_that_are_linked_exist_are_small_and_all_are_linked() -> None:
    pages = chapter() + (CHAPTER.parent / "results.md").read_text(encoding="utf-8")
    linked = {CHAPTER.parent / path for path in IMAGE.findall(pages)}
    assert {FIGURES / f"{name}.png" for name in DRAWINGS} <= linked
    assert linked == set(FIGURES.iterdir())
    for path in linked:
        assert path.stat().st_size < (LARGEST if path.stem in DRAWINGS else LARGEST_OF_PHOTOGRAPHS), path.name


@pytest.mark.parametrize("page", [CHAPTER, CONTRIBUTING], ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", prose(target.read_text(encoding="utf-8")), re.MULTILINE) if anchor else []
        plain = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert not anchor or anchor in plain, link


def test_maths_has_nothing_that_markdown_takes_for_its_own() -> None:
    """Markdown drops a backslash before punctuation, and a page may read < as a tag."""
    formulas = [display or inline for display, inline in MATHS.findall(prose(chapter()))]
    assert len(formulas) > 50
    for formula in formulas:
        assert not re.search(r"\\[^a-zA-Z\s]|[<>|]", formula), formula
        assert formula.count("{") == formula.count("}"), formula


def test_every_figure_is_drawn_from_the_code_at_the_size_on_the_page() -> None:
    torch.manual_seed(5)  # drawing must not depend on what ran before
    for name, draw in DRAWINGS.items():
        with Image.open(FIGURES / f"{name}.png") as on_the_page:
            assert draw().size == on_the_page.size, "python -m docs.draw_attention"


# What the chapter says of its figures


def found(weights: torch.Tensor, token: int, place: int) -> float:
    """The weight of a place and its neighbours."""
    return float(weights[token, max(place - 1, 0) : place + 2].sum())


def test_learned_width_is_the_one_in_the_text_and_beats_the_others_on_points_left_out() -> None:
    points = examples.noisy_points()
    fits = examples.regressions(points)
    with torch.no_grad():
        errors = {title: float(examples.left_out_error(fit, points)) for title, fit in fits.items()}
    learned = next(title for title in fits if "learned" in title)
    assert min(errors, key=errors.get) == learned
    assert f"third width, {learned.split()[-1]}, was learned" in chapter()


def test_kernel_regression_is_its_equation() -> None:
    points, x = examples.noisy_points().double(), torch.tensor([0.3, 2.0, 5.1]).double()
    kernel = torch.exp(-(x[:, None] - points[:, 0]).square() / (2 * 0.17**2))
    expected = (kernel * points[:, 1]).sum(1) / kernel.sum(1)
    attention = examples.build_regression(width=0.17)
    torch.testing.assert_close(examples.estimate(attention.double(), x, points), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("title", examples.ALIGNMENTS)
def test_alignments_treat_the_traps_as_the_chapter_says(title: str) -> None:
    weights = examples.align_planted(title)
    ahead, behind = (found(weights, *trap) for trap in examples.DISTRACTORS)
    if title in ("softmax", "softmax, temperature 0.3", "sparsemax", "entmax_1.5"):
        assert ahead > 0.5 and behind > 0.5
    elif "the best" in title:
        assert ahead == behind == 1
    elif title.startswith(("local", "forward")) or "one walk" in title:
        assert ahead < 1e-3 and behind < 1e-3
        right = [found(weights, token, place) / weights[token].sum() for token, place in enumerate(examples.PLACES)]
        assert min(right) > 0.8
    elif "expected" in title:
        assert behind < 1e-3 < 0.03 < ahead < 0.1
        assert bool((weights.sum(1).diff() < 0).all())
    else:
        assert title.startswith(("uniform", "static", "softmax, temperature 3", "hard, gumbel: drawn"))


def test_every_alignment_is_in_the_figure() -> None:
    assert {data["align"] for data in examples.ALIGNMENTS.values()} == set(ALIGNMENTS) - {"gumbel"}
    assert any("gumbel" in title for title in examples.ALIGNMENTS)  # its maps are those of hard


def test_agent_keeps_a_token_where_it_stays() -> None:
    plain, steered = (examples.align_planted(f"{name}, reach 5") for name in ("forward", "forward_agent"))
    assert steered[5, 14] > plain[5, 14] + 0.05


def test_location_reads_a_word_in_order_where_content_sees_every_equal_letter() -> None:
    plain, aware = (examples.read_word(score).unflatten(1, (6, -1)).sum(2) for score in ("additive", "location"))
    assert float(aware.diagonal().min()) > 0.8
    torch.testing.assert_close(plain[1, [1, 3, 5]], plain[1, 1].expand(3))


def test_coverage_moves_on_to_what_is_left() -> None:
    plain, covered = (examples.list_things(score).argmax(1).tolist() for score in ("additive", "coverage"))
    assert plain == [1, 1, 1, 1] and covered[:3] == [1, 5, 9]
    assert float(examples.list_things("coverage")[3].max()) < 0.25  # nothing stands out when all is said


def test_positions_let_a_head_find_the_word_before_and_words_alone_cannot_tell_two_dogs_apart() -> None:
    names, before = examples.look_at_itself(causal=False)
    torch.testing.assert_close(names[:, 1], names[:, 5])
    assert before.argmax(1).tolist() == [0, 0, 1, 2, 3, 4]
    assert torch.all(examples.look_at_itself(causal=True).triu(1) == 0)
    codes = examples.sinusoids(torch.arange(40), 16)
    torch.testing.assert_close(codes[1:] @ examples.move_back(16).T, codes[:-1], rtol=0, atol=1e-5)
