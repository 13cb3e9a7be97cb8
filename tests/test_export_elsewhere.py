"""Exported checkpoints and masks in other programs: transformers beyond the original context,
torch's pruning, lm-eval."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_exports import even, export, mask_of, ragged
from made_models import byte_tokenizer, save_random_llama
from transformers import AutoTokenizer

from headspex.export.shapes import Shape
from headspex.hooks import ablated, load_model
from headspex.hooks.exact import exactly

ROPES: dict[str, dict[str, Any]] = {
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "yarn": {"factor": 8.0},
    "linear": {"factor": 4.0},
}


@pytest.mark.parametrize("kind", ROPES)
@pytest.mark.parametrize("how", ["zeroed", "shrunk"])
def test_prompts_longer_than_the_original_context_are_answered_alike(
    kind: str, how: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    rope = {"rope_type": kind, "rope_theta": 5e5, "original_max_position_embeddings": 128}
    folder = save_random_llama(
        tmp_path / "model", layers=2, tokenizer=byte_tokenizer(), hidden_size=64,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=1024,
        rope_parameters=rope | ROPES[kind],
    )  # fmt: skip
    keep = ragged(2, 8) if how == "zeroed" else even(2, 4, 2, Shape(3, 2))
    mask = mask_of(str(folder), keep)
    exported = export(mask, tmp_path / "out", how)
    assert exported.difference < 1e-8
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float64)
    assert type(model).__name__ == ("LlamaForCausalLM" if how == "zeroed" else "MistralForCausalLM")
    tokens = torch.randint(250, (1, 900), generator=torch.Generator().manual_seed(3))
    bridge = load_model(folder).bridge
    with exactly(), ablated(bridge, keep):
        expected = bridge(tokens)
    with torch.no_grad():
        found = model(tokens).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    text = "I'm 12345 days\n\n  OLD, don't—Ω"
    ours, theirs = (AutoTokenizer.from_pretrained(place) for place in (folder, tmp_path / "out"))
    assert ours(text).input_ids == theirs(text).input_ids


def test_torch_prunes_what_the_mask_names(four_layers: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from torch.nn.utils import prune
    from transformers import AutoModelForCausalLM

    from headspex.export.masks import prune_modules, write_masks

    keep = ragged(4, 4)
    mask = mask_of(str(four_layers), keep, mlps_off=(3,))
    write_masks(mask, None, tmp_path / "out")
    stored = load_file(tmp_path / "out" / "headspex_mask.safetensors")
    np.testing.assert_array_equal(stored["heads"], keep)
    assert stored["mlps"].tolist() == [True, True, True, False]
    model = AutoModelForCausalLM.from_pretrained(four_layers)
    prune_modules(model, mask)
    assert prune.is_pruned(model)
    export(mask, tmp_path / "zeroed", "zeroed")
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "zeroed")
    tokens = torch.arange(12)[None]
    torch.testing.assert_close(model(tokens).logits, expected(tokens).logits, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["zeroed", "shrunk"])
def test_lm_eval_scores_an_exported_folder_as_the_mask_is_scored(how: str, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from headspex.hooks import answer_log_probs
    from headspex.tasks import encode_task, load_task
    from headspex.tasks.prompts import prompt

    mask = mask_of("tiny", even(6, 4, 2, Shape(3, 2)))
    export(mask, tmp_path / "out", how)
    task, model = load_task("mini"), load_model("tiny")
    questions = task.test[::60]
    expected = answer_log_probs(
        model, encode_task(task, questions, model.tokenizer), mask.keep_grid()
    )
    lm = HFLM(pretrained=str(tmp_path / "out"), dtype="float32", device="cpu", batch_size=1)
    asked = [
        Instance("loglikelihood", {}, (prompt(question), f" {letter}"), index)
        for index, (question, letter) in enumerate((q, x) for q in questions for x in "ABCD")
    ]
    found = np.array([score for score, _ in lm.loglikelihood(asked)]).reshape(-1, 4)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
