"""The healing that a guide shows heals."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headspex.export.exporting import export_mask
from headspex.hooks import load_model
from headspex.mask_file import MaskFile, pruned_heads

GUIDE = (Path(__file__).resolve().parents[1] / "docs/guides/prune-and-export.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.slow
def test_healing_with_peft_lowers_the_loss_of_a_shrunk_model(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    import torch
    from transformers import AutoTokenizer

    keep = np.ones((6, 8), dtype=bool)
    keep[:, [0, 1]] = False
    mask = MaskFile(
        model="tiny", fingerprint=load_model("tiny").fingerprint, n_layers=6, n_heads=8,
        pruned_heads=pruned_heads(keep), ablation="zero", rescale=False, sparsity=0.25,
        task="mini", score=None,
    )  # fmt: skip
    export_mask(mask, tmp_path / "shrunk", how="shrunk", timed=False)
    names: dict[str, Any] = {}
    exec(next(text for _, text in BLOCKS if "def heal" in text), names)
    heal: Callable[..., Any] = names["heal"]
    text = "The home of the fox is the forest ."
    rows = AutoTokenizer.from_pretrained(tmp_path / "shrunk")(text, return_tensors="pt")
    losses = []
    for steps in (0, 30):
        torch.manual_seed(0)
        model = heal(str(tmp_path / "shrunk"), [text], steps=steps)
        with torch.no_grad():
            losses.append(float(model(rows["input_ids"], labels=rows["input_ids"]).loss))
    assert losses[1] < losses[0] - 0.1
