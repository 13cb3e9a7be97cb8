"""What two equal runs have in common."""

from pathlib import Path

from headspex.scores.block import SLOPE_PASSES
from headspex.scores.store import ScoreStore


def files_of(run: Path) -> dict[str, bytes]:
    """All that must be the same byte for byte: the times and the layout of stores are not."""
    differing = (
        "timing.json", "scores.sqlite", "slopes.sqlite", "search_gradients.sqlite", ".lock",
    )  # fmt: skip
    found = {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file()
    }
    slopes = slopes_of(run)
    told = {"slopes": b"".join(key + slopes[key] for key in sorted(slopes))}
    return told | {name: data for name, data in found.items() if name not in differing}


def scores_of(run: Path) -> dict[bytes, bytes]:
    """The rows of the store, whatever their order."""
    return _rows(run / "scores.sqlite")


def slopes_of(run: Path) -> dict[bytes, bytes]:
    """The rows of the store of slopes, none where the run took no slopes."""
    path = run / "slopes.sqlite"
    return _rows(path) if path.exists() else {}


def passes_of(run: Path) -> int:
    """How many forward passes the stores hold."""
    passes = 0
    for name, price in (
        ("scores", 1), ("slopes", SLOPE_PASSES), ("search_gradients", SLOPE_PASSES)
    ):  # fmt: skip
        path = run / f"{name}.sqlite"
        if path.exists():
            with ScoreStore(path) as store:
                passes += price * sum(len(block) for block, _ in store.blocks())
    return passes


def _rows(path: Path) -> dict[bytes, bytes]:
    with ScoreStore(path) as store:
        return {block.key: values.tobytes() for block, values in store.blocks()}
