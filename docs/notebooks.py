"""Two guides as notebooks with outputs, in docs/notebooks.

    make notebooks

writes and executes them anew, from the guides' Markdown. The second one needs SmolLM2's weights.
"""

import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parent
# Notebook -> the guide that it is made from.
NOTEBOOKS = {"heads.ipynb": "heads.md", "smollm2.ipynb": "smollm2.md"}
PATIENCE = 3600  # seconds for a cell

INSTALL = """\
import importlib.util

if importlib.util.find_spec("headspex") is None:
    %pip install --quiet headspex
"""
SHOW = """\
from IPython.display import Image, display

for file in {files}:
    display(Image(file))
"""


def badge(name: str) -> str:
    """The line that leads to Colab; to its upload form where the project names no repository."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    where = project.get("urls", {}).get("Repository", "")
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)/?", where)
    picture = "![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)"
    if found is None:
        return f"[{picture}](https://colab.research.google.com/#upload=true) (upload this file)"
    link = f"https://colab.research.google.com/github/{found[1]}/blob/main/docs/notebooks/{name}"
    return f"[{picture}]({link})"


def _cell(block: re.Match[str]) -> str:
    """Commands become a cell of the shell, with the pictures that they draw after it."""
    files = re.findall(r"--to (\S+\.png)", block[1])
    shown = f"\n```python\n{SHOW.format(files=files)}```\n" if files else ""
    return f"```python\n%%sh\n{block[1]}```\n{shown}"


def notebook(name: str) -> nbformat.NotebookNode:
    """The notebook of this name, not yet executed."""
    text = (DOCS / "guides" / NOTEBOOKS[name]).read_text(encoding="utf-8")
    text = re.sub(r"^```text\n.*?^```\n", "", text, flags=re.M | re.S)  # it has outputs of its own
    text = re.sub(r"^```sh\n(.*?)^```\n", _cell, text, flags=re.M | re.S)
    text = re.sub(r"^.*\(\.\./notebooks/.*\n", "", text, flags=re.M)  # "is also a notebook"
    text = re.sub(r"\[([^\]]*)\]\((?!https://)[^)]*\)", r"*\1*", text)  # no page is beside it
    title, rest = text.split("\n", 1)
    text = f"{title}\n\n{badge(name)}\n\n```python\n{INSTALL}```\n{rest}"
    made = jupytext.reads(text, fmt="md")
    made.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    for number, cell in enumerate(made.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    return made


def execute(made: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in a folder, and keep what they show but progress bars.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    here = str(Path(sys.executable).parent)  # for the command `headspex`
    os.environ["PATH"] = os.pathsep.join([here, os.environ["PATH"]])
    client = NotebookClient(
        made, timeout=PATIENCE, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    made.metadata.pop("language_info", None)  # which Python it was
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined([out for out in cell.outputs if out.get("name") != "stderr"])


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """A shell's output comes in pieces that break at any letter: one piece of each stretch."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        if joined and "text" in output and "text" in joined[-1]:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def main() -> None:
    """Write the notebooks named on the command line, or all of them."""
    for name in sys.argv[1:] or NOTEBOOKS:
        made = notebook(name)
        with tempfile.TemporaryDirectory() as folder:
            execute(made, Path(folder))
        nbformat.write(made, DOCS / "notebooks" / name)
        print(f"docs/notebooks/{name}: {len(made.cells)} cells")


if __name__ == "__main__":
    main()
