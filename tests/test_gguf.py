"""GGUF files, written here as llama.cpp writes them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_models import copy_of, logits_of

from headspex.errors import UsageError
from headspex.hooks import load_model
from headspex.support.notice import say_once


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Every test hears what is said once."""
    say_once.cache_clear()


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q and k as llama.cpp keeps them: the halves that rotate together side by side."""
    rows, width = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, width)
    return halves.swapaxes(1, 2).reshape(rows, width)


def write_gguf(model: Any, to: Path, kind: str) -> None:
    """A Llama as llama.cpp's own conversion writes it, matrices quantised to `kind`."""
    gguf = pytest.importorskip("gguf", reason="gguf is not installed")
    from tokenizers.pre_tokenizers import ByteLevel

    config, quantised = model.config, gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(to, "llama")
    writer.add_name("random")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    bytes_ = sorted(ByteLevel.alphabet())
    tokens = ["<s>", "</s>", *bytes_, "th", "the"]
    tokens += [f"<unused{n}>" for n in range(config.vocab_size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [3 if token.startswith("<") and len(token) > 1 else 1 for token in tokens]
    )
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        weight = tensor.float().numpy()
        if "q_proj" in name:
            weight = interleaved(weight, config.num_attention_heads)
        if "k_proj" in name:
            weight = interleaved(weight, config.num_key_value_heads)
        base, suffix = name.rsplit(".", 1)
        where = f"{names.get_name(base)}.{suffix}"
        if weight.ndim == 1 or kind == "F32":
            writer.add_tensor(where, weight)
        else:
            blocks = gguf.quants.quantize(weight, quantised)
            writer.add_tensor(where, blocks, raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        initializer_range=0.2, rope_parameters={"rope_type": "default", "rope_theta": 5e4},
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "random.Q8_0.gguf"
    write_gguf(model, path, "Q8_0")
    return path


def test_unquantised_weights_are_those_that_were_written(model: Any, tmp_path: Path) -> None:
    write_gguf(model, tmp_path / "whole.gguf", "F32")
    found = load_model(tmp_path / "whole.gguf")
    assert found.quantised == "GGUF F32"
    torch.testing.assert_close(logits_of(found.bridge), logits_of(model), atol=1e-5, rtol=0)


def test_a_file_and_the_folder_around_it_are_one_model_with_its_quantisation(
    model: Any, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_file, by_folder = load_model(file), load_model(file.parent)
    assert by_file.fingerprint == by_folder.fingerprint
    assert by_file.quantised == by_folder.quantised == "GGUF Q8_0"
    apart = (logits_of(by_file.bridge) - logits_of(model)).abs().max()
    assert 1e-4 < float(apart) < 0.3  # eight bits
    assert by_file.tokenizer("the").input_ids[-1] == 2 + 256 + 1
    assert capsys.readouterr().err == ""


def test_it_is_exported_with_its_tokenizer(file: Path, tmp_path: Path) -> None:
    from made_exports import export, mask_of, ragged

    mask = mask_of(str(file), ragged(2, 4))
    assert export(mask, tmp_path / "out", "zeroed").difference < 1e-8
    again = load_model(tmp_path / "out")
    assert again.quantised is None
    assert again.tokenizer("the\n 12").input_ids == load_model(file).tokenizer("the\n 12").input_ids


def test_what_it_was_stored_as_is_recorded(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from headspex.cli.main import main
    from headspex.study import Study

    assert Study(str(file), "mini").identity["quantised"] == "GGUF Q8_0"
    assert main(["eval", "--model", str(file), "--limit", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["model"]
    assert told["quantised"] == "GGUF Q8_0"
    assert told["weights"] == load_model(file).fingerprint


def test_several_in_a_folder_are_for_the_user_to_choose(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(
        UsageError, match=r"holds 2 GGUF files \(a\.gguf, b\.gguf\).* name the file"
    ):
        load_model(tmp_path)


def test_other_weights_beside_it_are_the_model(
    file: Path, model_folder: Path, tmp_path: Path
) -> None:
    folder = copy_of(model_folder, tmp_path)
    shutil.copy(file, folder)
    assert load_model(folder).fingerprint == load_model(model_folder).fingerprint


@pytest.mark.parametrize("content", [b"", b"rubbish", b"GGUF\x03\0\0\0 cut off"])
def test_a_broken_one_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed")
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(
        UsageError, match=r"broken\.gguf is broken, or transformers cannot read"
    ) as found:
        load_model(tmp_path / "broken.gguf")
    assert "\n" not in str(found.value)


def test_without_its_reader_that_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headspex.hooks.extras.find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r"gguf, which is not installed; pip install 'heads"):
        load_model(file)
