"""Where a model runs, and in which dtype, if the user leaves that open."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.hooks import load_model, placement
from headspex.support.notice import say_once


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    say_once.cache_clear()


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_first_accelerator_is_taken(
    cuda: bool, mps: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends, "mps", SimpleNamespace(is_available=lambda: mps))
    assert placement.choose_device("auto") == device
    assert placement.choose_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("stored", "device", "free", "dtype"),
    [
        ("bfloat16", "cuda", 10**15, "bfloat16"),
        ("float16", "mps", 10**15, "float16"),
        ("float32", "cuda", 10**15, "float32"),
        (None, "cuda", 10**15, "float32"),
        ("bfloat16", "cpu", 10**15, "float32"),
        ("bfloat16", "cpu", 10**4, "bfloat16"),
        ("bfloat16", "cpu", None, "float32"),
        ("float32", "cpu", 10**4, "float32"),
    ],
)
def test_accelerators_keep_the_dtype_of_the_checkpoint_and_cpus_compute_in_float32_if_it_fits(
    stored: str | None, device: str, free: int | None, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=64,
        num_attention_heads=4, dtype=stored,
    )  # fmt: skip
    monkeypatch.setattr(placement, "free_memory", lambda: free)
    assert placement.choose_dtype("auto", device, config) == dtype
    assert placement.choose_dtype("float16", device, config) == "float16"


def test_weights_are_counted_without_being_made(plain_llama: Any) -> None:
    count = sum(weight.numel() for weight in plain_llama.parameters())
    assert placement.parameters(plain_llama.config) == count


def test_what_auto_became_is_said_once_where_it_is_not_float32_on_the_cpu(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_model(model_folder).dtype == "float32"
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("headspex.hooks.loading.choose_dtype", lambda *_: "bfloat16")
    for _ in range(2):
        assert load_model(model_folder).dtype == "bfloat16"
    said = capsys.readouterr().err
    assert said == "headspex: device auto is cpu, dtype auto is bfloat16\n"


def test_free_memory_is_less_than_all_memory() -> None:
    found = placement.free_memory()
    assert found is None or 2**20 < found < 2**50


@pytest.mark.parametrize("name", ["float64", "int8"])
def test_another_dtype_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="dtype must be auto, float32"):
        placement.choose_dtype(name, "cpu", None)


@pytest.mark.slow
def test_a_run_records_what_auto_became(model_folder: Path, tmp_path: Path) -> None:
    words = ["prune", "--model", str(model_folder), "--budget", "400", "--verify-budget", "2640"]
    assert main([*words, "--out", str(tmp_path / "auto")]) == 0
    content = json.loads((tmp_path / "auto" / "run.json").read_text())
    assert (content["identity"]["device"], content["identity"]["dtype"]) == ("cpu", "float32")
    assert content["results"]["auto"] == {"device": "cpu", "dtype": "float32"}
