"""Mask files: which heads and MLPs of a model are off, and by which ablation."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from headspex.errors import UsageError
from headspex.support.files import read_json, write_text
from headspex.units import ABLATIONS, counted, parse_units

FORMAT = "headspex.mask/1"
_FIELDS = {
    "format", "model", "fingerprint", "n_layers", "n_heads", "unit", "pruned_heads", "pruned_mlps",
    "ablation", "fill", "rescale", "sparsity", "task", "score",
}  # fmt: skip
_LATER = {"load_in"}  # only where it is set
_MOST_HEADS = 1_000_000  # a file that claims more is broken
_ROUNDED = 0.005 + 1e-9  # error of a sparsity that is written with two decimals


@dataclass(frozen=True)
class MaskFile:
    """One `masks/NNN.json`.

    Attributes:
        model: the name the model was loaded by.
        fingerprint: sha256 of its weights; a mask fits no other model.
        n_layers, n_heads: of the whole model.
        pruned_heads: layer -> heads that are off, ascending.
        ablation: one of `headspex.units.ABLATIONS`.
        rescale: whether the layer's remaining heads are multiplied by H / |kept|.
        sparsity: pruned share of the players of the run.
        task: that the mask was found on.
        score: held-out score on the task, if measured.
        fill: path and sha256 of the means, for mean ablation.
        unit: the players of the run, such as "head" or "head,mlp".
        pruned_mlps: layers whose MLPs are off, ascending.
        load_in: "8bit" or "4bit" if the score is that of weights quantised so.
    """

    model: str
    fingerprint: str
    n_layers: int
    n_heads: int
    pruned_heads: dict[int, tuple[int, ...]]
    ablation: str
    rescale: bool
    sparsity: float
    task: str
    score: float | None
    fill: dict[str, str] | None = None
    unit: str = "head"
    pruned_mlps: tuple[int, ...] = ()
    load_in: str | None = None

    @property
    def n_pruned(self) -> int:
        """The number of heads that are off."""
        return sum(map(len, self.pruned_heads.values()))

    @property
    def off(self) -> str:
        """The number of heads and MLPs that are off, in words."""
        heads = [] if self.unit == "mlp" else [counted(self.n_pruned, "head")]
        with_mlps = "mlp" in parse_units(self.unit)
        mlps = [counted(len(self.pruned_mlps), "MLP")] if with_mlps else []
        return " and ".join(heads + mlps)

    def keep_mlps(self) -> Bool[np.ndarray, " layers"]:
        """True where an MLP stays on."""
        keep = np.ones(self.n_layers, dtype=bool)
        keep[list(self.pruned_mlps)] = False
        return keep

    def keep_grid(self) -> Bool[np.ndarray, "layers heads"]:
        """True where a head stays on."""
        grid = np.ones((self.n_layers, self.n_heads), dtype=bool)
        for layer, heads in self.pruned_heads.items():
            grid[layer, list(heads)] = False
        return grid

    def to_json(self) -> str:
        """The file's text."""
        content = {
            "format": FORMAT,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "unit": self.unit,
            "pruned_heads": {str(layer): list(h) for layer, h in self.pruned_heads.items()},
            "pruned_mlps": list(self.pruned_mlps),
            "ablation": self.ablation,
            "fill": self.fill,
            "rescale": self.rescale,
            "sparsity": self.sparsity,
            "task": self.task,
            "score": self.score,
            **({} if self.load_in is None else {"load_in": self.load_in}),
        }
        return json.dumps(content, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        write_text(path, self.to_json())

    def check_fits(self, fingerprint: str, model: str, *, n_layers: int, n_heads: int) -> None:
        """Refuse another model.

        Args:
            fingerprint: of the model's weights.
            model: its name.
            n_layers, n_heads: its shape.

        Raises:
            UsageError: fingerprints differ, or shapes do, as after an edit of the file.
        """
        if self.fingerprint != fingerprint:
            raise UsageError(
                f"the mask was made for {self.model} (weights {self.fingerprint[:12]}), "
                f"but {model} has weights {fingerprint[:12]}; use a mask of this model"
            )
        self.check_shape(model, n_layers=n_layers, n_heads=n_heads)

    def check_shape(self, model: str, *, n_layers: int, n_heads: int) -> None:
        """Refuse a model with another number of layers or heads.

        Raises:
            UsageError: the shapes differ.
        """
        if (self.n_layers, self.n_heads) != (n_layers, n_heads):
            raise UsageError(
                f"the mask has {self.n_layers} layers x {self.n_heads} heads, but {model} has "
                f"{n_layers} x {n_heads}; use a mask of this model"
            )


def pruned_heads(grid: Bool[np.ndarray, "layers heads"]) -> dict[int, tuple[int, ...]]:
    """Layer -> heads that are off in a keep grid, without layers that lose no head."""
    return {
        int(layer): tuple(int(head) for head in np.flatnonzero(~grid[layer]))
        for layer in np.flatnonzero(~grid.all(axis=1))
    }


def read_mask(path: Path) -> MaskFile:
    """Read and check a mask file.

    Raises:
        UsageError: the file is absent, not JSON or of another format, or a field is missing,
            unknown or impossible.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"a mask file has the format {FORMAT!r}, but {path} has another")
    if (given := content.keys() - _LATER) != _FIELDS:
        differing = ", ".join(sorted(_FIELDS.symmetric_difference(given)))
        raise UsageError(
            f"the fields of a mask file are fixed, but in {path} some are missing or unknown: "
            f"{differing}"
        )
    try:
        return _parse(content)
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{path} is not a valid mask: {error}") from error


def _parse(content: dict[str, Any]) -> MaskFile:
    n_layers, n_heads = content["n_layers"], content["n_heads"]
    for name in ("n_layers", "n_heads"):
        if type(content[name]) is not int or not 0 < content[name] <= _MOST_HEADS:
            raise ValueError(
                f"{name} must be a whole number within 1..{_MOST_HEADS:,}, but is {content[name]!r}"
            )
    if n_layers * n_heads > _MOST_HEADS:
        raise ValueError(f"{n_layers} x {n_heads} heads are more than {_MOST_HEADS:,}")
    unit, mlps = _parse_parts(content, n_layers)
    if content["ablation"] not in ABLATIONS or type(content["rescale"]) is not bool:
        raise ValueError(f"ablation must be one of {', '.join(ABLATIONS)}, rescale true or false")
    if content["rescale"] and unit != "head":
        raise ValueError(f"only heads are rescaled, but unit is {unit!r}")
    for name in ("model", "fingerprint", "task", *(_LATER & content.keys())):
        if not isinstance(content[name], str):
            raise ValueError(f"{name} must be a text, but is {content[name]!r}")
    score = content["score"]
    for name, number in (("score", score), ("sparsity", content["sparsity"])):
        missing_score = name == "score" and number is None
        if not missing_score and (type(number) not in (int, float) or not np.isfinite(number)):
            raise ValueError(f"{name} must be a number, but is {number!r}")
    mask = MaskFile(
        model=content["model"],
        fingerprint=content["fingerprint"],
        n_layers=n_layers,
        n_heads=n_heads,
        pruned_heads=_parse_heads(content["pruned_heads"], n_layers, n_heads),
        ablation=content["ablation"],
        rescale=content["rescale"],
        sparsity=float(content["sparsity"]),
        task=content["task"],
        score=None if score is None else float(score),
        fill=_parse_fill(content["fill"]),
        unit=unit,
        pruned_mlps=mlps,
        load_in=content.get("load_in"),
    )
    if not (np.abs(_possible_sparsities(mask) - mask.sparsity) <= _ROUNDED).any():
        raise ValueError(
            f"sparsity must be the share of the run's players that is off, but {mask.sparsity:g} "
            f"is impossible for {mask.off} in {n_layers} layers of {n_heads} heads"
        )
    return mask


def _possible_sparsities(mask: MaskFile) -> Float[np.ndarray, "layers counts"]:
    """Every possible share of the run's players that is off.

    A mask file holds neither the layers of its run nor the number of KV groups.
    """
    units, n_heads = parse_units(mask.unit), mask.n_heads
    groups = [count for count in range(1, n_heads + 1) if n_heads % count == 0]
    # Attention players per layer.
    counts = np.array({"head": [n_heads], "kv-group": groups, "layer": [1], "mlp": [0]}[units[0]])
    touched = len({*mask.pruned_heads, *mask.pruned_mlps})
    n_layers = np.arange(max(1, touched), mask.n_layers + 1)[:, None]
    off = mask.n_pruned * counts / n_heads + len(mask.pruned_mlps)
    return np.asarray(off / (n_layers * (counts + ("mlp" in units))))


def _parse_parts(content: dict[str, Any], n_layers: int) -> tuple[str, tuple[int, ...]]:
    """The unit, and the MLPs that are off."""
    unit, mlps = content["unit"], content["pruned_mlps"]
    if not isinstance(unit, str):
        raise ValueError(f"unit must be a text, but is {unit!r}")
    units = parse_units(unit)
    if units == ("mlp",) and content["pruned_heads"] != {}:
        raise ValueError("pruned_heads must be empty where unit is mlp")
    fits = isinstance(mlps, list) and all(type(x) is int and 0 <= x < n_layers for x in mlps)
    if not fits or sorted(set(mlps)) != mlps or (mlps and "mlp" not in units):
        raise ValueError(
            f"pruned_mlps must ascend within 0..{n_layers - 1}, and be empty where unit has no mlp"
        )
    return unit, tuple(mlps)


def _parse_heads(given: object, n_layers: int, n_heads: int) -> dict[int, tuple[int, ...]]:
    if not isinstance(given, dict):
        raise ValueError("pruned_heads must map layers to lists of heads")
    heads: dict[int, tuple[int, ...]] = {}
    for key, row in given.items():
        layer = int(key) if re.fullmatch("0|[1-9][0-9]{0,6}", key) else -1
        if not 0 <= layer < n_layers:
            raise ValueError(f"layers are 0..{n_layers - 1} in plain digits, but one is {key!r}")
        fits = isinstance(row, list) and all(type(h) is int and 0 <= h < n_heads for h in row)
        if not fits or sorted(set(row)) != row:
            raise ValueError(f"the heads of layer {layer} must ascend within 0..{n_heads - 1}")
        heads[layer] = tuple(row)
    return heads


def _parse_fill(given: object) -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.keys() != {"path", "sha256"}:
        raise ValueError('fill must be null or {"path", "sha256"}')
    if not all(isinstance(value, str) for value in given.values()):
        raise ValueError("path and sha256 of fill must be texts")
    return dict(given)
