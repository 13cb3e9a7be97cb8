"""Tables of questions as `datasets` writes them: parquet files, and folders of save_to_disk."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.support.files import read_json

Row = Mapping[str, Any]

NAMES = {"dev": "dev", "validation": "validation", "valid": "validation", "val": "validation",
         "test": "test"}  # fmt: skip
PARQUET = re.compile(r"(?P<name>[a-z]+)(?:-(?P<rest>.+))?\.parquet")
SHARD = re.compile(r"(\d+)-of-(\d+)(?:-\w+)?")  # the first counts from 0
POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Table:
    """Questions of one part in one place.

    Attributes:
        part: dev, validation or test.
        path: a file or a folder.
        read: path -> rows.
    """

    part: str
    path: Path
    read: Callable[[Path], Iterable[Row]]

    def rows(self) -> list[tuple[str, Row]]:
        """The rows, each with its place: "path, row 3", counted from 0.

        Raises:
            UsageError: it cannot be read.
        """
        return [(f"{self.path}, row {n}", row) for n, row in enumerate(self.read(self.path))]


def tables_of(place: Path) -> list[Table]:
    """The tables in a folder, shards in order, or the table in a file.

    Raises:
        UsageError: shards are missing, or a part has several files that are not shards.
    """
    return [table for find in FORMATS for table in find(place)]


def _parquet(place: Path) -> list[Table]:
    """test.parquet, or test-00000-of-00002.parquet and so on, as in the Hub's repositories."""
    if place.is_file():
        match = PARQUET.fullmatch(place.name)
        part = NAMES.get(match["name"], "test") if match else "test"
        return [Table(part, place, _read_parquet)] if place.suffix == ".parquet" else []
    found: dict[str, list[Path]] = {}
    for path in sorted(place.glob("*.parquet")):
        match = PARQUET.fullmatch(path.name)
        if match and match["name"] in NAMES:
            found.setdefault(NAMES[match["name"]], []).append(path)
    for part, paths in found.items():
        _check_shards(part, paths)
    return [Table(part, path, _read_parquet) for part, paths in found.items() for path in paths]


def _check_shards(part: str, paths: list[Path]) -> None:
    """Refuse missing or repeated shards, which would be scored as if they were the benchmark."""
    rests = [match["rest"] or "" for path in paths if (match := PARQUET.fullmatch(path.name))]
    shards = [SHARD.fullmatch(rest) for rest in rests]
    numbers = sorted((int(shard[1]), int(shard[2])) for shard in shards if shard)
    alone = len(paths) == 1 and not numbers
    if not alone and numbers != [(n, len(paths)) for n in range(len(paths))]:
        raise UsageError(
            f"{paths[0].parent} must hold one file of {part} questions, or all of its shards "
            f"(0-of-N to N-1-of-N), but holds {', '.join(path.name for path in paths)}; fetch the "
            "missing ones, or remove those that do not belong"
        )


def _read_parquet(path: Path) -> Iterable[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with path.open("rb") as file:
            beginning = file.read(len(POINTER))
        if beginning == POINTER:
            raise UsageError(f"{path} is a Git LFS pointer instead of the file; run `git lfs pull`")
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a parquet file; fetch it again") from error
    return rows


def _saved(place: Path) -> list[Table]:
    """Folders that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""
    if not place.is_dir():
        return []
    if (state := place / "state.json").is_file():
        found = read_json(state)
        split = found.get("_split") if isinstance(found, dict) else None
        part = _part(place.name if split is None else str(split))
        # A table made by hand has no split: it holds test questions.
        return [Table(part or "test", place, _read_saved)] if part or split is None else []
    return [
        Table(part, folder, _read_saved)
        for folder in sorted(place.iterdir())
        if (folder / "state.json").is_file() and (part := NAMES.get(folder.name))
    ]


def _part(split: str) -> str | None:
    """The part of a split such as "test" or "test[:100]"; None for others, such as "train"."""
    return NAMES.get(split.partition("[")[0])


def _read_saved(path: Path) -> Iterable[Row]:
    import datasets
    import pyarrow

    # Errors of missing files, broken files and unknown column types have no narrower common class.
    try:
        rows: list[Row] = datasets.load_from_disk(str(path)).to_list()
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise UsageError(
            f"{path} is not a complete folder of save_to_disk; save it again"
        ) from error
    return rows


FORMATS: tuple[Callable[[Path], list[Table]], ...] = (_parquet, _saved)
