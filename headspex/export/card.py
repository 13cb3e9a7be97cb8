"""The model card of an exported folder: what was taken out, what it scores, what it saves."""

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
    """The text of README.md; the same for the same export, so it quotes no times.

    Args:
        mask: what was taken out.
        made: the checkpoint that is written.
        how: "zeroed" or "shrunk".
        before, after: sizes of the whole model and of this one.
        hub_name: the whole model's name on the Hub, if it has one.
        run: fingerprint of the run that found the mask.
        scores: sentences that say what was measured.
    """
    shape = made.shape
    removed = (
        "Their columns of `o_proj` are zero: all shapes are those of the whole model, and so are "
        "its sizes."
        if how == "zeroed"
        else f"They are really gone: every layer has {shape.per_layer} query heads on "
        f"{shape.groups} KV heads. Layers that lost all heads stay as zeros."
    )
    header = [
        "---",
        *([f"base_model: {hub_name}"] if hub_name else []),
        "library_name: transformers",
        "tags: [headspex, pruned, attention-heads]",
        "---",
    ]
    facts = [
        f"- task: {mask.task}; heads were taken out by {mask.ablation} ablation"
        + (", the remaining ones of a layer rescaled" if mask.rescale else ""),
        f"- weights of the whole model: `{mask.fingerprint}`",
        *([f"- run: `{run}`"] if run else []),
        *(f"- {sentence}" for sentence in scores),
    ]
    return "\n".join(
        [
            *header,
            f"# {mask.model} with {mask.off} removed",
            "",
            f"`headspex` took {mask.off} of `{mask.model}` out; `headspex_mask.json` names them. "
            f"{removed} It is a plain `{made.architecture}`:",
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
            "Scores are those of the mask on its task. What else the removed heads did is not in "
            "them. The licence of the whole model holds for this one.",
            "",
        ]
    )


def size_table(before: Sizes, after: Sizes) -> str:
    """Parameters, bytes and KV cache, as a table in Markdown."""
    rows = [
        ("parameters", before.parameters, after.parameters),
        ("bytes of weights", before.bytes, after.bytes),
        ("bytes of KV cache per token", before.kv_bytes, after.kv_bytes),
    ]
    lines = ["| | whole model | this one | saved |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {a:,} | {b:,} | {1 - b / a:.1%} |" for name, a, b in rows]
    return "\n".join(lines)
