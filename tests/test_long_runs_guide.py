"""What the guide to long runs says, as far as it can be checked in a moment."""

import re
import shlex
from pathlib import Path

from headspex.cli import build_parser

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "long-runs.md").read_text()


def test_its_commands_parse() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)
    lines = [line for text in blocks for line in text.splitlines()]
    assert len(lines) == 9
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


def test_no_module_reads_or_writes_a_pickle_or_runs_code_of_a_repository() -> None:
    folders = ("headspex", "hooks", "tasks", "figures")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    for path in modules:
        code = path.read_text()
        for word in (r"\bpickle\.", r"import pickle", r"torch\.load\(", r"torch\.save\(",
                     r"allow_pickle=True", r"trust_remote_code=True", r"joblib"):  # fmt: skip
            assert not re.search(word, code), (path, word)
