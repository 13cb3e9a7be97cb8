"""Hooks of the site's build: formulas as MathML, and each page's Markdown beside its HTML."""

import html
import re
import shutil
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html_text: str, **_: Any) -> str:
    r"""Formulas, \(...\) and \[...\] since `pymdownx.arithmatex`, become MathML: no script."""

    def mathml(found: re.Match[str]) -> str:
        latex = html.unescape(found[3]).strip()
        formula = str(convert(latex, display="block" if found[2] == "[" else "inline"))
        if "\\" in formula:
            raise PluginError(f"latex2mathml does not know all of {latex}")
        return formula

    return _FORMULA.sub(mathml, html_text)


def on_post_build(config: Any, **_: Any) -> None:
    """Put the Markdown sources, which `llms.txt` names, into the site."""
    docs, site = Path(config["docs_dir"]), Path(config["site_dir"])
    for source in docs.rglob("*.md"):
        there = site / source.relative_to(docs)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, there)
