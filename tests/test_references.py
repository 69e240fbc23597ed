"""The bibliography: complete entries, each of them cited."""

import re
from pathlib import Path

import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).parents[1]
ENTRIES = parse_file(str(ROOT / "book" / "references.bib")).entries
CITED = {
    key
    for page in (ROOT / "book").glob("*.md")
    for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text(encoding="utf-8"))
    for key in group.split(",")
}
NEEDED = {
    "article": {"title", "journal", "year"},
    "book": {"title", "publisher", "year"},
    "incollection": {"title", "booktitle", "year"},
    "inproceedings": {"title", "booktitle", "year"},
    "misc": {"title", "url"},
}


def test_every_entry_is_cited_and_every_citation_has_an_entry():
    assert set(ENTRIES) == CITED


@pytest.mark.parametrize("key", ENTRIES)
def test_entry_is_complete(key):
    entry = ENTRIES[key]
    assert NEEDED[entry.type] <= set(entry.fields), key
    assert entry.persons["author"]
    if "doi" in entry.fields:
        assert re.fullmatch(r"10\.\d{4,9}/\S+", entry.fields["doi"])
    if "eprint" in entry.fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}|math/\d{7}", entry.fields["eprint"])
        assert entry.fields["archivePrefix"] == "arXiv"
    if "url" in entry.fields:
        assert re.fullmatch(r"https?://\S+", entry.fields["url"])
