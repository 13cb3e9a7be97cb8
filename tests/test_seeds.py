"""Each part that draws has random numbers of its own, which no other part shares."""

import ast
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from headspex.errors import UsageError
from headspex.support.seeds import derived_seed, stream

ROOT = Path(__file__).resolve().parents[1]
# Where random numbers come from, and who else may make some.
SOURCES = {
    "default_rng", "SeedSequence", "RandomState", "Generator", "Random", "manual_seed", "seed",
}  # fmt: skip
ALLOWED = {
    "headspex/support/seeds.py": "makes the streams",
    "headspex/tiny/train.py": "repeats the training of the weights that ship",
    "headspex/tiny/benchmark.py": "repeats the questions that ship",
    "headspex/tiny/sequences.py": "repeats the training of the weights that ship",
    "headspex/export/proof.py": "tokens of a check, drawn by torch",
    "headspex/export/speed.py": "tokens to be timed, drawn by torch",
}


def _calls() -> Iterator[tuple[str, ast.Call, str]]:
    """File, call, and the last name of what is called, of all of the package."""
    for folder in ("headspex", "hooks", "tasks", "figures"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            place = str(file.relative_to(ROOT))
            if any(place.startswith(f"headspex/{name}/") for name in ("hooks", "tasks", "figures")):
                continue  # links to the folders of that name
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    yield place, node, ast.unparse(node.func).split(".")[-1]


def _names() -> list[str]:
    """Of all streams; what differs from one to the next stands as {}."""
    found = []
    for place, node, called in _calls():
        if called in ("stream", "derived_seed") and place != "headspex/support/seeds.py":
            name = _text(node.args[1]) if len(node.args) == 2 else ""
            assert name, f"{place}:{node.lineno} gives a stream no name that can be read"
            found.append(name)
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_random_numbers_come_from_streams() -> None:
    made = {
        f"{place}:{node.lineno} {called}"
        for place, node, called in _calls()
        if called in SOURCES and place not in ALLOWED
    }
    assert not made, "use headspex.support.seeds.stream"


def test_no_two_parts_share_a_stream() -> None:
    names = _names()
    assert len(names) > 15
    assert [name for name, count in Counter(names).items() if count > 1] == []
    hashes = [zlib.crc32(name.encode()) for name in names]
    assert len(set(hashes)) == len(hashes)
    for name in names:
        first = name.split("{}")[0]
        assert "{}" not in name or [n for n in names if n.startswith(first)] == [name]


def test_streams_of_two_names_or_seeds_differ_and_repeat() -> None:
    draws = {
        (seed, name): tuple(stream(seed, name).permutation(20).tolist())
        for seed in range(20)
        for name in ("contest", "lasso folds")
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[3, "contest"] == tuple(stream(3, "contest").permutation(20).tolist())


def test_a_seed_for_others_is_a_whole_number_of_its_own() -> None:
    found = {derived_seed(seed, name) for seed in range(50) for name in ("boosting", "trees")}
    assert len(found) == 100
    assert all(0 <= number < 2**31 for number in found)


@pytest.mark.parametrize("seed", [-1, 1.5, True, 2**63, "1"])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number"):
        stream(seed, "any")  # type: ignore[arg-type]


def test_the_folds_of_the_contest_are_not_those_of_the_lasso() -> None:
    # Nested folds that repeat the outer ones are not folds at all.
    outer, inner = (stream(0, name).permutation(60) % 5 for name in ("contest", "lasso folds"))
    assert abs(np.corrcoef(outer, inner)[0, 1]) < 0.5
