"""MIB's measures of a run's schedule: what circuits of growing size keep of a task's score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from headspex.engine.circuit_faithfulness import SHARES, CircuitFaithfulness, circuit_faithfulness
from headspex.runs.curve import MIB, CurvePoint
from headspex.runs.verification import WHOLE
from headspex.schedules.schedule import Schedule
from headspex.scores.judge import Judge
from headspex.support.intervals import Interval
from headspex.units import plural


@dataclass(frozen=True)
class Circuits:
    """MIB's measures of a schedule, whose circuits are the heads that it removes last.

    Attributes:
        metric: the score m, on held-out questions.
        none, whole: m with all heads off, and of the whole model.
        n_questions: held-out ones.
        n_players: all heads.
        measures: f, CPR and CMD; None where `none` and `whole` do not differ beyond noise.
    """

    metric: str
    none: float
    whole: float
    n_questions: int
    n_players: int
    measures: CircuitFaithfulness | None

    @property
    def points(self) -> list[CurvePoint]:
        """f as rows of the curve, one for each number of heads, the whole model first."""
        if self.measures is None:
            return []
        by_size = dict(zip(self.measures.kept, self.measures.f, strict=True))
        rows = [(self.n_players - kept, f) for kept, f in sorted(by_size.items(), reverse=True)]
        return [
            CurvePoint(
                "proxyspex" if off else WHOLE, off, off / self.n_players, MIB, f.value, f.low,
                f.high, self.n_questions,
            )
            for off, f in rows
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """As "mib" in the results of `run.json`."""
        found = self.measures
        told = {"metric": self.metric, "none": self.none, "whole": self.whole}
        if found is None:
            return {**told, "cpr": None, "cmd": None, "f": []}
        rows = zip(SHARES, found.kept, found.f, strict=True)
        return {
            **told,
            "cpr": _bounds(found.cpr),
            "cmd": _bounds(found.cmd),
            "f": [{"share": share, "kept": kept, **_bounds(f)} for share, kept, f in rows],
        }


def judged_circuits(
    judge: Judge,
    schedule: Schedule,
    questions: Int[np.ndarray, " questions"],
    *,
    metric: str,
    known: Mapping[int, Float[np.ndarray, " questions"]],
    sizes: tuple[int, ...],
) -> Circuits:
    """Judge a schedule's circuits at the sizes that the curve lacks.

    Args:
        judge: scores masks.
        schedule: of the run.
        questions: held-out ones, by their position in the judge.
        metric: of the score.
        known: number of heads removed -> score of each question, as it was verified; of the whole
            model, too.
        sizes: `circuit_sizes` of the plan.
    """
    masks, n = schedule.masks(sizes), schedule.n_players
    scored = judge.ask_all(masks, questions, metrics=[metric], what="circuits")[metric]
    by_removed = {**known, **dict(zip(sizes, scored, strict=True))}
    return Circuits(
        metric=metric,
        none=float(by_removed[n].mean()),
        whole=float(by_removed[0].mean()),
        n_questions=len(questions),
        n_players=n,
        measures=circuit_faithfulness({n - off: some for off, some in by_removed.items()}, n),
    )


def said_of_circuits(results: Mapping[str, Any]) -> list[str]:
    """MIB's measures in a sentence, from the results in `run.json`; [] for a run without."""
    found = results.get("mib")
    if found is None:
        return []
    heads, metric = plural(results["unit"]), found["metric"]
    if found["cpr"] is None:
        return [
            f"MIB's CPR and CMD are not defined: the {metric} of the whole model, "
            f"{found['whole']:.3g}, and that with all {heads} off, {found['none']:.3g}, do not "
            "differ beyond noise."
        ]
    cpr, cmd = (
        f"{name.upper()} {one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        for name, one in ((name, found[name]) for name in ("cpr", "cmd"))
    )
    return [
        f"MIB: {cpr}, the area under f, and {cmd}, the area between f and 1, over the share of "
        f"{heads} kept; f is the {metric} that is left, 0 with all {heads} off and 1 with none."
    ]


def _bounds(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
