"""Importances by activations and weights, as model compression ranks heads: they see no score."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from headspex.comparison.known import Known
from headspex.errors import UsageError
from headspex.hooks.activations import HeadStatistics

Importance = Float[np.ndarray, " players"]


def magnitude(known: Known) -> Importance:
    """Norm of a player's output weights."""
    squares = np.square(known.judge.output_norms())
    return np.asarray(np.sqrt(known.judge.players.sums(squares[None])[0]))


def activation_norm(known: Known) -> Importance:
    """Mean norm of a head's output over tokens, summed over a player's heads.

    Muralidharan et al. 2024, arXiv 2407.14679 (Minitron), the score of heads.
    """
    return _of_players(known, _statistics(known).norm)


def flap(known: Known) -> Importance:
    """Fluctuation of a head's output, weighted by the weights that read it.

    An et al. 2024, arXiv 2312.11983 (FLAP): a dimension's variance times the squared norm of its
    column of the output projection. As in the authors' code it is squared, and standardised within
    the layer; a head's score is the mean of its dimensions. What it says of a head is for mean
    ablation.
    """
    return _of_players(known, flap_scores(_statistics(known), known.judge.column_norms(2)))


def flap_scores(
    found: HeadStatistics, norms: Float[np.ndarray, "layers heads d_head"]
) -> Float[np.ndarray, "layers heads"]:
    """FLAP's score of every head.

    Args:
        found: of the heads' outputs.
        norms: Euclidean, of the output projection's columns.
    """
    fluctuation = np.square(found.variance * np.square(norms))
    mean = fluctuation.mean(axis=(1, 2), keepdims=True)
    spread = fluctuation.std(axis=(1, 2), ddof=1, keepdims=True)
    standard = np.divide(
        fluctuation - mean, spread, out=np.zeros_like(fluctuation), where=spread > 0
    )
    return np.asarray(standard.mean(axis=2))


def wanda(known: Known) -> Importance:
    """Weights times the size of what they read: as large a share of every layer goes.

    Wanda (Sun et al. 2024, arXiv 2306.11695), for heads as FLAP's authors compare it: the sum over
    a head's columns of the mean |weight| times the root mean square of the input. A player's
    importance is its place within its layer; of equal places the lower score goes first.
    """
    size = np.sqrt(_statistics(known).square)
    scores = _of_players(known, (known.judge.column_norms(1) * size).sum(axis=2))
    return places_within(scores, known.judge.players.layer_of)


def places_within(scores: Importance, layers: Int[np.ndarray, " players"]) -> Importance:
    """Each player's place in its layer by its score; among all in a place, too, by the score."""
    places = np.empty(len(scores))
    for layer in np.unique(layers):
        own = np.flatnonzero(layers == layer)
        places[own[np.argsort(scores[own], kind="stable")]] = np.arange(len(own))
    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    return np.asarray(places + ranks / len(scores))


def _statistics(known: Known) -> HeadStatistics:
    if "mlp" in known.judge.players.units:
        raise UsageError("it ranks heads, but this run removes MLPs too")
    return known.judge.head_statistics(known.search[: known.budget])


def _of_players(known: Known, of_heads: Float[np.ndarray, "layers heads"]) -> Importance:
    """Sums over the heads of each player."""
    without_mlps = np.pad(of_heads, ((0, 0), (0, 1)))
    return np.asarray(known.judge.players.sums(without_mlps[None])[0])
