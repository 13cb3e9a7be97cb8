"""What the source itself must not hold."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_no_module_unpickles_runs_code_of_a_repository_or_swallows_errors() -> None:
    """What ruff has no rule for; pyproject.toml has S301, BLE001 and their neighbours."""
    folders = ("headspex", "hooks", "tasks", "figures")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    forbidden = (
        r"^\s*(from|import) (c?[Pp]ickle|dill|joblib|marshal|shelve)\b", r"\btorch\.(load|save)\(",
        r"\ballow_pickle\s*=(?!\s*False)", r"\btrust_remote_code\b['\"]?\s*[=:](?!\s*False)",
        r"\bsuppress\((Base)?Exception\b",
    )  # fmt: skip
    for path in modules:
        code = path.read_text()
        for word in forbidden:
            assert not re.search(word, code, re.MULTILINE), (path, word)
