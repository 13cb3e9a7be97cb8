"""The documentation: links lead somewhere, each page is in the site, tables are the code's."""

import csv
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import DOCS, ROOT, blocks, commands, script

from headspex.cli.main import build_parser

MARKDOWN = sorted(DOCS.rglob("*.md"))
LINKED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "llms.txt", *MARKDOWN]
NAMES = [str(path.relative_to(ROOT)) for path in LINKED]


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub and mkdocs give to a page's headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    plain = (re.sub(r"[^\w\s-]", "", line).strip() for line in re.findall(r"^#+ (.*)$", text, re.M))
    return {re.sub(r"[-\s]+", "-", line).lower() for line in plain}


def _in_nav(entry: Any) -> list[str]:
    """The pages below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry if isinstance(entry, list) else entry.values()
    return [page for part in parts for page in _in_nav(part)]


@pytest.fixture(scope="module")
def site() -> Any:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


@pytest.mark.parametrize("path", LINKED, ids=NAMES)
def test_links_and_pictures_of_a_page_lead_somewhere(path: Path) -> None:
    text = _without_code(path.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for target in targets:
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.is_file(), target
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), target


def test_pages_of_the_site_link_to_nothing_outside_it() -> None:
    for path in MARKDOWN:
        for target in re.findall(
            r"\]\(([^)#\s]+)", _without_code(path.read_text(encoding="utf-8"))
        ):
            if not target.startswith("https://"):
                assert (path.parent / target).resolve().is_relative_to(DOCS), (path, target)


def test_every_page_is_in_the_navigation_once(site: Any) -> None:
    assert sorted(_in_nav(site["nav"])) == sorted(str(path.relative_to(DOCS)) for path in MARKDOWN)


def test_llms_txt_names_every_page() -> None:
    named = re.findall(r"\]\((.*?)\)", (DOCS / "llms.txt").read_text())
    assert sorted(named) == sorted(str(path.relative_to(DOCS)) for path in MARKDOWN)


def test_the_site_loads_nothing_from_elsewhere(site: Any) -> None:
    assert site["theme"]["font"] is False
    assert "extra_javascript" not in site


LINES = [
    (page, line)
    for page in NAMES
    if page.endswith(".md")
    for line in commands(page)
    if line.startswith("headspex ")
]


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_headspex_command_of_a_page_parses(page: str, line: str) -> None:
    build_parser().parse_args(shlex.split(line)[1:])


def test_commands_of_the_site_are_headspex_commands() -> None:
    assert len(LINES) > 40
    for path in MARKDOWN:
        for line in commands(str(path.relative_to(ROOT))):
            assert line.startswith("headspex "), (path, line)


@pytest.mark.parametrize("package", ["headspex", "headspex.hooks", "headspex.figures"])
def test_the_reference_has_every_public_name(package: str) -> None:
    pages = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    named = set(re.findall(rf"^::: {package}\.(\w+)$", pages, re.M))
    # Constants: tables of names, which have pages of their own, and themes.
    assert {name for name in import_module(package).__all__ if not name.isupper()} <= named


@pytest.mark.parametrize("page", ["models.md", "tasks.md"])
def test_a_table_of_names_is_what_the_command_prints(page: str) -> None:
    made = script("catalogue.py").PAGES[page]()
    assert made == (DOCS / page).read_text(encoding="utf-8"), "python docs/catalogue.py"


CONSTANTS = re.findall(
    r"^\| `(headspex[\w.]+)` \| (.*?) \|", (DOCS / "constants.md").read_text(), re.M
)


@pytest.mark.parametrize(("name", "value"), CONSTANTS)
def test_a_constant_has_the_value_that_the_page_says(name: str, value: str) -> None:
    module, _, constant = name.rpartition(".")
    assert str(getattr(import_module(module), constant)) == value


def test_the_page_of_constants_has_constants() -> None:
    assert len(CONSTANTS) > 20


def test_the_table_of_the_real_model_is_that_of_its_run() -> None:
    with (DOCS / "gallery/real/run/curve.csv").open() as file:
        points = [row for row in csv.DictReader(file) if row["method"] == "proxyspex"]
    shown = [("kl", -1, 3), ("logit-diff", 1, 1), ("accuracy", 1, 2)]
    text = (DOCS / "guides/real-model.md").read_text(encoding="utf-8")
    for metric, sign, digits in shown:
        cells = [f"{sign * float(p['score']):.{digits}f}" for p in points if p["metric"] == metric]
        assert len(cells) == 9
        assert f"| {' | '.join(cells)} |\n" in text


def test_no_page_names_a_place_on_a_machine() -> None:
    for path in (*LINKED, *DOCS.rglob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(?:tmp|work|home|root|opt)/", text), path


def test_blocks_have_a_language() -> None:
    for path in LINKED:
        if path.suffix == ".md":
            name = str(path.relative_to(ROOT))
            fences = re.findall(r"^```", path.read_text(encoding="utf-8"), re.M)
            assert len(fences) == 2 * len(blocks(name)), name
