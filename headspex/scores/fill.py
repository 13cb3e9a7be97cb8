"""Mean ablation's fill, the mean output of every head, as a safetensors file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Float

from headspex.errors import UsageError
from headspex.mask_file import MaskFile, read_mask
from headspex.support.files import write_bytes

NAME = "fill.safetensors"
_TENSOR = "mean_z"


def write_fill(
    folder: Path, fill: Float[np.ndarray, "layers heads d_head"], name: str = NAME
) -> dict[str, str]:
    """Write the means; returns `{"path", "sha256"}` as mask files name them."""
    from safetensors.numpy import save

    data = save({_TENSOR: np.ascontiguousarray(fill)})
    write_bytes(folder / name, data)
    return {"path": name, "sha256": hashlib.sha256(data).hexdigest()}


def read_fill(mask: MaskFile, mask_path: Path) -> Float[np.ndarray, "layers heads d_head"] | None:
    """The means that a mask file refers to, from its folder; None for other ablations.

    Raises:
        UsageError: the file is missing, has changed, or is not named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if mask.ablation != "mean":
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
        return np.asarray(load(data)[_TENSOR])
    except (SafetensorError, KeyError) as error:
        raise UsageError(f"{path} holds no tensor {_TENSOR!r}: {error}") from error


def fill_of_run(masks: Path) -> Float[np.ndarray, "layers heads d_head"] | None:
    """The means that a run's mask files share; None for zero ablation.

    Args:
        masks: the run's folder of mask files.

    Raises:
        UsageError: as `read_fill`, or there are no mask files.
    """
    path = min(masks.glob("*.json"), default=None)
    if path is None:
        raise UsageError(f"the run's means belong in {masks}, which has no masks; repeat the run")
    return read_fill(read_mask(path), path)
