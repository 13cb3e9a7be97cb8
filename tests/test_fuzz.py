"""Files that were changed anywhere: read, or refused in a sentence; never a traceback or a hang."""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headspex.cli.main import main
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.mask_file import MaskFile, read_mask
from headspex.players import Players
from headspex.runs.curve import CURVE
from headspex.runs.finished_run import FinishedRun
from headspex.runs.interactions_table import read_interactions
from headspex.runs.run_folder import finished_run
from headspex.runs.status import status
from headspex.schedules.schedule import Schedule
from headspex.tasks import load_task

PLAYERS = Players.heads(2, 4)
MASK = MaskFile(
    model="tiny", fingerprint="ab" * 32, n_layers=3, n_heads=4, pruned_heads={0: (1, 3), 2: (0,)},
    ablation="zero", rescale=False, sparsity=0.25, task="mini", score=0.75,
)  # fmt: skip
ROWS = 'What is 1+1?,0,1,2,3,C\n"Which, ""quoted""?",a,b,None,0.50,A\nLast?,w,x,y,z,D\n'

STRANGE: list[Any] = [
    None, True, 0, -1, 10**9, 10**40, -0.5, 1e308, float("nan"), float("inf"), "", "x" * 300,
    "\x00", "../../etc/passwd", "\ud800", [], {}, [[]], [None] * 50, {"a": {}}, "tiny", "1e5",
    "L0H0",
]  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON document."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            found += _places(one, (*path, key))
    return found


def _other_value(draw: Callable[[Any], Any], document: Any) -> str:
    """A JSON document with one value exchanged, left out or added."""
    changed = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(changed)
        if not places:
            break
        place = draw(st.sampled_from(places))
        inside = changed
        for key in place[:-1]:
            inside = inside[key]
        match draw(st.sampled_from(["exchange", "leave out", "add"])):
            case "exchange":
                inside[place[-1]] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
            case "leave out":
                del inside[place[-1]]
            case "add" if isinstance(inside, dict):
                inside["surprise"] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
            case _:
                inside.append(copy.deepcopy(draw(st.sampled_from(STRANGE))))
    return json.dumps(changed)


def _other_bytes(draw: Callable[[Any], Any], data: bytes) -> bytes:
    """Some bytes exchanged, cut out, repeated or put in."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        length = draw(st.integers(0, 40))
        match draw(st.sampled_from(["flip", "cut", "repeat", "insert"])):
            case "flip" if changed:
                changed[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del changed[at : at + length]
            case "repeat":
                changed[at:at] = changed[at : at + length] * draw(st.integers(1, 50))
            case _:
                changed[at:at] = draw(st.binary(max_size=length))
    return bytes(changed)


def _mutated(draw: Callable[[Any], Any], text: str) -> bytes:
    try:
        document = json.loads(text)
    except ValueError:
        return _other_bytes(draw, text.encode())
    if draw(st.booleans()):
        return _other_value(draw, document).encode("utf-8", "surrogatepass")
    return _other_bytes(draw, text.encode())


def _mask(folder: Path) -> None:
    mask = read_mask(folder / "mask.json")
    mask.keep_grid()
    mask.keep_mlps()
    str(mask.off)


def _schedule(folder: Path) -> None:
    text = (folder / "schedule.json").read_bytes().decode(errors="surrogateescape")
    Schedule.from_json(text, PLAYERS).mask(3)


def _spectrum(folder: Path) -> None:
    text = (folder / "spectrum.json").read_bytes().decode(errors="surrogateescape")
    Spectrum.from_json(text)


def _run(folder: Path) -> None:
    here, content = finished_run(folder)
    players = Players.of_run(content["results"])
    len(players)
    here.changed(content.get("files", {}))
    status(folder)
    str(status(folder))
    str(FinishedRun.load(folder))


def _curve(folder: Path) -> None:
    CURVE.read(folder / "curve.csv")


def _interactions(folder: Path) -> None:
    read_interactions(folder / "interactions.csv")


def _mmlu(folder: Path) -> None:
    task = load_task("mmlu", data_dir=str(folder / "mmlu"))
    assert task.pool


# File, what it holds, and what reads it.
READERS: dict[str, Callable[[Path], None]] = {
    "mask.json": _mask,
    "schedule.json": _schedule,
    "spectrum.json": _spectrum,
    "run.json": _run,
    "curve.csv": _curve,
    "interactions.csv": _interactions,
    "mmlu/test/history_test.csv": _mmlu,
}


@pytest.fixture(scope="module")
def good(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every reader finds what it reads."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    words = ["--budget", "400", "--verify-budget", "2640", "--threads", "1", "--metric", "margin"]
    assert main(["prune", "--model", str(model_folder), "--out", str(folder), *words]) == 0
    MASK.write(folder / "mask.json")
    for part in ("dev", "val", "test"):
        (folder / "mmlu" / part).mkdir(parents=True)
        (folder / "mmlu" / part / f"history_{part}.csv").write_text(
            ROWS.replace("?", f" ({part})?")
        )
    for read in READERS.values():
        read(folder)
    return folder


def _check(good: Path, name: str, draw: Callable[[Any], Any]) -> None:
    path = good / name
    text = path.read_text()
    try:
        path.write_bytes(_mutated(draw, text))
        with suppress(UsageError):
            READERS[name](good)
    finally:
        path.write_text(text)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_file_is_read_or_refused(good: Path, name: str, data: st.DataObject) -> None:
    _check(good, name, data.draw)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=1_500, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ten_thousand_changed_files_are_read_or_refused(
    good: Path, name: str, data: st.DataObject
) -> None:
    _check(good, name, data.draw)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_commands_on_a_changed_run_end_with_0_or_a_sentence(
    good: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = good / "run.json"
    text = path.read_text()
    to = tmp_path_factory.mktemp("to")
    try:
        path.write_bytes(_mutated(data.draw, text))
        for words in (
            ["export", str(good), "--sparsity", "0.5", "--to", str(to / "mask")],
            ["plot", str(good), "curve", "--to", str(to / "curve.png")],
            ["status", str(good)],
        ):
            assert main(words) in (0, 2)
            assert "Traceback" not in capsys.readouterr().err
    finally:
        path.write_text(text)
