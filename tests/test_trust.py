"""When the fast path is trusted, and when the bridge runs in its place, which is said once."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_questions import ask, draw

from headspex.errors import UsageError
from headspex.hooks import answer_log_probs, attention, exact, load_model, trust
from headspex.hooks.ablation import Ablation
from headspex.hooks.batching import plan_work
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.decoder import Decoder
from headspex.hooks.exact import exactly
from headspex.hooks.fast import FastPath
from headspex.hooks.inputs import plan_inputs
from headspex.hooks.plain import PlainPath
from headspex.hooks.stock import Stock
from headspex.hooks.token_budget import TokenBudget, scores
from headspex.support.notice import say_once
from headspex.tasks import EncodedQuestion


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Every test hears what is said once."""
    say_once.cache_clear()


def small(kind: str, **options: Any) -> Any:
    """A bridge around a random model of another kind."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=96,
        **options,
    )  # fmt: skip
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval().requires_grad_(False)
    return bridge_from_model(model, f"{kind}ForCausalLM", kind)


def test_what_the_fast_path_does_not_know_runs_on_the_bridge_and_that_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0, "short_factor": [1.0] * 4,
            "long_factor": [2.0] * 4, "original_max_position_embeddings": 48}  # fmt: skip
    bridge = small("Llama", rope_parameters=rope)
    questions, masks = ask(4, 60), draw(4, [1])
    found = answer_log_probs(bridge, questions, masks)
    again = answer_log_probs(bridge, questions, masks)
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    with pytest.raises(UsageError, match="its positions are of the type longrope"):
        answer_log_probs(bridge, questions, masks, path="fast")
    np.testing.assert_array_equal(found, again)
    slow = answer_log_probs(bridge, questions, masks, path="bridge")
    np.testing.assert_array_equal(found, slow)


def test_a_fast_path_that_differs_from_the_bridge_steps_back(
    plain_llama: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bridge = bridge_from_model(copy.deepcopy(plain_llama), "LlamaForCausalLM", "odd").eval()
    # An edit of the code, which no look at the weights can find.
    monkeypatch.setattr(attention, "_seen", lambda queries, keys, window: None)
    questions, masks = ask(4, 0), draw(4, [1])
    found = answer_log_probs(bridge, questions, masks)
    answer_log_probs(bridge, questions, masks)
    (line,) = capsys.readouterr().err.splitlines()
    assert "log-probabilities differ by" in line
    assert "from the bridge's, in float64" in line
    slow = answer_log_probs(bridge, questions, masks, path="bridge")
    np.testing.assert_array_equal(found, slow)


@pytest.mark.parametrize(
    "name",
    [
        *(f"self_attn.{part}_proj.weight" for part in "qkvo"),
        *(f"mlp.{part}_proj.weight" for part in ("gate", "up", "down")),
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
    ],
)
def test_one_of_its_weights_that_is_off_by_a_thousandth_is_found(
    name: str, plain_llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = bridge_from_model(copy.deepcopy(plain_llama), "LlamaForCausalLM", "odd").eval()

    class Planted(Stock):
        def __init__(self, model: Any) -> None:
            super().__init__(model)
            path, _, parameter = f"model.layers.1.{name}".rpartition(".")
            module = self.model.get_submodule(path)
            weight = module._parameters[parameter].detach().clone()
            weight.view(-1)[7] += 1e-3
            planted = torch.nn.Parameter(weight, requires_grad=False)
            module.__dict__["_parameters"] = {**module._parameters, parameter: planted}

    monkeypatch.setattr("headspex.hooks.decoder.Stock", Planted)
    with pytest.raises(UsageError, match=r"differ by .* from the bridge's, in float64"):
        answer_log_probs(bridge, ask(4, 0), draw(4, [1]), path="fast")


@pytest.mark.parametrize("prefix", [0, 50])
def test_in_float64_both_paths_are_equal_to_its_rounding(prefix: int, llama_bridge: Any) -> None:
    questions = ask(4, prefix)
    inputs = plan_inputs(questions, 96)
    keep = np.random.default_rng(2).random((4, 3, 5)) < 0.5
    work = plan_work(inputs, range(4), keep)
    with exactly():
        paths = FastPath(Decoder(llama_bridge), inputs, 4096), PlainPath(llama_bridge, inputs)
        fast, slow = (
            scores(path, work, Ablation(), TokenBudget(4096), dtype=torch.float64) for path in paths
        )
    assert fast.dtype == torch.float64
    assert 0 < float((fast - slow).abs().max()) < 1e-12
    assert {p.dtype for p in llama_bridge.original_model.parameters()} == {torch.float32}


@pytest.mark.parametrize("path", ["fast", "bridge"])
def test_float64_converts_no_table_of_a_vocabulary_as_a_whole(
    path: str, llama_bridge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = plan_inputs(questions := ask(4, 50), 96)
    work = plan_work(inputs, range(len(questions)), np.ones((4, 3, 5), dtype=bool))
    converted, convert = set(), exact._as_float64

    def noted(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            converted.add(tuple(value.shape))
        return convert(value)

    monkeypatch.setattr(exact, "_as_float64", noted)
    with exactly():
        way: Any = PlainPath(llama_bridge, inputs)
        if path == "fast":
            way = FastPath(Decoder(llama_bridge), inputs, 4096)
        scores(way, work, Ablation(), TokenBudget(4096), dtype=torch.float64)
    assert (32,) in converted  # weights of norms
    assert (320, 32) not in converted


def test_a_model_that_rounds_more_than_a_thousandth_of_a_nat_keeps_its_fast_path(
    plain_llama: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # Logits of some thousand nats, as of a text's many tokens together: float32 has seven digits.
    model = copy.deepcopy(plain_llama)
    model.lm_head.weight.mul_(3e3)
    bridge = bridge_from_model(model, "LlamaForCausalLM", "loud").eval()
    questions, masks = ask(8, 40), draw(8, [0, 1, 2])
    fast = answer_log_probs(bridge, questions, masks, path="fast")
    slow = answer_log_probs(bridge, questions, masks, path="bridge")
    assert np.abs(fast - slow).max() > trust.TOLERANCE[torch.float32]
    np.testing.assert_allclose(fast, slow, rtol=1e-5)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_fast_path_of_a_real_model_is_trusted_on_texts(
    smollm2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, rng = load_model(smollm2, device="cpu", dtype="float32"), np.random.default_rng(0)
    assert model.quantised == "GGUF Q4_1"
    text = (Path(__file__).parents[1] / "README.md").read_text()
    tokens = model.tokenizer(text)["input_ids"]
    begin = tuple(tokens[:1])
    parts = [EncodedQuestion(begin, (tuple(tokens[n : n + 80]),)) for n in (1, 81)]
    for keep in trust.KEEPS:
        masks = rng.random((2, model.n_layers, model.n_heads)) < keep
        answer_log_probs(model, parts, masks, path="fast")
    assert capsys.readouterr().err == ""
    ids = model.tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        following = model.bridge(ids)[0, -1].argmax()
    assert model.tokenizer.decode(following) == " Paris"


def test_a_users_torch_hook_is_run_too(llama_bridge: Any) -> None:
    questions, masks = ask(4, 0), draw(4, [1, 2])
    seen: list[int] = []
    module = llama_bridge.original_model.lm_head
    handle = module.register_forward_hook(lambda *_: seen.append(1))
    try:
        answer_log_probs(llama_bridge, questions, masks)
    finally:
        handle.remove()
    assert seen


def test_tied_embeddings_and_half_precision_pass_the_comparison() -> None:
    bridge = small("Llama", tie_word_embeddings=True)
    bridge.original_model.to(torch.bfloat16)
    questions = ask(3, 0)
    fast = answer_log_probs(bridge, questions, draw(3, [0, 1, 2]), path="fast")
    slow = answer_log_probs(bridge, questions, draw(3, [0, 1, 2]), path="bridge")
    np.testing.assert_allclose(fast, slow, rtol=0, atol=trust.TOLERANCE[torch.bfloat16])
