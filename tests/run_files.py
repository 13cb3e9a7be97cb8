"""What two equal runs have in common."""

from pathlib import Path

from headspex.scores.store import ScoreStore


def files_of(run: Path) -> dict[str, bytes]:
    """All that must be the same byte for byte: the times and the layout of the store are not."""
    differing = ("timing.json", "scores.sqlite", ".lock")
    found = {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file()
    }
    return {name: data for name, data in found.items() if name not in differing}


def scores_of(run: Path) -> dict[bytes, bytes]:
    """The rows of the store, whatever their order."""
    with ScoreStore(run / "scores.sqlite") as store:
        return {block.key: values.tobytes() for block, values in store.blocks()}


def passes_of(run: Path) -> int:
    """How many questions under a mask the store holds."""
    with ScoreStore(run / "scores.sqlite") as store:
        return sum(len(block) for block, _ in store.blocks())
