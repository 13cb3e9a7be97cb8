"""The report as a reader meets it: opened, searched, sorted, pointed at, printed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, browser, found_browser
from made_runs import made_run

from headspex.figures.of_run import FIGURES
from headspex.figures.run_view import RunView
from headspex.report import write_report

needs_browser = pytest.mark.skipif(found_browser() is None, reason="no Chromium on this machine")

# Whether each figure is there, in the window.
SEEN = """[...document.querySelectorAll('figure')].map((f) => {
    const b = f.querySelector('svg').getBoundingClientRect();
    return [f.id, b.width > 250 && b.height > 80 && b.right <= innerWidth] })"""

# Words of figures that are cut off, or that lie on each other.
WRONG_WORDS = """[...document.querySelectorAll('figure svg')].flatMap((svg) => {
    const all = svg.getBoundingClientRect(), wrong = [];
    const texts = [...svg.querySelectorAll('text')].filter((t) => t.textContent.trim());
    const boxes = texts.map((t) => [t.textContent, t.getBoundingClientRect()]);
    boxes.forEach(([text, a], i) => {
        if (a.left < all.left - 2 || a.right > all.right + 2) wrong.push('cut: ' + text);
        for (const [other, b] of boxes.slice(i + 1)) {
            const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (x > 2 && y > 0.3 * Math.min(a.height, b.height)) wrong.push(text + ' | ' + other);
        }
    });
    return wrong;
})"""


def _report(path: Path, **size: Any) -> Path:
    made_run(path, **size)
    return write_report(RunView.load(path))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _report(tmp_path_factory.mktemp("run"), layers=3, heads=4, pairs=12, triples=3)


@pytest.fixture(scope="module")
def page(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if found_browser() is None:
        pytest.skip("no Chromium on this machine")
    with browser(tmp_path_factory.mktemp("browser")) as page:
        page.open(report)
        yield page


def test_the_page_is_one_file_that_names_no_other(report: Path) -> None:
    text = report.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"', text)
    assert "http://" not in re.sub(r'"http://www.w3.org/[^"]*"', "", text)  # names, not places
    assert "https://" not in text


def test_no_id_stands_twice(report: Path) -> None:
    ids = re.findall(r' id="([^"]*)"', report.read_text())
    assert len(ids) == len(set(ids))


def test_what_a_model_is_called_is_text_and_no_markup(report: Path) -> None:
    assert "<model>" not in report.read_text()
    assert "a &lt;model&gt; on mini" in report.read_text()


def test_numbers_in_pictures_are_those_of_the_figures(report: Path) -> None:
    """Coordinates are rounded to make the page small, but never what people read."""
    # Three heads are the third size, which is free, and score 0.9 - 0.6 * (3 / 12) ** 3.
    (told,) = re.findall(r">(\d+ of 12 heads gone: [\d.]+)<", report.read_text())
    assert told == "3 of 12 heads gone: 0.891"


@pytest.mark.slow
def test_1024_heads_and_thousands_of_interactions_make_less_than_3_mb(tmp_path: Path) -> None:
    report = _report(tmp_path / "run", layers=32, heads=32, pairs=3000, triples=500)
    assert report.stat().st_size < 3e6
    if found_browser() is None:
        pytest.skip("small enough, but no Chromium on this machine to open it")
    with browser(tmp_path / "browser") as page:
        page.open(report)
        for width in (1280, 390):
            page.size(width)
            assert page.run(SEEN) == [[f"figure-{name}", True] for name in FIGURES]
            assert page.run(WRONG_WORDS) == []
        page.size(1280)
        page.point('#figure-heads [data-heads="L31H31"]')
        assert page.run("document.getElementById('told').textContent").startswith("L31H31")
        assert page.errors == []


@needs_browser
def test_the_report_of_a_real_run_opens_with_every_picture_and_no_error(tmp_path: Path) -> None:
    gallery = Path(__file__).resolve().parents[1] / "docs/gallery/run"
    report = write_report(RunView.load(gallery), to=tmp_path / "report.html")
    with browser(tmp_path / "browser") as page:
        page.open(report)
        assert page.run(SEEN) == [[f"figure-{name}", True] for name in FIGURES]
        assert page.run(WRONG_WORDS) == []
        assert page.errors == []


@needs_browser
def test_it_opens_without_an_error_or_a_request(page: Page, report: Path) -> None:
    assert page.errors == []
    assert page.requests in ([report.as_uri()], [report.as_uri(), "data:,"])


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_seen_and_nothing_sticks_out_of_the_page(page: Page, width: int) -> None:
    page.size(width)
    assert page.run(SEEN) == [[f"figure-{name}", True] for name in FIGURES]
    assert page.run("document.documentElement.scrollWidth") <= width


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_words_in_a_picture_stay_inside_of_it_and_off_each_other(page: Page, width: int) -> None:
    page.size(width)
    assert page.run(WRONG_WORDS) == []


@needs_browser
def test_a_search_leaves_the_rows_that_hold_all_its_words(page: Page) -> None:
    page.size(1280)
    rows = page.run(
        """(() => { const box = document.querySelector('input[data-of=interactions]');
        box.value = 'L1H2 within'; box.dispatchEvent(new Event('input'));
        const rows = [...document.querySelectorAll('#interactions tbody tr')];
        const seen = rows.filter((row) => row.offsetParent !== null).map((r) => r.textContent);
        const said = box.parentElement.querySelector('[role=status]').textContent;
        box.value = ''; box.dispatchEvent(new Event('input'));
        const all = rows.filter((row) => row.offsetParent !== null).length;
        return {seen, said, all, total: rows.length}; })()"""
    )
    assert all("L1H2" in text and "within" in text for text in rows["seen"])
    assert rows["said"] == f"{len(rows['seen'])} of {rows['total']} rows"
    assert rows["all"] == rows["total"] == 12 + 12 + 3


@needs_browser
@pytest.mark.parametrize(("table", "column"), [("interactions", 2), ("schedule", 0)])
def test_a_click_on_a_header_sorts_by_number_and_a_second_turns_it_around(
    page: Page, table: str, column: int
) -> None:
    def sorted_by_click() -> tuple[list[float], str]:
        found: tuple[list[float], str] = page.run(
            f"""(() => {{ const t = document.getElementById('{table}');
            t.querySelectorAll('th button')[{column}].click();
            return [[...t.tBodies[0].rows].map((r) => Number(r.cells[{column}].textContent)),
                    t.querySelectorAll('th')[{column}].getAttribute('aria-sort')]; }})()"""
        )
        return found

    numbers, said = sorted_by_click()
    assert (numbers, said) == (sorted(numbers), "ascending")
    numbers, said = sorted_by_click()
    assert (numbers, said) == (sorted(numbers, reverse=True), "descending")


LIT = """[...document.querySelectorAll('figure')].map((f) => [f.id.slice(7),
    [...f.querySelectorAll('.on[data-heads]')].map((e) => e.dataset.heads)])"""


@needs_browser
def test_pointing_at_a_head_lights_it_and_its_interactions_in_every_figure(page: Page) -> None:
    page.size(1280)
    page.point('#figure-heads [data-heads="L1H2"]')
    lit = {name: set(heads) for name, heads in page.run(LIT)}
    rows = page.run(
        "[...document.querySelectorAll('#interactions tr[data-heads]')].map(r => r.dataset.heads)"
    )
    own = {row for row in rows if "L1H2" in row.split()}
    assert len(own) > 1
    assert lit["heads"] == {"L1H2"}
    assert lit["graph"] == lit["orders"] == own
    layers = page.run(
        "[...document.querySelectorAll('#figure-energy .on')].map((e) => e.dataset.layers)"
    )
    pairs = {
        " ".join(sorted((a[1], b[1])))
        for row in own
        for i, a in enumerate(row.split())
        for b in row.split()[i + 1 :]
    }
    assert set(layers) >= pairs
    assert page.run("getComputedStyle(document.querySelector('.when')).visibility") == "visible"
    assert page.run("document.getElementById('told').textContent").startswith("L1H2 · effect ")
    # When it goes stands in the schedule; its line stands there on the axis from 0 to 100 %.
    share, told = page.run(
        """(() => { const x = (at) => document.querySelector(`[data-at="${at}"]`).getBBox().x;
        const line = Number(document.querySelector('.when').getAttribute('x1'));
        return [(line - x(0)) / (x(100) - x(0)),
                document.querySelector('#schedule [data-heads=L1H2]').dataset.gone / 12]; })()"""
    )
    assert share == pytest.approx(told)


@needs_browser
def test_the_keyboard_walks_the_rows_and_escape_lets_go(page: Page) -> None:
    page.run("document.querySelector('#schedule tbody tr').focus()")
    page.press("ArrowDown")
    focused = page.run("document.activeElement.dataset.heads")
    second = page.run("document.querySelectorAll('#schedule tbody tr')[1].dataset.heads")
    assert focused == second
    assert page.run("document.body.classList.contains('lit')")
    page.press("Escape")
    assert not page.run("document.body.classList.contains('lit')")


@needs_browser
def test_pictures_tables_and_boxes_have_names_for_who_cannot_see_them(page: Page) -> None:
    nameless = page.run(
        """[...document.querySelectorAll('svg, input, [role=region]')].filter((e) =>
        !e.getAttribute('aria-label')).length
        + [...document.querySelectorAll('table')].filter((t) => !t.caption?.textContent).length"""
    )
    assert nameless == 0


@needs_browser
def test_dark_paper_has_light_ink_and_print_is_always_light(page: Page) -> None:
    ink = "getComputedStyle(document.querySelector('figure text')).fill"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.send("Emulation.setEmulatedMedia", media="screen", features=dark)
    assert page.run(ink) == "rgb(230, 232, 235)"
    page.send("Emulation.setEmulatedMedia", media="print", features=dark)
    assert page.run(ink) == "rgb(31, 35, 40)"
    hidden = page.run("getComputedStyle(document.querySelector('.find')).display")
    assert hidden == "none"
    page.send("Emulation.setEmulatedMedia", media="", features=[])


@needs_browser
def test_after_all_that_nothing_went_wrong(page: Page) -> None:
    assert page.errors == []
