"""PEFT adapters: LoRAs with random weights, and the logits that peft gives unmerged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from made_exports import mask_of, ragged
from made_models import copy_of, logits_of

from headspex.errors import UsageError
from headspex.hooks import load_model
from headspex.hooks.pretrained import read_weights
from headspex.support.notice import say_once

# peft calls what transformers deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Every test hears what is said once."""
    say_once.cache_clear()


@pytest.fixture(scope="module")
def adapter(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter") / "lora"
    with_lora(model_folder).save_pretrained(folder)
    return folder


def with_lora(folder: Path, **options: Any) -> Any:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    from transformers import AutoModelForCausalLM

    torch.manual_seed(5)
    targets = {"target_modules": ["q_proj", "v_proj", "o_proj", "down_proj"], **options}
    config = peft.LoraConfig(r=2, task_type="CAUSAL_LM", init_lora_weights=False, **targets)
    return peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).eval()


def test_a_folder_a_flag_and_an_object_are_one_merged_model(
    adapter: Path, model_folder: Path
) -> None:
    wrapped = with_lora(model_folder)
    expected = logits_of(wrapped)
    plain = load_model(model_folder)
    alone, flagged = load_model(adapter), load_model(model_folder, adapter=adapter)
    given = load_model(wrapped, tokenizer=plain.tokenizer)
    assert not torch.allclose(logits_of(plain.bridge), expected, atol=1e-2)
    for model in (alone, flagged, given):
        torch.testing.assert_close(logits_of(model.bridge), expected, atol=1e-4, rtol=0)
        assert model.fingerprint == alone.fingerprint != plain.fingerprint
    assert (alone.name, alone.adapter) == (str(adapter), str(adapter))


def test_one_beside_the_weights_is_left_out_and_that_is_said(
    adapter: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = copy_of(model_folder, tmp_path)
    for file in adapter.glob("adapter_*"):
        shutil.copy(file, both)
    assert load_model(both).fingerprint == load_model(model_folder).fingerprint
    (line,) = capsys.readouterr().err.splitlines()
    assert f"beside the weights of {both} is ignored; adapter {both} merges it" in line
    asked = load_model(both, adapter=both)
    assert asked.fingerprint == load_model(adapter).fingerprint
    assert capsys.readouterr().err == ""


def test_it_is_merged_in_the_stored_type_whatever_type_is_asked_for(
    adapter: Path, model_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    from headspex.hooks.pretrained import read_config
    from headspex.hooks.sources import find_source

    half = copy_of(model_folder, tmp_path)
    AutoModelForCausalLM.from_pretrained(half).bfloat16().save_pretrained(half)
    source = find_source(str(half), adapter=adapter)
    merged = read_weights(source, read_config(source), torch.float32)
    for weight in merged.parameters():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, weight.bfloat16().float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"base_model_name_or_path": "./nowhere"},
            "is an adapter of ./nowhere, which cannot be found",
        ),
        (
            {"base_model_name_or_path": None},
            "names no base model; give the base as model, and .* as adapter$",
        ),
        ({"task_type": "SEQ_CLS"}, "adapter of a language model.*trained for SEQ_CLS"),
    ],
)
def test_one_that_cannot_be_merged_is_refused(
    change: dict[str, Any], message: str, adapter: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(adapter, tmp_path / "changed")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match=message):
        load_model(folder)


def test_one_of_another_model_is_refused_by_the_weight_that_has_no_place(
    adapter: Path, four_layers: Path, model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"does not fit .*layers\.2\..* is only in the model"):
        load_model(four_layers, adapter=adapter)
    with_lora(four_layers).save_pretrained(tmp_path / "deep")
    with pytest.raises(UsageError, match=r"does not fit .*layers\.[23]\..* is only in it"):
        load_model(model_folder, adapter=tmp_path / "deep")
    with pytest.raises(UsageError, match="does not fit"):
        load_model("tiny", adapter=adapter)


def test_one_that_adds_inputs_cannot_be_merged(model_folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    from transformers import AutoModelForCausalLM

    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    plain = AutoModelForCausalLM.from_pretrained(model_folder)
    wrapped = peft.get_peft_model(plain, config)
    wrapped.save_pretrained(tmp_path / "prompt")
    with pytest.raises(UsageError, match=r"PROMPT_TUNING.* cannot be merged"):
        load_model(model_folder, adapter=tmp_path / "prompt")
    with pytest.raises(UsageError, match=r"PROMPT_TUNING.* cannot be merged"):
        load_model(wrapped, tokenizer=load_model("tiny").tokenizer)


def test_one_that_changes_one_end_of_tied_embeddings_is_refused(
    model_folder: Path, tmp_path: Path
) -> None:
    tied = copy_of(model_folder, tmp_path, tie_word_embeddings=True)
    with pytest.warns(UserWarning, match="tie_word_embeddings"):
        wrapped = with_lora(tied, target_modules=["q_proj", "embed_tokens"])
    wrapped.save_pretrained(tmp_path / "ends", save_embedding_layers=False)
    with pytest.raises(UsageError, match="embed_tokens, but this model ties"):
        load_model(tied, adapter=tmp_path / "ends")


def test_two_of_them_a_bridge_an_injected_one_and_none_are_refused(
    adapter: Path, model_folder: Path
) -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(UsageError, match="only one adapter can be merged"):
        load_model(adapter, adapter=adapter)
    with pytest.raises(UsageError, match=r"has no adapter_config\.json"):
        load_model("tiny", adapter=model_folder)
    model = load_model(model_folder)
    with pytest.raises(UsageError, match="before a bridge is built"):
        load_model(model.bridge, tokenizer=model.tokenizer, adapter=adapter)
    plain = AutoModelForCausalLM.from_pretrained(model_folder)
    plain.load_adapter(str(adapter))
    with pytest.raises(UsageError, match="an adapter was loaded into this model"):
        load_model(plain, tokenizer=model.tokenizer)


def test_without_peft_that_is_said(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headspex.hooks.extras.find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r"peft, which is not installed; pip install 'heads"):
        load_model(adapter)


def test_a_pickled_one_is_not_read(adapter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(adapter, tmp_path / "pickled")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UsageError, match="has pickled weights"):
        load_model(folder)


def test_a_run_records_it_and_its_export_is_the_merged_model(
    adapter: Path, model_folder: Path, tmp_path: Path
) -> None:
    from headspex.export.exporting import export_mask
    from headspex.study import Study

    study = Study(str(model_folder), "mini", adapter=str(adapter))
    assert study.identity["adapter"] == str(adapter)
    assert study.identity["weights"] == load_model(adapter).fingerprint
    mask = mask_of(str(adapter), ragged(2, 4))
    export_mask(mask, tmp_path / "a", how="zeroed", timed=False)
    from dataclasses import replace

    flagged = replace(mask, model=str(model_folder))
    export_mask(flagged, tmp_path / "b", how="zeroed", timed=False, adapter=str(adapter))
    assert load_model(tmp_path / "a").fingerprint == load_model(tmp_path / "b").fingerprint
