"""What the source itself must not hold."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_no_module_reads_or_writes_a_pickle_or_runs_code_of_a_repository() -> None:
    folders = ("headspex", "hooks", "tasks", "figures")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    for path in modules:
        code = path.read_text()
        for word in (r"\bpickle\.", r"import pickle", r"torch\.load\(", r"torch\.save\(",
                     r"allow_pickle=True", r"trust_remote_code=True", r"joblib"):  # fmt: skip
            assert not re.search(word, code), (path, word)
