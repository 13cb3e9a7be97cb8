"""Result of a comparison of methods, as JSON, as files and as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headspex.comparison.standings import Standing, Verdict, or_null
from headspex.engine.paired import Difference
from headspex.errors import UsageError
from headspex.runs.curve import CURVE, FAITHFULNESS, CurvePoint, FaithfulnessPoint
from headspex.runs.run_folder import check_can_be_made, is_empty_folder
from headspex.support.files import write_json
from headspex.tasks.scoring import title_of
from headspex.units import plural

FORMAT = "headspex.compare/1"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods compared on the scores of one run.

    Attributes:
        n_fresh, n_heldout: number of masks predicted, and of questions schedules are judged on.
        n_players, sizes: heads (or other units) in all, and numbers of them removed.
        metric: of the predicted values.
        at_chance: whether the whole model is not shown to do better than guessing.
        standings: one for each method, fitted to the whole search.
        predicts, prunes: the best methods; `predicts` is None where all fresh masks score the same.
        faithfulness: R² at each budget.
        curve: held-out scores at each size.
        left_out: method -> why it could not be fitted.
        task_metric: the metric schedules are judged in, the task's own; accuracy for multiple
            choice.
    """

    n_fresh: int
    n_heldout: int
    n_players: int
    unit: str
    sizes: tuple[int, ...]
    metric: str
    at_chance: bool
    standings: list[Standing]
    predicts: Verdict | None
    prunes: Verdict
    faithfulness: list[FaithfulnessPoint]
    curve: list[CurvePoint]
    left_out: Mapping[str, str]
    task_metric: str = "accuracy"

    def to_dict(self) -> dict[str, Any]:
        """The content of compare.json; `--json` adds the folder."""
        return {
            "format": FORMAT,
            "n_fresh": self.n_fresh,
            "n_heldout": self.n_heldout,
            "players": self.n_players,
            "sizes": list(self.sizes),
            "metric": self.metric,
            "own_metric": self.task_metric,
            "at_chance": self.at_chance,
            "predicts_best": or_null(self.predicts),
            "prunes_best": self.prunes.to_dict(),
            "methods": [standing.to_dict() for standing in self.standings],
            "left_out": dict(self.left_out),
            "faithfulness": [asdict(point) for point in self.faithfulness],
            "curve": [asdict(point) for point in self.curve],
        }

    def write(self, folder: Path, figure: Path) -> None:
        """Write compare.json, faithfulness.csv, curve.csv, and the figure."""
        from headspex.figures import faithfulness_by_budget
        from headspex.figures.style import save

        # First: a later comparison may overwrite a folder that holds this file.
        write_json(folder / "compare.json", self.to_dict())
        FAITHFULNESS.write(folder / "faithfulness.csv", self.faithfulness)
        CURVE.write(folder / "curve.csv", self.curve)
        save(faithfulness_by_budget(self.faithfulness, players=plural(self.unit)), figure)

    def __str__(self) -> str:
        in_units, heads = self._in_units, plural(self.unit)
        predicting = [(s, s.faithfulness) for s in self.standings if s.faithfulness is not None]
        lines = [in_units(self._answer())]
        if predicting:
            lines += [
                "",
                f"R² on {self.n_fresh} fresh masks with 95 % interval",
                *_table((in_units(s.title), r2, s.r2_difference) for s, r2 in predicting),
            ]
        scores = [(s, f"{s.accuracy:.3f} [{s.low:.3f}, {s.high:.3f}]") for s in self.standings]
        lines += [
            "",
            f"Held-out {title_of(self.task_metric)} with 95 % interval, mean over "
            f"{len(self.sizes)} sizes from {self.sizes[0]} to {self.sizes[-1]} of "
            f"{self.n_players} {heads} removed",
            *_table((in_units(s.title), score, s.accuracy_difference) for s, score in scores),
            in_units(_without_r2(self.standings)),
            *(f"Left out: {method}: {in_units(why)}" for method, why in self.left_out.items()),
        ]
        return "\n".join(lines)

    def _in_units(self, text: str) -> str:
        """Text about heads, reworded for the run's units."""
        return text.replace("heads", plural(self.unit))

    def _answer(self) -> str:
        prunes, best = self.prunes, self.prunes.best
        predicts = (
            "every fresh mask scores the same, so there is nothing to predict"
            if self.predicts is None
            else f"{self.predicts.best.title} predicts best, "
            f"R² {self.predicts.best.faithfulness}: {self.predicts}"
        )
        sentence = (
            f"{predicts};\n{best.title} prunes best, "
            f"{title_of(self.task_metric)} {best.accuracy:.3f} "
            f"[{best.low:.3f}, {best.high:.3f}]: {prunes}."
        )
        if self.at_chance:
            sentence = f"the model does not do this task, so these results are noise: {sentence}"
        return sentence[0].upper() + sentence[1:]


def check_folder(path: Path) -> None:
    """Refuse a folder that a comparison may not write to; creates nothing.

    Raises:
        UsageError: it holds something else, or cannot be created.
    """
    if path.exists() and not (path / "compare.json").is_file() and not is_empty_folder(path):
        raise UsageError(
            f"--to must be a new or empty folder, or one that holds a comparison, but {path} holds "
            "something else"
        )
    check_can_be_made(path, "--to")


def _without_r2(found: Iterable[Standing]) -> str:
    titles = [standing.title for standing in found if not standing.predicts]
    return f"Without R², as they only put the heads in order: {'; '.join(titles)}"


def _table(rows: Iterable[tuple[str, object, Difference | None]]) -> list[str]:
    """Lines of title, score, and difference to ours."""
    cells = [("", "", "less ProxySPEX"), *((t, str(s), str(d or "")) for t, s, d in rows)]
    width = max(25, *(len(title) + 1 for title, _, _ in cells))
    wide = max(23, *(len(score) + 1 for _, score, _ in cells))
    return [f"  {title:<{width}}{score:<{wide}}{less}".rstrip() for title, score, less in cells]
