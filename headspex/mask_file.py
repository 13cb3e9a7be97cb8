"""A pruning mask as a file: which heads and MLPs are off, in which model, how it was done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from headspex.errors import UsageError
from headspex.files import read_json, write_text
from headspex.units import parse_units

FORMAT = "headspex.mask/1"
_FIELDS = {
    "format", "model", "fingerprint", "n_layers", "n_heads", "unit", "pruned_heads", "pruned_mlps",
    "ablation", "fill", "rescale", "sparsity", "task", "score",
}  # fmt: skip
_MOST_HEADS = 1_000_000  # a file that claims more is broken


@dataclass(frozen=True)
class MaskFile:
    """One `masks/NNN.json`.

    Attributes:
        model: the name the model was loaded by.
        fingerprint: sha256 of its weights; a mask fits no other model.
        n_layers, n_heads: of the whole model.
        pruned_heads: layer -> heads that are off, ascending.
        ablation: how heads are taken out: "zero", "mean" or "resample".
        rescale: whether the layer's remaining heads are multiplied by H / |kept|.
        sparsity: pruned share of the players of the run.
        task, score: what it was made for and its held-out score there, if it was scored.
        fill: path and sha256 of the means, for mean ablation.
        unit: what the players of the run were, as `--unit` takes it.
        pruned_mlps: layers whose MLPs are off, ascending.
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

    @property
    def n_pruned(self) -> int:
        """How many heads are off."""
        return sum(map(len, self.pruned_heads.values()))

    @property
    def off(self) -> str:
        """What is off, in words."""
        heads = [] if self.unit == "mlp" else [f"{self.n_pruned} heads"]
        mlps = [f"{len(self.pruned_mlps)} MLPs"] if "mlp" in parse_units(self.unit) else []
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
        }
        return json.dumps(content, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_text(path, self.to_json())

    def check_fits(self, fingerprint: str, model: str) -> None:
        """Refuse to be used on another model.

        Raises:
            UsageError: the fingerprints differ.
        """
        if self.fingerprint != fingerprint:
            raise UsageError(
                f"the mask was made for {self.model} (weights {self.fingerprint[:12]}), "
                f"but {model} has weights {fingerprint[:12]}; use a mask of this model"
            )


def pruned_heads(grid: Bool[np.ndarray, "layers heads"]) -> dict[int, tuple[int, ...]]:
    """Layer -> heads that are off in a keep grid; layers that lose none are left out."""
    return {
        int(layer): tuple(int(head) for head in np.flatnonzero(~grid[layer]))
        for layer in np.flatnonzero(~grid.all(axis=1))
    }


def read_mask(path: Path) -> MaskFile:
    """Read and check a mask file.

    Raises:
        UsageError: no such file, no JSON, another format, a field missing, unknown or impossible.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"a mask file says format {FORMAT!r}, but {path} does not")
    if content.keys() != _FIELDS:
        differing = ", ".join(sorted(_FIELDS.symmetric_difference(content.keys())))
        raise UsageError(
            f"the fields of a mask file are fixed, but {path} has missing or unknown: {differing}"
        )
    try:
        return _parse(content)
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{path} is no valid mask: {error}") from error


def _parse(content: dict[str, Any]) -> MaskFile:
    n_layers, n_heads = content["n_layers"], content["n_heads"]
    for name in ("n_layers", "n_heads"):
        if type(content[name]) is not int or not 0 < content[name] <= _MOST_HEADS:
            raise ValueError(f"{name} must be a positive whole number, but is {content[name]!r}")
    if n_layers * n_heads > _MOST_HEADS:
        raise ValueError(f"{n_layers} x {n_heads} heads are more than {_MOST_HEADS:,}")
    unit, mlps = _parse_parts(content, n_layers)
    if (
        content["ablation"] not in ("zero", "mean", "resample")
        or type(content["rescale"]) is not bool
    ):
        raise ValueError('ablation must be "zero", "mean" or "resample", rescale true or false')
    if content["rescale"] and unit != "head":
        raise ValueError(f"only heads are rescaled, but unit is {unit!r}")
    for name in ("model", "fingerprint", "task"):
        if not isinstance(content[name], str):
            raise ValueError(f"{name} must be a text, but is {content[name]!r}")
    score = content["score"]
    for name, number in (("score", score), ("sparsity", content["sparsity"])):
        missing_score = name == "score" and number is None
        if not missing_score and (type(number) not in (int, float) or not np.isfinite(number)):
            raise ValueError(f"{name} must be a number, but is {number!r}")
    return MaskFile(
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
    )


def _parse_parts(content: dict[str, Any], n_layers: int) -> tuple[str, tuple[int, ...]]:
    """The unit, and the MLPs that are off."""
    unit, mlps = content["unit"], content["pruned_mlps"]
    if not isinstance(unit, str):
        raise ValueError(f"unit must be a text, but is {unit!r}")
    units = parse_units(unit)
    if units == ("mlp",) and content["pruned_heads"] != {}:
        raise ValueError("pruned_heads are taken out where only heads or groups of them are units")
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
        layer = int(key) if key.isdecimal() and len(key) < 8 else -1
        if not 0 <= layer < n_layers:
            raise ValueError(f"layer {key!r} is outside 0..{n_layers - 1}")
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
