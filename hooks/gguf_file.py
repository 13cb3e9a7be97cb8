"""GGUF files (llama.cpp's format), which transformers reads into plain weights."""

from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.hooks.adapters import WEIGHTS
from headspex.hooks.extras import need

SUFFIX = ".gguf"


def only_gguf(folder: Path) -> str | None:
    """The name of the only weights in a folder if they are a GGUF file, else None.

    Raises:
        UsageError: the folder holds several GGUF files.
    """
    found = sorted(file.name for file in folder.glob(f"*{SUFFIX}"))
    if not found or _other_weights(folder):
        return None
    if len(found) > 1:
        raise UsageError(
            f"{folder} holds {len(found)} GGUF files ({', '.join(found[:4])}"
            f"{', ...' if len(found) > 4 else ''}), and a model is one of them; name the file, "
            f"such as {folder / found[0]}"
        )
    return found[0]


def check_readable(name: str) -> None:
    """Check that the package that reads GGUF files is installed.

    Raises:
        UsageError: the package is not installed.
    """
    need("gguf", f"{name} is read")


def quantisation(file: Path) -> str:
    """How most of a file's weights are stored, such as "GGUF Q4_1"."""
    from gguf import GGUFReader

    sizes: dict[str, int] = {}
    for tensor in GGUFReader(file).tensors:
        kind = tensor.tensor_type.name
        sizes[kind] = sizes.get(kind, 0) + int(tensor.n_elements)
    return f"GGUF {max(sizes, key=lambda kind: (sizes[kind], kind))}"


def reading(file: str) -> dict[str, Any]:
    """Arguments of `from_pretrained` that make transformers read a file into plain weights."""
    import transformers

    # The newest releases would otherwise compute with the file's quantised blocks.
    kind = getattr(transformers, "GgufConfig", None)
    return {} if kind is None else {"quantization_config": kind(gguf_file=file, dequantize=True)}


def forget_blocks(model: Any) -> None:
    """Remove the quantisation settings of a model read from a file, so that it can be saved."""
    for owner, name in (
        (model.config, "quantization_config"),
        (model, "hf_quantizer"),
        (model, "quantization_method"),
    ):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False


def _other_weights(folder: Path) -> bool:
    return any(
        file.name != WEIGHTS
        for pattern in ("*.safetensors", "pytorch_model*.bin")
        for file in folder.glob(pattern)
    )
