"""The exact spectrum of an ensemble of boosted trees on masks.

A leaf is its value times the product of the literals on its path ("player i is on" = m_i,
"player i is off" = 1 - m_i), and in the orthonormal basis of keep probabilities p

    m_i = p_i - sqrt(p_i (1 - p_i)) chi_i,      1 - m_i = (1 - p_i) + sqrt(p_i (1 - p_i)) chi_i.

Multiplying out every leaf and adding up is the extraction of Gorji et al. used by ProxySPEX
(arXiv 2505.17495), for any keep, over all trees at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
import xgboost
from jaxtyping import Bool, Float, Int

from headspex.engine.characters import Keep, keep_vector
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Block, collect, multiply_out
from headspex.errors import UsageError

# Objectives without a link function: the prediction is the plain sum of the leaves.
_PLAIN_OBJECTIVES = {
    "reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror",
}  # fmt: skip
# The fields of a plain ensemble, xgboost 2.1 to 3.4. Any other field may change what the model
# computes: in 3.4, dropout is the field weight_drop of a booster named gbtree.
_FIELDS = {
    "": {
        "attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param",
        "objective",
    },
    "gradient_booster": {"name", "model"},
    "gradient_booster.model": {
        "cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees",
    },
    "learner_model_param": {
        "base_score", "boost_from_average", "num_class", "num_feature", "num_target",
    },
}  # fmt: skip
_TREE_FIELDS = {
    "base_weights", "categories", "categories_nodes", "categories_segments", "categories_sizes",
    "default_left", "id", "left_children", "loss_changes", "parents", "right_children",
    "split_conditions", "split_indices", "split_type", "sum_hessian", "tree_param",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Leaves:
    """Leaves with the same number of distinct players on their paths.

    Attributes:
        columns: the players, ascending within a row.
        on: True where the path requires the player to be on.
        values: the leaf's contribution to the prediction.
    """

    columns: Int[np.ndarray, "leaves order"]
    on: Bool[np.ndarray, "leaves order"]
    values: Float[np.ndarray, " leaves"]


def tree_spectrum(
    booster: xgboost.Booster, n_players: int, *, keep: Keep = 0.5, min_abs: float = 0.0
) -> Spectrum:
    """The function that `booster` computes on masks, written as a spectrum: exact.

    Every tree of the booster counts; after early stopping pass `booster[: best_iteration + 1]`.

    Args:
        booster: gradient-boosted trees trained on dense 0/1 masks (a sparse matrix's zeros are
            missing values to xgboost) with an objective that has no link function.
        n_players: columns of a mask.
        keep: keep probability of the basis; any value gives the same function.
        min_abs: terms with a smaller coefficient are dropped (the constant stays).

    Raises:
        UsageError: not gradient-boosted regression trees on `n_players` numeric columns.
    """
    model = json.loads(bytes(booster.save_raw("json")))["learner"]
    trees, base = _read_model(model, n_players)
    probabilities = keep_vector(keep, n_players)
    blocks = collect(_expand(_leaves(trees), probabilities), n_players)
    constant = Block(np.zeros((1, 0), dtype=np.int32), np.array([base]))
    if blocks and blocks[0].order == 0:
        constant = Block(constant.columns, base + blocks[0].coefficients)
        blocks = blocks[1:]
    strong = [_at_least(block, min_abs) for block in blocks]
    return Spectrum.from_blocks(
        [constant, *(block for block in strong if len(block.coefficients))],
        n_players=n_players,
        keep=probabilities,
    )


@dataclass(frozen=True, eq=False)
class _Nodes:
    """The nodes of all trees, numbered consecutively."""

    roots: Int[np.ndarray, " trees"]
    left: Int[np.ndarray, " nodes"]  # -1 at a leaf
    right: Int[np.ndarray, " nodes"]
    column: Int[np.ndarray, " nodes"]
    # A split sends a mask left when its entry (0 or 1) is below the threshold; at a leaf, the
    # same array holds the leaf's value.
    threshold: Float[np.ndarray, " nodes"]


def _read_model(model: dict[str, Any], n_players: int) -> tuple[_Nodes, float]:
    """The trees, and the constant added to their sum."""
    kind = model["gradient_booster"]["name"]
    if kind != "gbtree":
        raise UsageError(f"extraction reads boosters of the kind gbtree, but got {kind}")
    objective = model["objective"]["name"]
    if objective not in _PLAIN_OBJECTIVES:
        raise UsageError(
            f"the objective {objective} passes the trees' sum through a link function; "
            "train with reg:squarederror"
        )
    parameters = model["learner_model_param"]
    if int(parameters["num_feature"]) != n_players:
        raise UsageError(
            f"the booster was trained on {parameters['num_feature']} columns, "
            f"but {n_players} players are expected"
        )
    if int(parameters.get("num_target", 1)) > 1 or int(parameters.get("num_class", 0)) > 1:
        raise UsageError("the booster predicts several values per mask; train one for each value")
    _check_fields(model)
    trees = model["gradient_booster"]["model"]["trees"]
    if any(any(tree["split_type"]) for tree in trees):
        raise UsageError("the booster has categorical splits; train on numeric 0/1 columns")
    # xgboost 3 writes "[5E-1]" (one number per target), xgboost 2 "5E-1".
    base = float(np.float32(parameters["base_score"].strip("[]")))
    return _join(trees), base


def _check_fields(model: dict[str, Any]) -> None:
    """Refuse a model with fields that this module does not know."""
    strange = {
        f"{place}.{field}".lstrip(".")
        for place, known in _FIELDS.items()
        for field in reduce(getitem, place.split(".") if place else [], model).keys() - known
    }
    for tree in model["gradient_booster"]["model"]["trees"]:
        strange |= {f"trees.{field}" for field in tree.keys() - _TREE_FIELDS}
    if strange:
        raise UsageError(
            "extraction reads plain sums of trees, but the booster also has "
            f"{', '.join(sorted(strange))}; train it without dropout and the like, "
            "or with a version of xgboost that `headspex doctor` names as tested"
        )


def _join(trees: list[dict[str, Any]]) -> _Nodes:
    sizes = [len(tree["left_children"]) for tree in trees]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def joined(field: str, dtype: type[np.generic]) -> Any:
        parts = [np.asarray(tree[field], dtype=dtype) for tree in trees]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)

    shift = np.repeat(offsets[:-1], sizes)
    left, right = joined("left_children", np.int64), joined("right_children", np.int64)
    leaf = left < 0
    return _Nodes(
        roots=offsets[:-1],
        left=np.where(leaf, -1, left + shift),
        right=np.where(leaf, -1, right + shift),
        column=joined("split_indices", np.int32),
        # The file holds float32 numbers in decimal; as float32 they equal those xgboost adds up.
        threshold=joined("split_conditions", np.float32).astype(np.float64),
    )


def _leaves(nodes: _Nodes) -> Iterator[Leaves]:
    """Descend all trees together, level by level; yield the leaves by number of players."""
    at = nodes.roots
    # One column per level; -1 if the split was already decided.
    path = np.zeros((len(at), 0), dtype=np.int32)
    sides = np.zeros((len(at), 0), dtype=np.bool_)
    while len(at):
        leaf = nodes.left[at] < 0
        yield from _group(path[leaf], sides[leaf], nodes.threshold[at[leaf]])
        at, path, sides = at[~leaf], path[~leaf], sides[~leaf]
        column, threshold = nodes.column[at], nodes.threshold[at]
        known = path == column[:, None]
        seen = known.any(axis=1)
        was_on = (known & sides).any(axis=1)
        below = threshold[:, None] > [0.0, 1.0]  # does an entry of 0, of 1 go left?
        splits = (below[:, 0] != below[:, 1]) & ~seen
        goes_left = np.where(seen & was_on, below[:, 1], below[:, 0])
        # Off goes left and on goes right, as 0 < 1; a decided split is passed through.
        child = np.where(splits | goes_left, nodes.left[at], nodes.right[at])
        both = np.flatnonzero(splits)
        literal = np.where(splits, column, -1).astype(np.int32)
        rows = np.concatenate([np.arange(len(at)), both])
        on = np.concatenate([np.zeros(len(at), np.bool_), np.ones(len(both), np.bool_)])
        path = np.concatenate([path[rows], literal[rows, None]], axis=1)
        sides = np.concatenate([sides[rows], on[:, None]], axis=1)
        at = np.concatenate([child, nodes.right[at][both]])


def _group(
    path: Int[np.ndarray, "leaves levels"],
    sides: Bool[np.ndarray, "leaves levels"],
    values: Float[np.ndarray, " leaves"],
) -> Iterator[Leaves]:
    counts = (path >= 0).sum(axis=1)
    sorter = np.argsort(path, axis=1, kind="stable")
    path, sides = np.take_along_axis(path, sorter, 1), np.take_along_axis(sides, sorter, 1)
    for order in np.unique(counts):
        rows = counts == order
        first = path.shape[1] - order  # the -1 were sorted to the front
        yield Leaves(columns=path[rows, first:], on=sides[rows, first:], values=values[rows])


def _expand(groups: Iterator[Leaves], keep: Float[np.ndarray, " players"]) -> Iterator[Block]:
    scale = np.sqrt(keep * (1 - keep))
    for leaves in groups:
        p, s = keep[leaves.columns], scale[leaves.columns]
        stay, take = np.where(leaves.on, p, 1 - p), np.where(leaves.on, -s, s)
        yield from multiply_out(leaves.columns, leaves.values, stay, take)


def _at_least(block: Block, min_abs: float) -> Block:
    strong = np.abs(block.coefficients) >= min_abs
    return Block(block.columns[strong], block.coefficients[strong])
