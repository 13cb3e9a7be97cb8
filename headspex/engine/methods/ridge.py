"""Ridge regression on single players, with the penalty by generalised cross-validation."""

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from headspex.support.seeds import stream

DENSE = 2048  # players up to which the Gram matrix is decomposed; above, conjugate gradients
PENALTIES = np.logspace(-6, 3, 37)  # in units of the number of masks
PROBES = 4  # random vectors that estimate the fit's degrees of freedom without a decomposition
ACCURACY = 1e-5  # of the residual of conjugate gradients, relative
ITERATIONS = 300


def ridge(
    design: Float[np.ndarray, "masks players"],
    target: Float[np.ndarray, " masks"],
    weights: Float[np.ndarray, " masks"],
) -> Float[np.ndarray, " players"]:
    """The coefficients that generalise best by GCV (Golub, Heath & Wahba, Technometrics 1979).

    Above `DENSE` players the trace is estimated with random probes from a fixed seed.

    Args:
        design: float32, one column per player.
        target: what to fit; no constant is added.
        weights: inverse noise variances up to a factor, mean 1.
    """
    root = np.sqrt(weights)
    scaled = design * root.astype(np.float32)[:, None]
    moments = (scaled.T @ (root * target).astype(np.float32)).astype(np.float64)
    penalties = PENALTIES * len(target)
    if design.shape[1] <= DENSE:
        squares, axes = eigh((scaled.T @ scaled).astype(np.float64), driver="evd")
        shares = 1 / (np.maximum(squares, 0.0) + penalties[:, None])
        solutions = (shares * (axes.T @ moments)) @ axes.T
        determined = (np.maximum(squares, 0.0) * shares).sum(axis=1)
    else:
        signs = stream(0, "ridge probes").choice([-1.0, 1.0], (len(target), PROBES))
        probes = (scaled.T @ signs.astype(np.float32)).astype(np.float64)
        solved = _solve(scaled, np.column_stack([moments, probes]), penalties)
        solutions = solved[:, :, 0]
        # Hutchinson's trace of A (A'A + penalty)^-1 A'.
        determined = (solved[:, :, 1:] * probes).sum(axis=1).mean(axis=1)
    left = ((root * target)[:, None] - scaled @ solutions.T.astype(np.float32)) ** 2
    free = np.square(len(target) - determined)
    # A solution with as many parameters as masks does not generalise.
    gcv = np.divide(left.sum(axis=0), free, out=np.full(len(free), np.inf), where=free > 0)
    return np.asarray(solutions[np.argmin(gcv)])


def _solve(
    design: Float[np.ndarray, "masks players"],
    sides: Float[np.ndarray, "players sides"],
    penalties: Float[np.ndarray, " penalties"],
) -> Float[np.ndarray, "penalties players sides"]:
    """(A'A + penalty) x = side for every penalty and side by conjugate gradients.

    All penalties share the products with A, as their Krylov spaces are equal (Jegerlehner,
    hep-lat/9612014). The iteration runs at the smallest penalty; the others are shifts of it.
    """
    shifts = (penalties - penalties.min())[:, None, None]
    solutions = np.zeros((len(penalties), *sides.shape))
    directions = np.repeat(sides[None], len(penalties), axis=0)
    residual, direction = sides.copy(), sides.copy()
    square = (residual**2).sum(axis=0)
    goal = ACCURACY**2 * square
    step_before, turn = np.ones(sides.shape[1]), np.zeros(sides.shape[1])
    share = share_before = np.ones((len(penalties), 1, sides.shape[1]))
    for _ in range(ITERATIONS):
        product = design.T @ (design @ direction.astype(np.float32))
        product = product.astype(np.float64) + penalties.min() * direction
        step = square / (direction * product).sum(axis=0)
        bend = step * turn * (share_before - share)
        ahead = share * share_before * step_before
        ahead = ahead / (step_before * share_before * (1 + step * shifts) + bend)
        solutions += step * (ahead / share) * directions
        residual = residual - step * product
        square_before, square = square, (residual**2).sum(axis=0)
        if (square <= goal).all():
            break
        turn = square / square_before
        directions = ahead * residual + turn * (ahead / share) ** 2 * directions
        direction = residual + turn * direction
        share_before, share, step_before = share, ahead, step
    return solutions
