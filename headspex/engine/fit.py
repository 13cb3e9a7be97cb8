"""From a value function, or from masks already scored, to a spectrum."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from headspex.engine.characters import Keep, keep_vector
from headspex.engine.methods.gradient import after_gradient
from headspex.engine.methods.select import fit_methods, select_spectrum
from headspex.engine.observations import as_vector, connected_blocks, observe
from headspex.engine.sampling import draw_masks
from headspex.engine.scaling import in_own_unit
from headspex.engine.spectrum import Spectrum
from headspex.engine.spex.spex import fit_spex, spex_design
from headspex.errors import UsageError
from headspex.support.arrays import as_array, as_numbers
from headspex.support.validation import whole, whole_seed, whole_threads

# It may return anything that `fit_spectrum` takes as values.
ValueFunction = Callable[[Bool[np.ndarray, "masks players"]], Float[np.ndarray, " masks"] | Any]

ENGINES = ("proxyspex", "spex")


def fit_spectrum(
    masks: Bool[np.ndarray, "masks players"] | Any,
    values: Float[np.ndarray, " masks"] | Any,
    *,
    keep: Keep = 0.5,
    weights: Float[np.ndarray, " masks"] | Any | None = None,
    groups: np.ndarray | Any | None = None,
    gradient: Float[np.ndarray, " players"] | Any | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Spectrum:
    """The spectrum that best predicts held-out masks.

    Several methods compete by cross-validation: a LASSO on single players, a curve of a weighted
    sum, a sparse spectrum grown term by term, ridge on all terms at once, boosted trees, and their
    weighted sum. The winner is fitted to all masks and carries a `Spectrum.report`. A
    sparse spectrum that fits all values exactly, with too few terms for that to be luck, wins
    without cross-validation of the others. A function that does not vary, or cannot be predicted,
    gives the constant alone, and the report says so. Values that differ by less than 1e-13 of
    their size count as equal: subtract a large offset first.

    Masks, values, weights and groups may be arrays, torch tensors, series and frames (an index is
    ignored), or lists; masks may be sparse.

    Args:
        masks: True = the player stays on; exact 1 and 0 work too, as in `Spectrum.predict`.
        values: one per mask, in any unit: values times c have the same terms, times c.
        keep: the probability with which masks keep a player, one number or one per player; the
            spectrum is in the basis of this measure.
        weights: how much each value counts: the inverse of its noise variance, up to a factor
            (a mean over k questions has weight k).
        groups: labels; masks of one group, and equal masks, are never on both sides of a fold.
        gradient: one number per player, in any unit: roughly how the value changes when it is
            switched on, such as the mean derivative by its gate under masks like these. Every
            method then explains what the gradient, times a fitted coefficient, leaves; trees
            compete without it too.
        seed: fixes folds and subsamples; the same input gives the same spectrum bit for bit.
        threads: of xgboost; fixed, so that sums have the same order on every machine.

    Raises:
        UsageError: no masks, shapes that do not match, NaN, values beyond 1e305, weights not
            positive or too far apart, keep outside (0, 1), a gradient of another length or not
            finite, an invalid seed or thread count.
    """
    seed, threads = whole_seed(seed), whole_threads(threads)
    data = observe(masks, values, keep=keep, weights=weights)
    blocks = connected_blocks(data.masks, groups)
    methods = fit_methods(seed, threads)
    if gradient is not None:
        known = _as_gradient(gradient, data.n_players)
        after = {name: after_gradient(method, known) for name, method in methods.items()}
        # With many masks, trees that did not start from it add to those that did: on SmolLM2's
        # indirect objects R² rose by .02, .02 and .01 (4,000 and twice 8,000 passes), else not.
        methods = {**after, "plain trees": methods["trees"]}
    return in_own_unit(data, lambda scaled: select_spectrum(scaled, blocks, methods, seed=seed))


def explain(
    value_function: ValueFunction,
    n_players: int,
    *,
    budget: int,
    keep: Keep = 0.5,
    engine: str = "proxyspex",
    seed: int = 0,
    threads: int = 1,
) -> Spectrum:
    """Choose masks, score them and fit their spectrum.

    Args:
        value_function: bool [masks, players] -> float [masks]; called once with all masks, in a
            copy that it may change. It may return anything that `fit_spectrum` takes as values.
        n_players: columns of a mask.
        budget: masks scored, at most; fewer only if fewer than `budget` different masks exist. No
            mask is scored twice.
        engine: "proxyspex" draws masks at random and fits them with `fit_spectrum`; "spex"
            designs them so that few, isolated interactions can be decoded, see `fit_spex`.
        keep, seed, threads: as in `fit_spectrum`; SPEX needs keep 0.5.

    Raises:
        UsageError: as in `fit_spectrum`, an unknown engine, a budget below 1 or too small for
            SPEX, another keep than its 0.5, or a value function that returns another shape, or
            NaN.
    """
    if engine not in ENGINES:
        raise UsageError(f"no engine {engine!r}; known: {', '.join(ENGINES)}")
    n_players, budget = whole("n_players", n_players, 1), whole("budget", budget, 1)
    seed, threads = whole_seed(seed), whole_threads(threads)
    if engine == "spex":
        if (keep_vector(keep, n_players) != 0.5).any():
            raise UsageError(
                f"SPEX chooses masks that keep half of the players, but keep is {keep}; leave it "
                "at 0.5 or use the engine proxyspex"
            )
        design = spex_design(n_players, budget=budget, seed=seed)
        return fit_spex(design, scored(value_function, design.masks), seed=seed)
    masks = draw_masks(budget, n_players, keep=keep, seed=seed)
    values = scored(value_function, masks)
    return fit_spectrum(masks, values, keep=keep, seed=seed, threads=threads)


def _as_gradient(given: Any, n_players: int) -> Float[np.ndarray, " players"]:
    gradient = as_numbers(given, "gradient")
    if gradient.shape != (n_players,) or not np.isfinite(gradient).all():
        raise UsageError(
            f"gradient must be one finite number for each of the {n_players} players, but has "
            f"shape {gradient.shape} and {int((~np.isfinite(gradient)).sum())} that are not finite"
        )
    largest = np.abs(gradient).max()  # only ratios count; squares of 1e300 would overflow
    return np.asarray(gradient / largest if largest else gradient)


def scored(
    value_function: ValueFunction, masks: Bool[np.ndarray, "masks players"]
) -> Float[np.ndarray, " masks"]:
    """The value of each mask, float64.

    Raises:
        UsageError: the function returns another shape, a NaN or infinity, or no real numbers.
    """
    given = value_function(masks.copy())
    values = as_array(given, "values")
    if given is None or values.shape != (len(masks),):
        raise UsageError(
            f"the value function must return one number per mask, shape ({len(masks)},), "
            f"but returned {None if given is None else values.shape}"
        )
    return as_vector(values, "values", len(masks))
