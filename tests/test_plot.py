"""`headspex plot`: any figure of a finished run, and curves of some layers alone."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import made_run

from headspex.cli.main import main
from headspex.figures.of_run import FIGURES
from headspex.runs.curve import RANGED_CURVE, RangedPoint
from headspex.runs.layer_ranges import default_ranges
from headspex.runs.run_folder import RunFolder


def test_without_a_name_every_figure_is_drawn_with_its_table_and_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run(tmp_path / "run", layers=2, heads=3, pairs=4)
    assert main(["plot", str(folder.path)]) == 0
    said = capsys.readouterr().out.splitlines()
    wanted = [folder.figures / f"{name}.{end}" for name in FIGURES for end in ("svg", "csv")]
    assert said == [*map(str, wanted), str(folder.report)]
    assert all(Path(path).is_file() for path in said)


def test_the_report_of_a_run_is_the_same_whenever_it_is_drawn(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", layers=2, heads=3, pairs=4)
    for name in ("a.html", "b.html"):
        assert main(["plot", str(folder.path), "report", "--to", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["heads", "--ranges", "0"], "--ranges goes with the figures energy and curve"),
        (["energy", "--ranges", "0-5"], "layer 5 does not exist"),
        (["energy", "--ranges", "1,0-1,2"], "layer 2 does not exist"),
        (["--to", "a.svg"], "--to is a file for one figure"),
        (["report", "--to", "a.png"], "the report is an .html file, but got 'a.png'"),
        (["pie"], "the figures of a run are curve, heads"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = made_run(tmp_path / "run", layers=2, heads=3)
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(folder.path), *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [folder.path]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "a,b\n", "curve.csv must have the columns method,n_pruned"),
        (lambda text: "", "curve.csv must have the columns method,n_pruned"),
        (lambda text: text + "lasso,3\n", "values in every row, but row"),
        (lambda text: text.strip() + ",7\n", "values in every row, but row"),
    ],
)
def test_a_damaged_curve_is_refused_even_where_it_has_no_rows(
    change: Callable[[str], str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run(tmp_path / "run", layers=2, heads=3)
    folder.curve.write_text(change(folder.curve.read_text()))
    assert main(["plot", str(folder.path), "curve"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layers", "ranges"),
    [
        ((4,), ((4,),)),
        ((0, 1), ((0,), (1,))),
        (range(7), ((0, 1, 2), (3, 4), (5, 6))),
        ((0, 1, 2, 13, 14, 15, 30), ((0, 1, 2), (13, 14, 15), (30,))),
    ],
)
def test_layers_that_are_neighbours_are_a_range_and_one_range_is_cut_in_three(
    layers: tuple[int, ...], ranges: tuple[tuple[int, ...], ...]
) -> None:
    assert default_ranges(layers) == ranges


def test_curves_that_were_measured_are_drawn_without_the_model(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", layers=2, heads=3)
    points = [
        RangedPoint(method, size, size / 3, "accuracy", 0.9, 0.8, 1.0, 10, layers)
        for layers in ("0", "1")
        for method, size in (("whole model", 0), ("proxyspex", 1), ("proxyspex", 2))
    ]
    RANGED_CURVE.write(folder.ranged_curves, points)
    to = tmp_path / "it.svg"
    assert main(["plot", str(folder.path), "curve", "--ranges", "1,0", "--to", str(to)]) == 0
    text = to.read_text()
    assert text.index(">layers 1<") < text.index(">layers 0<")
    with to.with_suffix(".csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(points)


@pytest.mark.slow
def test_a_range_of_all_layers_has_the_curve_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, to = tmp_path / "run", tmp_path / "it.svg"
    words = ["--layers", "0-1", "--budget", "2000", "--verify-budget", "5500", "--refine", "0",
             "--out", str(run)]  # fmt: skip
    assert main(["prune", *words]) == 0
    command = ["plot", str(run), "curve", "--ranges", "0-1,1", "--to", str(to)]
    assert main(command) == 0
    folder = RunFolder(run)
    with folder.curve.open(newline="") as file:
        judged = list(csv.DictReader(file))
    with folder.ranged_curves.open(newline="") as file:
        ranged = list(csv.DictReader(file))
    # Random schedules are drawn anew for each range.
    of_all = [row for row in ranged if row["layers"] == "0-1" and row["method"] != "random"]
    assert of_all == [{**row, "layers": "0-1"} for row in judged if row["method"] != "random"]
    # Layer 1 has half of the heads; none of layer 0's goes.
    assert {row["n_pruned"] for row in ranged if row["layers"] == "1"} == set("01234567")

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a stored score was measured again")

    monkeypatch.setattr("headspex.scores.judge.measure", refuse)
    shutil.copy(to, tmp_path / "first.svg")
    assert main(command) == 0
    assert to.read_bytes() == (tmp_path / "first.svg").read_bytes()
