"""Exported checkpoints: the same answers as the hooks, and nothing that a stranger cannot load."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_exports import even, export, mask_of, ragged
from safetensors import safe_open

from headspex.errors import UsageError
from headspex.export.exporting import export_mask
from headspex.export.shapes import Shape
from headspex.export.stored import read_checkpoint, write_checkpoint
from headspex.hooks import ablated, load_model
from headspex.hooks.sources import find_source
from headspex.mask_file import MaskFile

ROOT = Path(__file__).resolve().parents[1]
STRANGER = """
import json, sys
import torch
from transformers import AutoModelForCausalLM
for line in sys.stdin:
    folder, tokens = json.loads(line)
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    tokens = torch.tensor(tokens)
    with torch.no_grad():
        logits = model(tokens).logits.double()
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    ones = torch.ones_like(tokens)
    written = [
        model.generate(tokens, attention_mask=ones, use_cache=cached, **options).tolist()
        for cached in (True, False)
    ]
    assert "headspex" not in sys.modules
    problems = [sorted(map(str, names)) for names in report.values() if names]
    print(json.dumps([type(model).__name__, logits.tolist(), problems, *written]), flush=True)
"""
Stranger = Callable[[Path, torch.Tensor], Any]


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    """A process that has never heard of headspex: folder and tokens -> what its model says."""
    process = subprocess.Popen(
        [sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd="/",
    )  # fmt: skip

    def ask(folder: Path, tokens: torch.Tensor) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([str(folder), tokens.tolist()]) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.communicate()


def check_like_hooks(
    stranger: Stranger, model: str, mask: MaskFile, folder: Path, fill: Any = None
) -> str:
    """Load it elsewhere; compare logits with the hooked bridge; write with and without cache.

    Returns the class that it was loaded as.
    """
    bridge = load_model(model).bridge
    vocabulary = int(bridge.original_model.config.vocab_size)
    tokens = torch.randint(vocabulary, (2, 12), generator=torch.Generator().manual_seed(7))
    how = {"ablation": mask.ablation, "fill": fill, "rescale": mask.rescale}
    with torch.no_grad(), ablated(bridge, mask.keep_grid(), keep_mlps=mask.keep_mlps(), **how):
        expected = bridge(tokens).double()
    name, logits, problems, with_cache, without = stranger(folder, tokens)
    assert problems == []
    found = torch.tensor(logits, dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert with_cache == without
    return str(name)


@pytest.fixture(
    scope="module",
    params=[
        "random",
        pytest.param("tiny", marks=pytest.mark.slow),
        pytest.param("stories260k", marks=pytest.mark.slow),
    ],
)
def model(request: pytest.FixtureRequest) -> str:
    """A random model, the shipped one, and one that this project did not train."""
    if request.param == "tiny":
        return "tiny"
    fixture = {"random": "four_layers", "stories260k": "stories260k"}[request.param]
    return str(request.getfixturevalue(fixture))


def test_zeroed_heads_answer_as_hooks_do_in_a_process_without_headspex(
    model: str, stranger: Stranger, tmp_path: Path
) -> None:
    shape = read_checkpoint(find_source(model)).shape
    keep = ragged(load_model(model).n_layers, shape.per_layer)
    mask = mask_of(model, keep)
    exported = export(mask, tmp_path / "out", "zeroed")
    assert exported.difference < 1e-4
    assert exported.before == exported.after
    assert check_like_hooks(stranger, model, mask, tmp_path / "out") == "LlamaForCausalLM"


def test_removed_heads_answer_as_hooks_do_in_a_process_without_headspex(
    model: str, stranger: Stranger, tmp_path: Path
) -> None:
    whole = read_checkpoint(find_source(model)).shape
    layers = load_model(model).n_layers
    for shape in {Shape(whole.groups // 2, whole.heads), Shape(whole.groups, 1), Shape(1, 1)}:
        keep = even(layers, whole.groups, whole.heads, shape)
        keep[-1] = False  # stays as zeros
        mask, to = mask_of(model, keep), tmp_path / str(shape)
        exported = export(mask, to, "shrunk")
        assert exported.shape == str(shape)
        assert exported.after.parameters < exported.before.parameters
        assert exported.after.kv_bytes * whole.groups == exported.before.kv_bytes * shape.groups
        loaded = check_like_hooks(stranger, model, mask, to)
        assert loaded == exported.architecture == "LlamaForCausalLM"


def test_a_number_of_heads_that_does_not_divide_the_width_is_a_mistral_without_a_window(
    stranger: Stranger, tmp_path: Path
) -> None:
    mask = mask_of("tiny", even(6, 4, 2, Shape(3, 2)))
    assert export(mask, tmp_path / "out", "shrunk").architecture == "MistralForCausalLM"
    assert check_like_hooks(stranger, "tiny", mask, tmp_path / "out") == "MistralForCausalLM"
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["sliding_window"] is None
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (6, 3)
    assert load_model(str(tmp_path / "out")).n_heads == 6  # headspex takes it too


def test_rescale_and_missing_mlps_are_folded_into_the_weights(
    four_layers: Path, stranger: Stranger, tmp_path: Path
) -> None:
    keep = even(4, 2, 2, Shape(2, 1))
    rescaled = mask_of(str(four_layers), keep, rescale=True)
    without = mask_of(str(four_layers), keep, mlps_off=(0, 2))
    for name, mask in {"rescaled": rescaled, "without": without}.items():
        for how in ("zeroed", "shrunk"):
            export(mask, tmp_path / name / how, how)
            check_like_hooks(stranger, str(four_layers), mask, tmp_path / name / how)


def test_the_mean_of_a_head_becomes_a_bias(
    four_layers: Path, stranger: Stranger, tmp_path: Path
) -> None:
    fill = np.random.default_rng(0).normal(size=(4, 4, 8)).astype(np.float32)
    mask = mask_of(str(four_layers), ragged(4, 4), ablation="mean")
    export(mask, tmp_path / "zeroed", "zeroed", fill)
    check_like_hooks(stranger, str(four_layers), mask, tmp_path / "zeroed", fill)
    assert json.loads((tmp_path / "zeroed" / "config.json").read_text())["attention_bias"]
    even_mask = mask_of(str(four_layers), even(4, 2, 2, Shape(1, 2)), ablation="mean")
    export(even_mask, tmp_path / "shrunk", "shrunk", fill)
    check_like_hooks(stranger, str(four_layers), even_mask, tmp_path / "shrunk", fill)


def test_files_hold_the_weights_of_the_stock_class_and_no_others(
    model: str, tmp_path: Path
) -> None:
    import transformers

    whole = read_checkpoint(find_source(model)).shape
    mask = mask_of(model, even(load_model(model).n_layers, whole.groups, whole.heads, Shape(1, 2)))
    exported = export(mask, tmp_path / "out", "shrunk")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    with torch.device("meta"):
        stock = getattr(transformers, exported.architecture)(config)
    expected = {name: list(w.shape) for name, w in stock.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    (file,) = (tmp_path / "out").glob("*.safetensors")
    with safe_open(file, "pt") as weights:
        found = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
    assert found == expected


def test_tokenizer_generation_settings_licence_and_mask_come_along(
    model_folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(model_folder, source)
    (source / "LICENSE").write_text("MIT")
    (source / "generation_config.json").write_text('{"temperature": 0.5}')  # invalid, and common
    mask = mask_of(str(source), even(2, 2, 2, Shape(1, 2)))
    export_mask(
        mask, tmp_path / "out", how="shrunk", timed=False, run="c0ffee", scores=["accuracy 0.5"]
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "LICENSE", "generation_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert (tmp_path / "out" / "headspex_mask.json").read_text() == mask.to_json()
    card = (tmp_path / "out" / "README.md").read_text()
    for part in ("4 heads removed", "headspex_mask.json", "c0ffee", "accuracy 0.5", "| 50.0% |"):
        assert part in card
    again = load_model(str(tmp_path / "out"))
    assert again.tokenizer_fingerprint == load_model(str(source)).tokenizer_fingerprint


def test_equal_exports_are_equal_bytes(model_folder: Path, tmp_path: Path) -> None:
    mask = mask_of(str(model_folder), ragged(2, 4))
    for name in ("a", "b"):
        export(mask, tmp_path / name, "zeroed")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_half_precision_shards_ties_and_biases_survive(
    tied: bool, biased: bool, model_folder: Path, tmp_path: Path
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = shutil.copytree(model_folder, tmp_path / "model")
    config = LlamaConfig.from_pretrained(folder)
    config = LlamaConfig(
        **{**config.to_dict(), "tie_word_embeddings": tied, "attention_bias": biased,
           "mlp_bias": biased},
    )  # fmt: skip
    torch.manual_seed(1)
    built = LlamaForCausalLM(config)
    for name, weight in built.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    built.bfloat16().save_pretrained(folder)
    source = find_source(str(folder))
    checkpoint = read_checkpoint(source)
    (tmp_path / "shards").mkdir()
    write_checkpoint(checkpoint, tmp_path / "shards", source, shard="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    model = str(tmp_path / "shards")
    mask = mask_of(model, even(2, 2, 2, Shape(1, 1)), mlps_off=(1,))
    exported = export(mask, tmp_path / "out", "shrunk")
    assert exported.difference < 1e-4
    again = read_checkpoint(find_source(str(tmp_path / "out")))
    assert {w.dtype for w in again.state.values()} == {torch.bfloat16}
    assert ("lm_head.weight" in again.state) is not tied


@pytest.mark.parametrize("family", ["Mistral", "Qwen2", "Qwen3", "Gemma2"])
def test_other_architectures_are_zeroed_and_where_they_can_be_shrunk(
    family: str, tmp_path: Path, model_folder: Path
) -> None:
    import transformers

    shutil.copytree(model_folder, tmp_path / "model")
    torch.manual_seed(0)
    window = {"sliding_window": None} if family == "Mistral" else {}
    config = getattr(transformers, f"{family}Config")(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96,
        initializer_range=0.2, head_dim=8, eos_token_id=1, bos_token_id=1, pad_token_id=0, **window,
    )  # fmt: skip
    getattr(transformers, f"{family}ForCausalLM")(config).save_pretrained(tmp_path / "model")
    model = str(tmp_path / "model")
    assert export(mask_of(model, ragged(2, 4)), tmp_path / "zeroed", "zeroed").difference < 1e-4
    mask = mask_of(model, even(2, 2, 2, Shape(1, 2)))
    exported = export(mask, tmp_path / "shrunk", "shrunk")
    assert exported.difference < 1e-4
    assert exported.architecture == f"{family}ForCausalLM"


REFUSED: dict[str, tuple[Callable[[], np.ndarray], dict[str, Any], str]] = {
    "layers of different sizes": (
        lambda: np.array([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=bool), {},
        r"keep 4, 2 heads.*nearest possible shape is 1x2: use --shape 1x2, or --format zeroed",
    ),
    "groups of different sizes": (
        lambda: np.array([[1, 1, 1, 0], [1, 1, 1, 0]], dtype=bool), {}, "keep 3, 3 heads",
    ),
    "rescale of nothing": (
        lambda: np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool), {"rescale": True},
        "layer 1 of the mask keeps none; take a smaller sparsity",
    ),
    "another model": (
        lambda: np.ones((2, 4), dtype=bool), {"fingerprint": "ab" * 32}, "made for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    case: str, model_folder: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    grid, changes, sentence = REFUSED[case]
    mask = replace(mask_of(str(model_folder), grid()), **changes)
    with pytest.raises(UsageError, match=sentence):
        export(mask, tmp_path / "out", "shrunk")
    assert list(tmp_path.iterdir()) == []


def test_means_in_a_shape_that_only_mistral_has_are_refused_with_one_that_llama_has(
    tmp_path: Path,
) -> None:
    fill = np.zeros((6, 8, 16), dtype=np.float32)
    mask = mask_of("tiny", even(6, 4, 2, Shape(3, 2)), ablation="mean")
    with pytest.raises(
        UsageError, match=r"3x2 has 6 heads; the nearest .* is 2x2: use --shape 2x2"
    ):
        export(mask, tmp_path / "out", "shrunk", fill)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ablation": "mean-position"}, "adds the same constant at every position"),
        ({"ablation": "resample"}, "no other prompts to take heads' outputs from"),
        ({"ablation": "resample-other"}, "no other prompts to take heads' outputs from"),
        ({"ablation": "mean", "mlps_off": (0,)}, "but this mask has 1 mean-ablated MLPs"),
    ],
)
def test_what_no_bias_of_attention_can_hold_is_not_exported_as_a_checkpoint(
    changes: dict[str, Any], sentence: str, model_folder: Path, tmp_path: Path
) -> None:
    mask = mask_of(str(model_folder), ragged(2, 4), **changes)
    with pytest.raises(UsageError, match=sentence):
        export(mask, tmp_path / "out", "zeroed")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_and_left_as_it_was(
    model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(UsageError, match="must be a new folder"):
        export(mask_of(str(model_folder), ragged(2, 4)), tmp_path, "zeroed")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_leaves_nothing(model_folder: Path, tmp_path: Path) -> None:
    # No file may grow beyond 8 KB in this process: writing the weights fails half way.
    mask_of(str(model_folder), ragged(2, 4)).write(tmp_path / "mask.json")
    code = (
        "import resource, sys\n"
        "from headspex.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "sys.exit(main(['export', sys.argv[1], '--format', 'zeroed', '--to', sys.argv[2]]))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "mask.json"), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "--to must be in a writable folder on a disk with room" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mask.json"]
