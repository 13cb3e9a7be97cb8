"""Ridge with a penalty that generalises."""

import numpy as np
import pytest

from headspex.engine.methods import ridge as module
from headspex.engine.methods.ridge import ridge


def problem(noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    design = rng.normal(size=(400, 60)).astype(np.float32)
    truth = rng.normal(size=60)
    weights = rng.uniform(0.5, 1.5, 400)
    values = design @ truth + noise * rng.normal(size=400) / np.sqrt(weights)
    return design, values, weights / weights.mean(), truth


def test_conjugate_gradients_solve_every_penalty_at_once() -> None:
    design, values, _, _ = problem(1.0)
    penalties = np.array([0.01, 1.0, 100.0])
    moments = (design.T @ values)[:, None].astype(np.float64)
    gram = design.T.astype(np.float64) @ design
    for penalty, found in zip(penalties, module._solve(design, moments, penalties), strict=True):
        expected = np.linalg.solve(gram + penalty * np.eye(60), moments)
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_many_players_are_solved_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    design, values, weights, _ = problem(2.0)
    few = ridge(design, values, weights)
    monkeypatch.setattr(module, "DENSE", 10)
    many = ridge(design, values, weights)
    # The probes estimate the degrees of freedom, so that a neighbouring penalty may be chosen.
    assert np.linalg.norm(many - few) < 0.1 * np.linalg.norm(few)


@pytest.mark.parametrize("noise", [0.0, 0.5, 5.0])
def test_the_penalty_is_close_to_the_best_there_is(noise: float) -> None:
    design, values, weights, truth = problem(noise)
    gram = design.T @ (design * weights[:, None])
    moments = design.T @ (weights * values)
    best = min(
        np.linalg.norm(np.linalg.solve(gram + penalty * np.eye(60), moments) - truth)
        for penalty in 400 * module.PENALTIES
    )
    assert np.linalg.norm(ridge(design, values, weights) - truth) < 1.1 * best + 1e-3
