"""The claims map: no equation without function, test and figure, and none of these without it."""

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from claims_map import LABEL, Claim, collect, markdown, pages  # noqa: E402

# Its formulas get their ids in the chapters that derive them.
WITHOUT_IDS = {"quickstart", "method"}


def gaps(root):
    return [gap for claim in collect(root) for gap in claim.gaps()]


def test_there_are_no_gaps():
    found = gaps(ROOT)
    assert not found, "\n".join(found)


def test_every_equation_of_the_geometry_chapter_is_in_the_map():
    found = {claim.id for claim in collect(ROOT)}
    assert found >= {
        "simplex-cosine", "centroid-distance", "helmert-vertices", "charge-step", "rankin-bound",
        "orthoplex-cosine", "soft-closest-pair", "levenshtein-bound", "fejes-toth-bound",
        "nearest-is-most-similar", "random-cosine", "random-largest-cosine", "frame-tightness",
    }  # fmt: skip


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: page.stem)
def test_displayed_formulas_of_chapters_have_ids(page):
    """Theory pages may display the steps of a proof; chapters display claims only."""
    if page.suffix != ".ipynb" or page.stem in WITHOUT_IDS:
        pytest.skip("not a chapter whose formulas need ids")
    for text in markdown(page):
        assert 2 * len(LABEL.findall(text)) == text.count("$$"), text


@pytest.fixture
def copy(tmp_path):
    """A copy of the sources, to damage."""
    for folder in ("book", "csae", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("_static", "sample")
        )
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    if gaps(tmp_path):
        pytest.skip("the checkout itself has gaps, see test_there_are_no_gaps")
    return tmp_path


def damage(path, pattern, replacement):
    text, changes = re.subn(pattern, replacement, path.read_text(), flags=re.S)
    assert changes
    path.write_text(text)


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "gap"),
    [
        (
            "tests/test_centroids.py",
            r"def test_equation_rankin_bound",
            "def test_rankin",
            "equation rankin-bound is checked by no test",
        ),
        (
            "tests/test_centroids.py",
            r"def test_equation_rankin_bound",
            "def test_equation_rankine_bound",
            "equation rankine-bound stands on no page of the book",
        ),
        (
            "csae/centroids/charges.py",
            r"Equations: charge-step\.",
            "",
            "equation charge-step is cited by no docstring",
        ),
        (
            "book/centroids.ipynb",
            r'"soft-closest-pair"',
            '"simplex-cosine"',
            "equation soft-closest-pair is drawn by no figure",
        ),
        (
            "book/centroids-theory.md",
            r"\(frame-tightness\)",
            "(tightness)",
            "equation frame-tightness stands on no page of the book",
        ),
        (
            "book/centroids-theory.md",
            r"\(frame-tightness\)",
            "(simplex-cosine)",
            "equation simplex-cosine stands more than once: centroids, centroids-theory",
        ),
    ],
)
def test_each_kind_of_gap_is_found(copy, file, pattern, replacement, gap):
    damage(copy / file, pattern, replacement)
    assert gap in gaps(copy)


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "message"),
    [
        (
            "csae/centroids/charges.py",
            r"Equations: charge-step\.",
            "Equation: charge-step.",
            "like .Equat",
        ),
        (
            "csae/centroids/charges.py",
            r"Equations: charge-step\.",
            "Equations: charge-step",
            "charge_model",
        ),
        (
            "csae/centroids/charges.py",
            r"Equations: charge-step\.",
            "Equations: charge-step,.",
            "be read",
        ),
        (
            "book/centroids.ipynb",
            r'"metadata": {}',
            '"metadata": {"equations": ["charge-step"]}',
            "cell .* of centroids.ipynb names equations",
        ),
    ],
)
def test_what_cannot_be_read_is_named(copy, file, pattern, replacement, message):
    damage(copy / file, pattern, replacement)
    with pytest.raises(ValueError, match=message):
        collect(copy)


def test_a_complete_claim_has_no_gaps():
    complete = Claim("id", ["page"], ["csae.f"], ["test.py::test"], ["fig-a"])
    assert complete.gaps() == []
    assert len(Claim("id").gaps()) == 4
