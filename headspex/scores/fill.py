"""Mean ablation's fill, mean outputs of heads and MLPs: made, and kept as a safetensors file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headspex.errors import UsageError
from headspex.hooks import Fill, LoadedModel, Parts, mean_outputs
from headspex.mask_file import MaskFile, read_mask
from headspex.support.files import write_bytes
from headspex.support.progress import progress
from headspex.tasks import EncodedQuestion
from headspex.units import MEANS, parse_units

NAME = "fill.safetensors"
_TENSORS = {"heads": "mean_z", "mlps": "mean_mlp"}  # by field of `Fill`


def mean_fill(
    model: LoadedModel,
    encoded: Sequence[EncodedQuestion],
    *,
    ablation: str = "mean",
    unit: str = "head",
) -> Fill:
    """Mean outputs of the parts that a unit switches, as numpy arrays.

    Args:
        model: under hooks.
        encoded: the questions; every token that the model reads to answer them counts, of prompts
            and of answers.
        ablation: one of `headspex.units.MEANS`.
        unit: such as "head,mlp".

    Raises:
        UsageError: means per position of inputs of several lengths.
    """
    from headspex.hooks.fill import check_one_length
    from headspex.hooks.inputs import padded_inputs

    per_position = ablation == "mean-position"
    if per_position:
        check_one_length(encoded, model.n_ctx)
    tokens, lengths = padded_inputs(encoded, model.n_ctx)
    with progress(len(tokens), "mean outputs") as report:
        found = mean_outputs(
            model.bridge, tokens, lengths,
            parts=_parts_of(unit), per_position=per_position, progress=report,
        )  # fmt: skip
    return Fill(**{part: one.cpu().numpy() for part, one in vars(found).items() if one is not None})


def _parts_of(unit: str) -> Parts:
    units = parse_units(unit)
    return Parts(heads=units != ("mlp",), mlps="mlp" in units)


def fingerprint_of(fill: Fill | None) -> str | None:
    """The sha256 of all means; None without any."""
    if fill is None:
        return None
    arrays = [one for one in (fill.heads, fill.mlps) if one is not None]
    return hashlib.sha256(b"".join(one.tobytes() for one in arrays)).hexdigest()


def write_fill(folder: Path, fill: Fill, name: str = NAME) -> dict[str, str]:
    """Write the means; returns `{"path", "sha256"}` as mask files name them."""
    from safetensors.numpy import save

    data = save(
        {
            _TENSORS[part]: np.ascontiguousarray(one)
            for part, one in vars(fill).items()
            if one is not None
        }
    )
    write_bytes(folder / name, data)
    return {"path": name, "sha256": hashlib.sha256(data).hexdigest()}


def read_fill(mask: MaskFile, mask_path: Path) -> Fill | None:
    """The means that a mask file refers to, from its folder; None for other ablations.

    Raises:
        UsageError: the file is missing, has changed, or is not named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if mask.ablation not in MEANS:
        return None
    if mask.fill is None:
        raise UsageError(f"mean ablation needs a fill, but {mask_path} names none")
    # Only the name is used: a path in an untrusted file must not lead out of the folder.
    path = mask_path.parent / Path(mask.fill["path"]).name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{mask_path} needs {path}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != mask.fill["sha256"]:
        raise UsageError(f"{path} is not the fill that {mask_path} was made with")
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise UsageError(f"{path} is not a safetensors file: {error}") from error
    parts = _parts_of(mask.unit)
    wanted = [part for part in _TENSORS if getattr(parts, part)]
    if absent := [_TENSORS[part] for part in wanted if _TENSORS[part] not in tensors]:
        raise UsageError(f"{path} holds no tensor {absent[0]!r}; repeat the run of {mask_path}")
    return Fill(**{part: tensors[_TENSORS[part]] for part in wanted})


def fill_of_run(masks: Path, ablation: str) -> Fill | None:
    """The means that a run's mask files share; None for other ablations.

    Args:
        masks: the run's folder of mask files.
        ablation: of the run.

    Raises:
        UsageError: as `read_fill`, or there are no mask files.
    """
    if ablation not in MEANS:
        return None
    path = min(masks.glob("*.json"), default=None)
    if path is None:
        raise UsageError(f"the run's means belong in {masks}, which has no masks; repeat the run")
    return read_fill(read_mask(path), path)
