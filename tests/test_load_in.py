"""Searches in quantised weights, and their masks judged in the plain ones."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.export.choosing import chosen_mask
from headspex.hooks import answer_log_probs, load_in, load_model
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.exact import can_be_exact
from headspex.hooks.gated import GatedModel
from headspex.hooks.measuring import prepare
from headspex.hooks.output_weights import output_norms
from headspex.hooks.placement import blueprint
from headspex.hooks.sources import Source
from headspex.hooks.spread import weight_bytes
from headspex.mask_file import read_mask
from headspex.scores.store import ScoreStore
from headspex.settings import Settings
from headspex.setup import Setup
from headspex.support.notice import say_once
from headspex.tasks.prompts import EncodedQuestion
from headspex.tiny.tokenizer import build_tokenizer

with_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
HERE = Source("here", "here", None, on_hub=False)


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    say_once.cache_clear()


def _pretend(monkeypatch: pytest.MonkeyPatch, *devices: str) -> None:
    """Let bitsandbytes be installed, for such devices."""
    fake = SimpleNamespace(supported_torch_devices=set(devices))
    monkeypatch.setitem(sys.modules, "bitsandbytes", fake)
    monkeypatch.setattr(load_in, "find_spec", lambda name: name == "bitsandbytes" or None)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_in, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"not installed; pip install 'headspex\[quantised\]'"):
        load_in.check_load_in("4bit", HERE, "cuda")


def test_a_device_that_bitsandbytes_does_not_know_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _pretend(monkeypatch, "cuda", "xpu")
    load_in.check_load_in("8bit", HERE, "cuda:1")
    with pytest.raises(UsageError, match="computes on cuda, xpu, but device is cpu"):
        load_in.check_load_in("8bit", HERE, "cpu")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Source("a.gguf", "a", None, on_hub=False, gguf="a.gguf"), "has a GGUF file; leave one"),
        (Source("a", "a", None, on_hub=False, adapter=Path("b")), "has an adapter; leave one"),
    ],
)
def test_what_is_merged_or_quantised_already_is_refused(
    source: Source, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, "cuda")
    load_in.check_load_in(None, source, "cuda")
    with pytest.raises(UsageError, match=sentence):
        load_in.check_load_in("4bit", source, "cuda")


def test_another_number_of_bits_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--load-in", "2bit"]) == 2
    assert "--load-in must be 8bit or 4bit, but is '2bit'" in capsys.readouterr().err


def test_an_object_stays_as_it_is(llama_bridge: Any) -> None:
    with pytest.raises(UsageError, match="stays as it is, but load_in is 4bit"):
        load_model(llama_bridge, tokenizer=build_tokenizer(), load_in="4bit")


def test_linear_layers_shrink_and_embeddings_and_logits_do_not(plain_llama: Any) -> None:
    model = blueprint(plain_llama.config)
    kept = model.lm_head.weight.numel() + model.model.embed_tokens.weight.numel()
    kept += sum(weight.numel() for weight in model.parameters() if weight.ndim == 1)
    packed = sum(weight.numel() for weight in model.parameters()) - kept
    found = {
        how: weight_bytes(model, torch.bfloat16, load_in.packed_types(model, how))
        for how in (None, "8bit", "4bit")
    }
    assert packed > kept / 2
    # Buffers, the inverse frequencies of positions, are counted too.
    buffers = found[None] - 2 * (kept + packed)
    assert found["8bit"] == 2 * kept + packed + buffers
    assert found["4bit"] == 2 * kept + packed / 2 + buffers


@pytest.fixture(scope="module", params=["8bit", "4bit"])
def both(request: pytest.FixtureRequest, model_folder: Path) -> tuple[Any, Any]:
    """A model quantised, and plain."""
    plain = load_model(model_folder, device="cpu", dtype="float32")
    return load_model(model_folder, device="cpu", dtype="float32", load_in=request.param), plain


def _questions() -> list[EncodedQuestion]:
    rng = np.random.default_rng(0)
    return [
        EncodedQuestion(tuple(rng.integers(1, 60, 4 + n).tolist()), ((3,), (4,), (5, 6)))
        for n in range(4)
    ]


@with_bitsandbytes
def test_quantised_weights_have_the_fingerprint_of_the_plain_ones_and_say_what_they_are(
    both: tuple[Any, Any],
) -> None:
    quantised, plain = both
    assert quantised.fingerprint == plain.fingerprint
    assert quantised.described()["load_in"] in ("8bit", "4bit")
    assert load_in.is_quantised(quantised.bridge.original_model)
    assert not can_be_exact(quantised.bridge.original_model)
    assert can_be_exact(plain.bridge.original_model)


@pytest.fixture(scope="module")
def decoded(both: tuple[Any, Any], model_folder: Path) -> Any:
    """A bridge of the numbers that quantised weights stand for, as transformers decodes them."""
    how = load_in.quantisation(both[0].load_in, torch.float32)
    model = AutoModelForCausalLM.from_pretrained(
        model_folder, quantization_config=how, dtype=torch.float32, device_map={"": "cpu"}
    )
    plain = model.dequantize().float().eval().requires_grad_(False)
    return bridge_from_model(plain, "LlamaForCausalLM", "decoded")


# In 8bit the inputs of layers are rounded too: to a 127th of the largest in a row.
APART = {"8bit": 0.15, "4bit": 1e-4}


@with_bitsandbytes
@pytest.mark.parametrize("path", ["fast", "bridge"])
def test_both_paths_give_the_log_probs_of_the_numbers_that_codes_stand_for(
    both: tuple[Any, Any], decoded: Any, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    quantised, plain = both
    masks = np.random.default_rng(1).random((4, plain.n_layers, plain.n_heads)) < 0.6
    found = answer_log_probs(quantised, _questions(), masks, path=path)
    expected, unlike = (
        answer_log_probs(model, _questions(), masks, path="bridge") for model in (decoded, plain)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=APART[quantised.load_in])
    assert np.abs(found - unlike).max() > np.abs(found - expected).max()
    assert "cast" not in capfd.readouterr().err


@with_bitsandbytes
def test_gradients_go_through_quantised_layers(both: tuple[Any, Any], decoded: Any) -> None:
    quantised, tokens, found = both[0], torch.tensor([[1, 5, 6, 7]]), []
    decoder = prepare(quantised, _questions()).decoder
    assert decoder is not None
    for model in (GatedModel(quantised.bridge, decoder), GatedModel(decoded, None)):
        gates = torch.ones(1, quantised.n_layers, quantised.n_heads + 1, requires_grad=True)
        logits = model.logits(tokens, gates, torch.tensor([[3]]))
        (gradient,) = torch.autograd.grad(logits[0, 0, 3] - logits[0, 0, 4], gates)
        found.append(gradient.flatten().numpy())
    assert np.abs(found[1]).max() > 0.1
    allowed = APART[quantised.load_in] * np.abs(found[1]).max()
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=allowed)


@with_bitsandbytes
def test_norms_are_those_of_the_numbers_that_codes_stand_for(
    both: tuple[Any, Any], decoded: Any
) -> None:
    np.testing.assert_allclose(output_norms(both[0].bridge), output_norms(decoded), rtol=1e-5)


def _setup(folder: Path, how: str | None) -> Setup:
    setup = Setup(str(folder), "mini", device="cpu", budget=400, verify_budget=2640)
    named = {**setup.settings.to_dict(), "load_in": how}
    setup.model  # noqa: B018 - plain: the identity is what counts here
    setup.settings = Settings(**named)
    return setup


def test_runs_and_scores_of_quantised_and_plain_weights_are_different_ones(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headspex.setup.version", lambda name: "1")
    plain, quantised = _setup(model_folder, None), _setup(model_folder, "4bit")
    assert "load_in" not in plain.identity
    assert quantised.identity["load_in"] == "4bit"
    assert "bitsandbytes" in quantised.identity["versions"]
    with ScoreStore(tmp_path / "scores.sqlite", plain.scored_by(None)):
        pass
    with (
        pytest.raises(UsageError, match="load_in"),
        ScoreStore(tmp_path / "scores.sqlite", quantised.scored_by(None)),
    ):
        pass


QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1", "--metric", "logprob"]


@pytest.mark.slow
@with_bitsandbytes
def test_export_judges_a_mask_of_a_quantised_search_in_the_plain_weights(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["prune", "--model", str(model_folder), "--load-in", "4bit", *QUICK]
    assert main([*words, "--out", str(out)]) == 0
    content = json.loads((out / "run.json").read_text())
    assert content["identity"]["load_in"] == "4bit"
    masks = sorted((out / "masks").glob("*.json"))
    assert {read_mask(path).load_in for path in masks} == {"4bit"}
    capsys.readouterr()
    to = tmp_path / "export"
    words = ["export", str(out), "--sparsity", "0.5", "--format", "zeroed", "--no-timing"]
    assert main([*words, "--to", str(to)]) == 0
    told = capsys.readouterr()
    assert told.err.count("judged again in the plain ones") == 1
    assert "found in weights of 4bit, judged in the plain ones" in told.out
    mask = read_mask(to / "headspex_mask.json")
    assert mask.load_in is None
    # The score is that of the exported model.
    assert main(["eval", "--model", str(to), "--split", "heldout", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    heldout = json.loads((out / "questions.json").read_text())["heldout"]
    correct = dict(zip(answers["ids"], answers["correct"], strict=True))
    assert mask.score == pytest.approx(np.mean([correct[q] for q in heldout]))
    chosen_mask(masks[0], sparsity=None, shape=None, schedule=None)
    assert "is that of weights of 4bit" in capsys.readouterr().err
