"""Weights that are stored as small numbers: which, and what can be done about it."""

from typing import Any

from headspex.errors import UsageError

_WAYS = {
    "bitsandbytes": "load it with transformers where bitsandbytes is installed, and save "
    "model.dequantize()",
    "fp8": "load it with transformers and FineGrainedFP8Config(dequantize=True), and save that",
    "mxfp4": "load it with transformers and Mxfp4Config(dequantize=True), and save that",
}


def refuse_quantised(config: Any, name: str) -> None:
    """Refuse a configuration that says its weights are quantised, before they are read.

    Raises:
        UsageError: it does.
    """
    text = config.get_text_config(decoder=True)
    found = next(
        (
            each.quantization_config
            for each in (config, text)
            if getattr(each, "quantization_config", None) is not None
        ),
        None,
    )
    if found is None:
        return
    method, bits = _described(found if isinstance(found, dict) else vars(found))
    way = _WAYS.get(method)
    raise UsageError(
        f"heads are taken out of plain weights, but those of {name} are quantised by {method}"
        f"{f' to {bits} bits' if bits else ''}, as its config.json says; take the model that it "
        f"was made from{f', or {way}' if way else ''}"
    )


def _described(content: dict[str, Any]) -> tuple[str, int | None]:
    """The method, and the bits of a weight where that is told."""
    method = content.get("quant_method")
    method = str(getattr(method, "value", method) or "")
    four, eight = (bool(content.get(f"load_in_{bits}bit")) for bits in (4, 8))
    if method.startswith("bitsandbytes") or (not method and (four or eight)):
        return "bitsandbytes", 4 if four else 8 if eight else None
    bits = content.get("bits") or content.get("w_bit") or (8 if method == "fp8" else None)
    return method or "a method without a name", bits if isinstance(bits, int) else None
