"""Models as people have them: adapters, pickles, GGUF files, quantised and broken ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from made_models import copy_of

from headspex.errors import UsageError
from headspex.hooks import load_model
from headspex.support.notice import say_once


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Every test hears what is said once."""
    say_once.cache_clear()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            {"num_attention_heads": 6, "num_key_value_heads": 3},
            r"The hidden size \(32\) is not a multiple of the number of attention heads \(6\)",
        ),
        ({"num_key_value_heads": 1}, r"k_proj.weight is \[16, 32\] in its files, but \[8, 32\] by"),
        ({"hidden_size": "wide"}, r"hidden_size"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_with_the_reason(
    config: dict[str, Any], reason: str, model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason) as found:
        load_model(copy_of(model_folder, tmp_path, **config))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("quantisation", "said"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "by bitsandbytes to 4 bits"),
        ({"load_in_8bit": True}, "by bitsandbytes to 8 bits"),
        ({"quant_method": "gptq", "bits": 4}, "by gptq to 4 bits.*take the model it was made"),
        ({"quant_method": "awq", "w_bit": 4}, "by awq to 4 bits"),
        ({"quant_method": "fp8"}, "by fp8 to 8 bits.*dequantize=True"),
        ({"quant_method": "compressed-tensors"}, "by compressed-tensors; take"),
        ({}, "by a method without a name"),
    ],
)
def test_a_quantised_model_is_refused_by_its_method_before_weights_are_read(
    quantisation: dict[str, Any], said: str, model_folder: Path, tmp_path: Path
) -> None:
    folder = copy_of(model_folder, tmp_path, quantization_config=quantisation)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UsageError, match=f"has them quantised {said}"):
        load_model(folder)


class Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    folder = copy_of(model_folder, tmp_path)
    (folder / "model.safetensors").unlink()
    return folder


@pytest.fixture
def state(model_folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(model_folder / "model.safetensors")
    return tensors


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_read_and_safetensors_recommended(
    zipped: bool, folder: Path, state: Any, model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert load_model(folder).fingerprint == load_model(model_folder).fingerprint
    (line,) = capsys.readouterr().err.splitlines()
    assert "are pickled (pytorch_model.bin)" in line
    assert "safetensors" in line


def test_shards_are_read_too(folder: Path, state: Any, model_folder: Path) -> None:
    names = sorted(state)
    index = {}
    for number, part in enumerate((names[::2], names[1::2])):
        torch.save({name: state[name] for name in part}, folder / f"part-{number}.bin")
        index.update({name: f"part-{number}.bin" for name in part})
    content = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "pytorch_model.bin.index.json").write_text(content)
    assert load_model(folder).fingerprint == load_model(model_folder).fingerprint


def test_code_in_them_never_runs(
    folder: Path, state: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state["payload"] = Payload(tmp_path / "ran")
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"holds more than weights.* none of its code was run"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x80\x04", b"PK\x03\x04 cut off"])
def test_broken_ones_are_one_sentence(content: bytes, folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(UsageError, match=r"pytorch_model\.bin .*is broken") as found:
        load_model(folder)
    assert "\n" not in str(found.value)


def test_safetensors_beside_them_are_preferred(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(model_folder, tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"rubbish")
    assert load_model(folder).fingerprint == load_model(model_folder).fingerprint
    assert capsys.readouterr().err == ""


def test_weights_without_a_place_in_the_architecture_are_named(
    four_layers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_model(copy_of(four_layers, tmp_path, num_hidden_layers=3))
    (line,) = capsys.readouterr().err.splitlines()
    assert "9 weights of" in line
    assert "model.layers.3.input_layernorm.weight, do not belong" in line
