"""The model card of an exported folder: what was removed, scores, and sizes."""

from __future__ import annotations

from collections.abc import Sequence

from headspex.export.checkpoint import Checkpoint
from headspex.export.sizes import Sizes
from headspex.mask_file import MaskFile


def model_card(
    mask: MaskFile,
    made: Checkpoint,
    *,
    how: str,
    before: Sizes,
    after: Sizes,
    hub_name: str | None,
    run: str | None,
    scores: Sequence[str],
) -> str:
    """The text of README.md; it depends only on the export, so it has no timings.

    Args:
        mask: what was removed.
        made: the exported checkpoint.
        how: "zeroed" or "shrunk".
        before, after: sizes of the whole model and of this one.
        hub_name: the whole model's name on the Hub, if it has one.
        run: fingerprint of the run that found the mask.
        scores: sentences on what was measured.
    """
    shape = made.shape
    removed = (
        "Their columns of `o_proj` are zero; shapes and sizes are those of the whole model."
        if how == "zeroed"
        else f"They are cut out of the weights: every layer has {shape.per_layer} query heads on "
        f"{shape.groups} KV heads. Layers that lost all heads are kept as zeros."
    )
    header = [
        "---",
        *([f"base_model: {hub_name}"] if hub_name else []),
        "library_name: transformers",
        "tags: [headspex, pruned, attention-heads]",
        "---",
    ]
    facts = [
        f"- task: {mask.task}; heads were removed by {mask.ablation} ablation"
        + (", and a layer's remaining heads were rescaled" if mask.rescale else ""),
        f"- weights of the whole model: `{mask.fingerprint}`",
        *([f"- run: `{run}`"] if run else []),
        *(f"- {sentence}" for sentence in scores),
    ]
    return "\n".join(
        [
            *header,
            f"# {mask.model} with {mask.off} removed",
            "",
            f"`headspex` removed {mask.off} of `{mask.model}`; `headspex_mask.json` lists them. "
            f"{removed} The model is a plain `{made.architecture}`:",
            "",
            "```python",
            "from transformers import AutoModelForCausalLM",
            "",
            'model = AutoModelForCausalLM.from_pretrained("this folder")',
            "```",
            "",
            *facts,
            "",
            size_table(before, after),
            "",
            "Scores are those of the mask on its task; other abilities were not measured. The "
            "licence of the whole model applies to this one.",
            "",
        ]
    )


def size_table(before: Sizes, after: Sizes) -> str:
    """Parameters, bytes and KV cache, as a Markdown table."""
    rows = [
        ("parameters", before.parameters, after.parameters),
        ("bytes of weights", before.bytes, after.bytes),
        ("bytes of KV cache per token", before.kv_bytes, after.kv_bytes),
    ]
    lines = ["| | whole model | this one | saved |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {a:,} | {b:,} | {1 - b / a:.1%} |" for name, a, b in rows]
    return "\n".join(lines)
