"""The built pages, as `make book` leaves them. Set CSAE_SITE to the folder to check."""

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import bs4
import pytest
import yaml

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    "CSAE_SITE" not in os.environ, reason="`make book` builds the pages and then runs this file"
)
SITE = Path(os.environ.get("CSAE_SITE", "_build/html"))
COMPUTES_NOTHING = {
    "book/centroids-theory": "proofs; its figures are in the chapter",
    "book/answers": "words; what they say of figures is in the chapters",
    "book/claims-map": "made from the sources by an extension, which fails on a gap",
    "book/bibliography": "made from references.bib",
}


def toc_pages():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *chapters]


def source_of(page):
    return next(p for p in (ROOT / f"{page}.ipynb", ROOT / f"{page}.md") if p.exists())


@pytest.fixture(params=toc_pages(), scope="module")
def page(request):
    return request.param


@pytest.fixture(scope="module")
def html(page):
    return bs4.BeautifulSoup((SITE / f"{page}.html").read_text(), "html.parser")


def written_cells(page):
    source = source_of(page).read_text()
    if source_of(page).suffix == ".ipynb":
        cells = json.loads(source)["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    blocks = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", source, re.M | re.S)
    return [re.sub(r"\A(:.*\n)*", "", block).strip() for block in blocks]  # without the options


def executed_cells(page):
    """The code cells of a page as they were executed, from the build's execution cache."""
    for path in SITE.parent.glob(".jupyter_cache/executed/*/base.ipynb"):
        cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        if ["".join(cell["source"]).strip() for cell in cells] == written_cells(page):
            return cells
    pytest.fail(f"no execution of {page} is in the cache")


def test_every_code_cell_was_executed(page):
    if page in COMPUTES_NOTHING:
        assert not written_cells(page)
        return
    cells = executed_cells(page)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert len(cells) > 0
    assert not [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"]


def test_every_figure_is_there_with_its_words(page, html):
    if page in COMPUTES_NOTHING:
        assert not html.select("article figure, article img")
        return
    shown = [
        cell
        for cell in executed_cells(page)
        if "remove-output" not in cell["metadata"].get("tags", ())
    ]
    outputs = [output for cell in shown for output in cell["outputs"]]
    drawn = sum("image/png" in output.get("data", {}) for output in outputs)
    figures = html.select("article figure")
    assert len(figures) == drawn > 0
    for figure in figures:
        assert figure["id"]
        assert len(figure.img.get("alt", "")) > 60
        assert figure.figcaption.select_one(".caption-number")
        file = (SITE / page).parent / unquote(figure.img["src"])
        assert 0 < file.stat().st_size <= 200_000


def test_progress_bars_show_their_last_state_only(html):
    for output in html.select(".cell_output .stderr"):
        # Several searches may each have a bar, or none where they are quick; each has a name.
        bars = re.findall(r"^(.*?) *\d+%\|", output.text, re.M)
        assert len(bars) == len(set(bars)) == len(re.findall(r"\d+%\|", output.text)), output.text


def test_other_images_have_alt_text(html):
    for image in html.select("article img"):
        assert image.get("alt", "").strip()


def test_no_widget_state_in_pages(html):
    """It would be dead weight: pages show the still twins of live figures."""
    assert not html.select("script[type*=widget-state]")


def test_no_page_loads_what_runs_cells_elsewhere(html):
    """Thebe's constants, defined twice, were an error in the console of every page."""
    run = html.select('script:not([type="text/x-thebe-config"])')  # that one is data, and inert
    assert run
    assert not [script for script in run if "thebe" in str(script).lower()]


def test_page_is_small(page):
    assert (SITE / f"{page}.html").stat().st_size <= 300_000


def test_page_asks_no_other_host(page, html):
    loaded = [
        element.get(attribute)
        for selector, attribute in (
            ("script[src]", "src"),
            ("link[rel~=stylesheet]", "href"),
            ("link[rel~=preload]", "href"),
            ("link[rel~=icon]", "href"),
            ("img[src]", "src"),
            ("iframe[src]", "src"),
        )
        for element in html.select(selector)
    ]
    assert loaded
    for address in loaded:
        parts = urlsplit(address)
        assert (parts.scheme, parts.netloc) == ("", ""), address
        assert ((SITE / page).parent / unquote(parts.path)).exists(), address
    # Inline scripts may name other hosts in links, but must not load modules or styles from them.
    for script in html.select("script:not([src])"):
        assert not re.search(r"import\s*\(?[\"']https?:|@import", script.text)


def test_styles_ask_no_other_host():
    for sheet in SITE.glob("_static/**/*.css"):
        for address in re.findall(r"url\(\s*[\"']?([^)\"']+)", sheet.read_text(errors="replace")):
            assert not address.startswith(("http:", "https:", "//")), f"{sheet}: {address}"


def test_links_inside_the_site_lead_somewhere(page, html):
    for link in html.select("article a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc or not parts.path:
            continue
        assert ((SITE / page).parent / unquote(parts.path)).exists(), link["href"]


def test_chapters_open_in_colab(page, html):
    if source_of(page).suffix != ".ipynb":
        return
    buttons = [a["href"] for a in html.select("a[href*='colab.research.google.com']")]
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    path = address["url"].removeprefix("https://")
    assert buttons == [
        f"https://colab.research.google.com/{path.replace('github.com', 'github')}/blob/"
        f"{address['branch']}/{page}.ipynb"
    ]
