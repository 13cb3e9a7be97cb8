"""Models that are spread over several devices: where parts go, and that they compute the same."""

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig

from headspex.errors import UsageError
from headspex.hooks import answer_log_probs, load_model, mean_outputs, spread
from headspex.hooks.ablation import Ablation
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.decoder import Decoder, Edit
from headspex.hooks.fingerprint import plain_state, weights_fingerprint
from headspex.hooks.gated import GatedModel
from headspex.hooks.gradients import GateGradients
from headspex.hooks.offload import devices_of, leave_devices
from headspex.hooks.output_weights import output_norms
from headspex.hooks.placement import blueprint
from headspex.settings import Settings
from headspex.setup import Setup
from headspex.support.notice import say_once
from headspex.tasks.prompts import EncodedQuestion

PARTS = ("model.embed_tokens", "model.layers.0", "model.layers.1", "model.layers.2", "model.norm",
         "model.rotary_emb", "lm_head")  # fmt: skip


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    say_once.cache_clear()


def _config(layers: int = 5, **changed: Any) -> LlamaConfig:
    return LlamaConfig(**{
        "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 96,
        "architectures": ["LlamaForCausalLM"], **changed,
    })  # fmt: skip


def _bytes_of(model: Any, name: str) -> int:
    """Of a part, in float32."""
    return 4 * int(sum(weight.numel() for weight in model.get_submodule(name).parameters()))


def _held(model: Any, found: spread.DeviceMap) -> dict[int | str, int]:
    """The bytes that each device of a map holds."""
    held = dict.fromkeys(found.values(), 0)
    for name, place in found.items():
        held[place] += _bytes_of(model, name)
    return held


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("0=20GiB", {0: 20 * 2**30}),
        ("cpu=1.5GB, 1=20MiB,0=3KB", {0: 3000, 1: 20 * 2**20, "cpu": 1_500_000_000}),
    ],
)
def test_limits_are_sizes_of_gpus_in_their_order_and_the_cpu_last(
    text: str, limits: dict[int | str, int]
) -> None:
    assert list(spread.parse_limits(text).items()) == list(limits.items())


@pytest.mark.parametrize(
    "text", ["", "20GiB", "0=20", "0=-1GiB", "0=0GiB", "0=1GiB,0=2GiB", "gpu=1GiB", "0=xGiB",
             "0=nanGiB", "0=infGiB"]
)  # fmt: skip
def test_what_is_no_limit_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="such as 0=20GiB,1=20GiB,cpu=30GiB, but has"):
        spread.parse_limits(text)


def test_limits_without_a_gpu_are_refused() -> None:
    with pytest.raises(UsageError, match="must name a GPU"):
        spread.parse_limits("cpu=20GiB")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_a_map_keeps_its_limits_and_is_found_whenever_consecutive_parts_fit(
    seed: int, tied: bool
) -> None:
    rng = np.random.default_rng(seed)
    model = blueprint(_config(int(rng.integers(2, 7)), tie_word_embeddings=tied))
    layers = [f"model.layers.{n}" for n in range(model.config.num_hidden_layers)]
    names = ["model.embed_tokens", *layers, "model.norm", *([] if tied else ["lm_head"])]
    sizes = [_bytes_of(model, name) for name in names]
    limits = [int(sum(sizes) * part) for part in rng.uniform(0.1, 0.9, int(rng.integers(2, 4)))]
    found = spread.device_map(model, torch.float32, dict(enumerate(limits)))

    def fits(limits: list[int]) -> bool:
        """By trying all ways to cut the parts."""
        for cuts in itertools.combinations_with_replacement(range(len(sizes) + 1), len(limits) - 1):
            ends = itertools.pairwise([0, *cuts, len(sizes)])
            if all(sum(sizes[a:b]) <= own for (a, b), own in zip(ends, limits, strict=True)):
                return True
        return False

    # accelerate leaves room for one more layer on the first GPU.
    if fits([limits[0] - max(sizes), *limits[1:]]):
        assert found is not None
    if found is not None:
        assert fits(limits)
        own = {name: place for name, place in found.items() if name in names}
        held = _held(model, own)
        assert all(held[place] <= limits[int(place)] for place in held)
        assert {name for name in found if "layers" in name} == set(layers)


def test_there_is_no_map_where_too_little_is_free_in_all() -> None:
    model = blueprint(_config())
    whole = spread.weight_bytes(model, torch.float32)
    assert spread.device_map(model, torch.float32, {0: whole // 3, 1: whole // 3}) is None
    assert spread.device_map(model, torch.float32, {0: whole, 1: whole // 3}) is not None


def test_gpus_are_filled_evenly_by_their_limits() -> None:
    model = blueprint(_config(30))
    whole = spread.weight_bytes(model, torch.float32)
    layer = _bytes_of(model, "model.layers.0")
    limits: dict[int | str, int] = {0: 2 * whole, 1: whole, 2: whole}
    found = spread.device_map(model, torch.float32, limits)
    assert found is not None
    shares = {place: held / limits[place] for place, held in _held(model, found).items()}
    assert set(shares) == {0, 1, 2}
    assert max(shares.values()) - min(shares.values()) < 3 * layer / whole


def test_half_the_bytes_a_weight_need_half_the_memory() -> None:
    model = blueprint(_config())
    whole = spread.weight_bytes(model, torch.float32)
    assert spread.weight_bytes(model, torch.bfloat16) == whole // 2
    limits: dict[int | str, int] = {0: int(0.4 * whole), 1: int(0.4 * whole)}
    assert spread.device_map(model, torch.float32, limits) is None
    assert spread.device_map(model, torch.bfloat16, limits) is not None


def test_the_cpu_takes_what_full_gpus_leave() -> None:
    model = blueprint(_config(30))
    whole = spread.weight_bytes(model, torch.float32)
    limits: dict[int | str, int] = {0: whole // 4, 1: whole // 4, "cpu": whole}
    found = spread.device_map(model, torch.float32, limits)
    assert found is not None
    held = _held(model, found)
    assert set(held) == {0, 1, "cpu"}
    assert held["cpu"] < 0.7 * whole
    assert found["model.embed_tokens"] == 0
    assert "parts wait on the CPU" in spread.said(found)


def test_a_model_asks_for_as_few_gpus_as_hold_it() -> None:
    model = blueprint(_config(30))
    whole = spread.weight_bytes(model, torch.float32)
    counts = [
        spread.fewest_gpus(model, torch.float32, [int(whole * share)] * 4)
        for share in (1.0, 0.6, 0.4, 0.3, 0.2)
    ]
    assert counts == [1, 2, 3, 4, None]


def _pretend(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """Let torch report GPUs with so many free bytes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (free[gpu], 2 * free[gpu]))


def _placed(device: str = "cuda", max_memory: str | None = None) -> spread.DeviceMap | None:
    return spread.placed(_config(), torch.float32, device, max_memory, name="mine")


NEEDED = spread.weight_bytes(blueprint(_config()), torch.float32)


def test_a_model_that_fits_stays_on_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, int(NEEDED / 0.79), NEEDED)
    assert _placed() is None
    _pretend(monkeypatch)
    assert _placed("cpu") is None


def test_a_model_too_large_for_a_gpu_is_spread_over_all_of_them_and_this_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _pretend(monkeypatch, NEEDED, NEEDED)
    for _ in range(2):
        found = _placed()
        assert found is not None
        assert set(found.values()) == {0, 1}
    said = capsys.readouterr().err
    assert said.count("headspex: the weights of mine are spread over GPUs 0, 1\n") == 1


def test_limits_spread_a_model_that_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, 10 * NEEDED, 10 * NEEDED)
    found = _placed(max_memory="0=1MiB,1=1MiB")
    assert found is not None
    assert set(found.values()) == {0, 1}
    found = _placed(max_memory=f"1={NEEDED // 2 / 1000}KB,cpu=1GiB")
    assert found is not None
    assert set(found.values()) == {1, "cpu"}


@pytest.mark.parametrize(
    ("free", "device", "max_memory", "sentence"),
    [
        ((0.5,), "cuda", None, "must fit into 0=.*, but do not; take load_in 8bit or 4bit"),
        ((0.5, 0.5), "cuda", None, "must fit into 0=.*, 1=.* but do not"),
        ((2, 0.9), "cuda:1", None, "must fit into 1=.* but do not"),
        ((2, 2), "cuda", "0=10KB,1=10KB", "must fit into 0=.*, 1=.* but do not"),
        ((2, 2), "cuda", "2=1GiB", "must name GPUs from 0 to 1, but names 2"),
        ((2, 2), "cuda:1", "0=1GiB", "spreads a model over GPUs, but device is cuda:1"),
        ((), "cpu", "0=1GiB", "spreads a model over GPUs, but device is cpu"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(
    free: tuple[float, ...], device: str, max_memory: str | None, sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _pretend(monkeypatch, *(int(NEEDED * share) for share in free))
    with pytest.raises(UsageError, match=sentence):
        _placed(device, max_memory)


def test_a_single_gpu_may_be_filled_further_than_one_of_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _pretend(monkeypatch, int(1.1 * NEEDED))
    assert _placed() is None


def test_weights_read_onto_the_devices_of_a_map_are_the_same(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_model(model_folder, device="cpu", dtype="float32")
    asked: list[Any] = []

    def placed(*given: Any, **named: Any) -> spread.DeviceMap:
        asked.append((given[2:], named))
        return {"model": "cpu", "lm_head": "cpu"}

    monkeypatch.setattr("headspex.hooks.loading.placed", placed)
    found = load_model(model_folder, device="cpu", dtype="float32", max_memory="0=1GiB")
    assert asked == [(("cpu", "0=1GiB"), {"name": str(model_folder), "load_in": None})]
    assert found.fingerprint == whole.fingerprint
    assert found.devices == ("cpu",)


def test_limits_are_no_part_of_what_a_run_is(model_folder: Path) -> None:
    setup = Setup(str(model_folder), "mini", device="cpu")
    before = setup.identity
    setup.settings = Settings(model=str(model_folder), device="cpu", max_memory="0=1GiB")
    assert setup.identity == before


# Devices that differ. Without a GPU these are the CPU and "meta", whose tensors have a place and a
# shape but no numbers: torch refuses to add or join them with the CPU's.


@pytest.fixture
def half_meta(plain_llama: Any) -> Any:
    """A bridge whose last two layers are on "meta"."""
    bridge = bridge_from_model(copy.deepcopy(plain_llama), "LlamaForCausalLM", "half")
    plain = bridge.original_model
    for part in (*plain.model.layers[1:], plain.model.norm, plain.lm_head):
        part.to("meta")
    return bridge


def test_states_and_keys_are_moved_to_the_device_of_each_layer(half_meta: Any) -> None:
    decoder = Decoder(half_meta)
    masks = torch.tensor([[True, False, True, True], [False, True, True, True]])
    fill = SimpleNamespace(heads=torch.ones(3, 4, 8), mlps=torch.ones(3, 32), of_prompts=False)
    ablation = Ablation(fill=fill)  # type: ignore[arg-type]

    def edit(index: int) -> Edit:
        return Edit(
            lambda z: ablation.replaced(z, masks, index),
            lambda out: ablation.replaced_mlp(out, masks[:, 0], index),
        )

    x = decoder.embedded(torch.zeros(2, 5, dtype=torch.long))
    past = []
    for index, device in enumerate(["cpu", "meta", "meta"]):
        x, kv = decoder.layer(x, index, edit(index))
        past.append(kv)
        assert {x.device.type, *(one.device.type for one in kv)} == {device}
    x = decoder.embedded(torch.zeros(2, 3, dtype=torch.long), start=5)
    for index in range(2):
        x, _ = decoder.layer(x, index, edit(index), past=past[index])
    known = decoder.keys_values(x, 2, past[2])
    assert known[0].shape[2] == 8
    x = decoder.layer_at(x[:, -1:], 2, torch.tensor([[7], [7]]), known, edit(2))
    assert decoder.logits(x).shape == (2, 1, 320)


def test_gates_follow_the_layers(half_meta: Any) -> None:
    gates = torch.ones(2, 3, 5, requires_grad=True)
    model = GatedModel(half_meta, Decoder(half_meta))
    logits = model.logits(torch.zeros(2, 5, dtype=torch.long), gates, torch.tensor([[4], [3]]))
    assert (logits.device.type, logits.shape) == ("meta", (2, 1, 320))


# Weights that accelerate keeps elsewhere until a module is called; on a GPU's machine on the CPU,
# here on disk.


@pytest.fixture
def offloaded(plain_llama: Any, tmp_path: Path) -> Iterator[Any]:
    """A bridge of which a layer, the last norm and the logits' weights are on disk."""
    accelerate = pytest.importorskip("accelerate")
    away = ("model.layers.1", "model.norm", "lm_head")
    places = {name: "disk" if name in away else "cpu" for name in PARTS}
    model = accelerate.dispatch_model(copy.deepcopy(plain_llama), places, offload_dir=tmp_path)
    bridge = bridge_from_model(model, "LlamaForCausalLM", "offloaded")
    assert bridge.original_model.lm_head.weight.is_meta
    yield bridge
    assert bridge.original_model.lm_head.weight.is_meta  # and has not stayed in memory


def _questions() -> list[EncodedQuestion]:
    rng = np.random.default_rng(0)
    return [
        EncodedQuestion(tuple(rng.integers(1, 300, 4 + n).tolist()), ((3,), (4,), (5, 6)))
        for n in range(4)
    ]


@pytest.mark.parametrize("path", ["fast", "bridge"])
@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_offloaded_weights_give_the_same_log_probs_on_both_paths(
    offloaded: Any, llama_bridge: Any, path: str, ablation: str
) -> None:
    questions, masks = _questions(), np.random.default_rng(1).random((4, 3, 4)) < 0.6
    fill = None
    if ablation == "mean":
        tokens, lengths = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([3, 2])
        fill = mean_outputs(offloaded, tokens, lengths)
        expected_fill = mean_outputs(llama_bridge, tokens, lengths)
        torch.testing.assert_close(fill.heads, expected_fill.heads)
    found, expected = (
        answer_log_probs(model, questions, masks, ablation=ablation, fill=fill, path=path)
        for model in (offloaded, llama_bridge)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_weights_that_leave_their_devices_are_whole_and_the_model_runs(
    plain_llama: Any, tmp_path: Path
) -> None:
    accelerate, tokens = pytest.importorskip("accelerate"), torch.tensor([[1, 2, 3, 4]])
    places = {name: "disk" if name == "lm_head" else "cpu" for name in PARTS}
    model = accelerate.dispatch_model(copy.deepcopy(plain_llama), places, offload_dir=tmp_path)
    leave_devices(model)
    assert not any(hasattr(part, "_hf_hook") for part in model.modules())
    torch.testing.assert_close(model(tokens).logits, plain_llama(tokens).logits)


@pytest.mark.parametrize("by_parts", [True, False])
def test_offloaded_weights_give_the_same_gradients(
    offloaded: Any, llama_bridge: Any, by_parts: bool
) -> None:
    gates = np.random.default_rng(1).random((4, 3, 5))
    found, expected = (
        GateGradients(GatedModel(bridge, Decoder(bridge) if by_parts else None)).of(
            _questions(), gates, lambda values, rows: np.ones_like(values)
        )
        for bridge in (offloaded, llama_bridge)
    )
    assert np.abs(expected.by_gate).max() > 0.1
    np.testing.assert_allclose(found.by_gate, expected.by_gate, rtol=0, atol=1e-5)


def test_offloaded_weights_have_the_fingerprint_and_norms_of_those_in_memory(
    offloaded: Any, llama_bridge: Any
) -> None:
    found, expected = (
        weights_fingerprint(plain_state(bridge.original_model))
        for bridge in (offloaded, llama_bridge)
    )
    assert found == expected
    np.testing.assert_array_equal(output_norms(offloaded), output_norms(llama_bridge))
    assert devices_of(offloaded.original_model) == ("cpu",)
