"""Who is best, and whether that is more than noise."""

import numpy as np
import pytest

from headspex.comparison.methods import METHODS, OURS
from headspex.comparison.standings import Evidence, best_predicting, best_pruning, standings
from headspex.engine.faithfulness import Measured


def _evidence(seed: int = 0) -> Evidence:
    """ProxySPEX predicts best; the LASSO prunes best, and no better than leave-one-out."""
    rng = np.random.default_rng(seed)
    values = rng.random(80)
    correct = {name: 1.0 * (rng.random((3, 200)) < p) for name, p in ((OURS, 0.6), ("lasso", 0.9))}
    correct["leave-one-out"] = correct["lasso"].copy()
    # Each of the two knows five answers that the other does not, and the LASSO one more.
    right, wrong = (np.flatnonzero(correct["lasso"][0] == answer) for answer in (1, 0))
    correct["leave-one-out"][0, [*right[:6], *wrong[:5]]] = [0] * 6 + [1] * 5
    predictions = {OURS: values + 0.01, "lasso": values + 0.2 * rng.normal(size=80)}
    return Evidence(Measured.exactly(values), predictions, correct, "accuracy", (1, 5, 9))


def test_the_best_is_named_with_its_lead_over_the_second() -> None:
    evidence = _evidence()
    found = standings(evidence)
    predicts, prunes = best_predicting(evidence, found), best_pruning(evidence, found)
    assert predicts is not None
    assert (predicts.best.method, predicts.second.method) == (OURS, "lasso")
    assert predicts.margin.beyond_noise
    assert (prunes.best.method, prunes.second.method) == ("lasso", "leave-one-out")
    assert prunes.margin.value == pytest.approx(1 / 600)
    assert not prunes.margin.beyond_noise


def test_every_method_but_ours_is_held_against_ours_at_each_size_and_overall() -> None:
    evidence = _evidence()
    by_name = {standing.method: standing for standing in standings(evidence)}
    assert by_name[OURS].accuracy_difference is None
    assert by_name[OURS].at_sizes == {}
    lasso = by_name["lasso"]
    assert list(lasso.at_sizes) == [1, 5, 9]
    overall = lasso.accuracy_difference
    assert overall is not None
    assert overall.value == pytest.approx(np.mean([d.value for d in lasso.at_sizes.values()]))
    assert overall.value == pytest.approx(lasso.accuracy - by_name[OURS].accuracy)


def test_a_method_that_only_orders_heads_has_no_r2() -> None:
    by_name = {standing.method: standing for standing in standings(_evidence())}
    assert by_name["leave-one-out"].faithfulness is None
    assert by_name["leave-one-out"].r2_difference is None
    assert not METHODS["leave-one-out"].predicts


def test_nothing_is_said_to_predict_best_where_nothing_varies() -> None:
    full = _evidence()
    flat = Evidence(Measured.exactly(np.ones(80)), {}, full.correct, "accuracy", full.sizes)
    assert best_predicting(flat, standings(flat)) is None


def test_of_equals_the_first_is_the_best() -> None:
    values = np.linspace(0, 1, 20)
    same = dict.fromkeys((OURS, "trees"), values)
    evidence = Evidence(
        Measured.exactly(values), same, {name: values[None] for name in same}, "accuracy", (1,)
    )
    verdict = best_pruning(evidence, standings(evidence))
    assert verdict.best.method == OURS
    assert not verdict.margin.beyond_noise
