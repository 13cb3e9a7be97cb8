"""Models trained on many subsets of the training samples at once, and their test scores."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

AT_ONCE = 32 * 2**20  # bytes of the linear systems solved at once


def ridge_scores(
    features: Float[np.ndarray, "samples features"],
    targets: Float[np.ndarray, "samples classes"],
    tests: Float[np.ndarray, "tests features"],
    masks: Bool[np.ndarray, "masks samples"],
    *,
    penalty: float,
) -> Float[np.ndarray, "masks tests classes"]:
    """Scores of ridge regression trained on the samples of each mask, in closed form.

    The weights of a subset S are (X_S' X_S + penalty I)^-1 X_S' Y_S. With fewer samples than
    features, the equivalent `kernel_scores` of X X' are computed.

    Args:
        features, tests: with a column of ones for an intercept, which is penalised too.
        targets: one column per class.
        masks: True = the sample is in the training set. Without samples all scores are 0.
        penalty: positive.
    """
    n, d = features.shape
    if n <= d:
        kernel, to_tests = features @ features.T, tests @ features.T
        return kernel_scores(kernel, targets, to_tests, masks, penalty=penalty)
    outer = (features[:, :, None] * features[:, None, :]).reshape(n, -1)
    scores = np.empty((len(masks), len(tests), targets.shape[1]))
    for part in _parts(len(masks), d):
        on = masks[part].astype(np.float64)
        system = (on @ outer).reshape(-1, d, d) + penalty * np.eye(d)
        scores[part] = tests @ np.linalg.solve(system, features.T @ (on[:, :, None] * targets))
    return scores


def kernel_scores(
    kernel: Float[np.ndarray, "samples samples"],
    targets: Float[np.ndarray, "samples classes"],
    to_tests: Float[np.ndarray, "tests samples"],
    masks: Bool[np.ndarray, "masks samples"],
    *,
    penalty: float,
) -> Float[np.ndarray, "masks tests classes"]:
    """Scores k_S (K_S + penalty I)^-1 Y_S of kernel ridge regression, for each mask's subset S.

    Rows, columns and targets of absent samples are zero, so all systems have the same size and
    absent samples have no effect.

    Args:
        kernel: K, of all pairs of samples.
        targets: Y, one column per class.
        to_tests: k, of test points with samples.
        masks: True = the sample is in the training set.
        penalty: positive.
    """
    n = len(kernel)
    scores = np.empty((len(masks), len(to_tests), targets.shape[1]))
    for part in _parts(len(masks), n):
        on = masks[part].astype(np.float64)
        system = kernel * on[:, :, None] * on[:, None, :] + penalty * np.eye(n)
        # Absent rows of the solution are 0 / penalty = 0.
        scores[part] = to_tests @ np.linalg.solve(system, on[:, :, None] * targets)
    return scores


def rbf_kernel(
    left: Float[np.ndarray, "left features"],
    right: Float[np.ndarray, "right features"],
    width: float,
) -> Float[np.ndarray, "left right"]:
    """exp(-|x - y|^2 / width^2)."""
    return np.asarray(np.exp(-_squared_distances(left, right) / width**2))


def usual_width(features: Float[np.ndarray, "samples features"]) -> float:
    """Half the median distance of two samples: the kernel is near 0 for most pairs."""
    squares = _squared_distances(features, features)[np.triu_indices(len(features), 1)]
    return 0.5 * float(np.sqrt(np.median(squares)))


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    norms = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    return np.asarray(np.maximum(norms - 2 * left @ right.T, 0.0))


def _parts(count: int, size: int) -> list[slice]:
    step = max(1, AT_ONCE // (8 * size * size))
    return [slice(start, start + step) for start in range(0, count, step)]
