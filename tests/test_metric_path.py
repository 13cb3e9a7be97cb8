"""A metric of one's own: the fast path gives what the bridge gives, for every ablation."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from made_families import HEADS, LAYERS, random_model

from headspex.errors import UsageError
from headspex.hooks.bridging import bridge_from_model
from headspex.hooks.prompts import PreparedPrompts
from headspex.tasks import Task, encode_task, game


def margin(logits: Any, batch: Any) -> Any:
    return logits[:, -1, 5] - logits[:, 2, 7] + batch.index.to(logits)


@pytest.fixture(scope="module")
def task() -> Task:
    rng = np.random.default_rng(0)
    lengths = [6, 6, 9, 9, 9, 6]
    clean, corrupted = ([rng.integers(3, 300, n).tolist() for n in lengths] for _ in range(2))
    return game(margin, clean, corrupted=corrupted)


@pytest.mark.parametrize("family", ["Llama", "GPT-2", "Gemma 3"])
@pytest.mark.parametrize("layers", [range(LAYERS), [1, 2], [2]], ids=["all", "late", "last"])
@pytest.mark.parametrize("how", ["zero", "mean", "resample", "mlps", "resample, mlps"])
def test_the_fast_path_gives_the_values_of_the_bridge(
    family: str, layers: Any, how: str, task: Task
) -> None:
    plain = random_model(family)
    bridge = bridge_from_model(copy.deepcopy(plain), type(plain).__name__, family)
    encoded: Any = encode_task(task, task.test, None)
    rows = [encoded[n] for n in (0, 2, 2, 5, 1, 0, 3, 4)]
    rng = np.random.default_rng(1)
    heads = np.ones((len(rows), LAYERS, HEADS), dtype=bool)
    heads[:, list(layers)] = rng.random((len(rows), len(layers), HEADS)) < 0.6
    options: dict[str, Any] = {"ablation": how.split(",")[0]} if how != "mlps" else {}
    if how == "mean":
        options["fill"] = torch.randn(LAYERS, HEADS, int(bridge.cfg.d_head))
    if "mlps" in how:
        options["keep_mlps"] = rng.random((len(rows), LAYERS)) < 0.5
    fast, slow = (
        PreparedPrompts(bridge, encoded, path=path).values(rows, heads, **options)
        for path in ("auto", "bridge")
    )
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-4)
    assert np.abs(slow - slow.mean()).max() > 0.1


def test_a_prompt_that_was_not_prepared_is_refused(llama_bridge: Any, task: Task) -> None:
    encoded: Any = encode_task(task, task.test, None)
    prepared = PreparedPrompts(llama_bridge, encoded[:2])
    with pytest.raises(UsageError, match="row 1 asks a prompt that was not prepared"):
        prepared.values(encoded[1:3])
