"""Refusal of quantised weights, and how to get plain ones."""

from typing import Any

from headspex.errors import UsageError

_WAYS = {
    "bitsandbytes": "load it with transformers and bitsandbytes, and save model.dequantize()",
    "fp8": "load it with transformers and FineGrainedFP8Config(dequantize=True), and save that",
    "mxfp4": "load it with transformers and Mxfp4Config(dequantize=True), and save that",
}


def refuse_quantised(config: Any, name: str) -> None:
    """Refuse a model with quantised weights by its configuration, before reading any weights.

    Raises:
        UsageError: the configuration describes quantised weights.
    """
    found = getattr(config, "quantization_config", None)
    if found is None:
        found = getattr(config.get_text_config(decoder=True), "quantization_config", None)
    if found is None:
        return
    method, bits = _described(found if isinstance(found, dict) else vars(found))
    way = _WAYS.get(method)
    raise UsageError(
        f"headspex needs plain weights, but config.json of {name} has them quantised by {method}"
        f"{f' to {bits} bits' if bits else ''}; take the model it was made from"
        f"{f', or {way}' if way else ''}"
    )


def _described(content: dict[str, Any]) -> tuple[str, int | None]:
    """The method, and the bits per weight if the configuration has them."""
    method = content.get("quant_method")
    method = str(getattr(method, "value", method) or "")
    four, eight = (bool(content.get(f"load_in_{bits}bit")) for bits in (4, 8))
    if method.startswith("bitsandbytes") or (not method and (four or eight)):
        return "bitsandbytes", 4 if four else 8 if eight else None
    bits = content.get("bits") or content.get("w_bit") or (8 if method == "fp8" else None)
    return method or "a method without a name", bits if isinstance(bits, int) else None
