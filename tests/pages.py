"""The README and the documentation's pages, as text and blocks of code."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page, named from the checkout's top: (language, text)."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks."""
    return [
        line for language, text in blocks(page) if language == "sh" for line in text.splitlines()
    ]


def told(page: str) -> list[tuple[str, str]]:
    """Python blocks with what the page says they print; "" where it says nothing."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", text, flags=re.DOTALL)


def script(name: str) -> ModuleType:
    """Load a script from the documentation's folder as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, DOCS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
