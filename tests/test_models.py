import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import headspex
from headspex.errors import UsageError
from headspex.hooks import ALIASES, load_model
from headspex.hooks.sources import find_source
from headspex.support.notice import say_once
from headspex.tiny.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plain_llama: Any) -> Path:
    """A complete small model: random weights and a tokenizer of bytes."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("model")
    plain_llama.save_pretrained(path)
    words = {chr(65 + i): i for i in range(26)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="Z"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="Z").save_pretrained(path)
    return path


def copy_of(folder: Path, tmp_path: Path, **config: Any) -> Path:
    """A copy of the model whose config.json is changed."""
    target = tmp_path / "copy"
    shutil.copytree(folder, target)
    file = target / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return target


def test_folder_object_and_bridge_load_as_the_same_model(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = load_model(folder)
    assert (model.n_layers, model.n_heads, model.n_kv_heads, model.d_head) == (3, 4, 2, 8)
    assert (model.n_ctx, model.dtype, model.device) == (96, "float32", "cpu")
    assert not model.bridge.training
    assert not any(p.requires_grad for p in model.bridge.original_model.parameters())
    plain = AutoModelForCausalLM.from_pretrained(folder)
    for other in (
        load_model(plain, tokenizer=model.tokenizer),
        load_model(model.bridge, tokenizer=model.tokenizer),
    ):
        assert other.fingerprint == model.fingerprint
        assert other.tokenizer_fingerprint == model.tokenizer_fingerprint


def test_fingerprint_is_the_sha256_of_names_types_shapes_and_bytes(folder: Path) -> None:
    import hashlib

    from safetensors.torch import load_file

    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        digest.update(json.dumps([name, "torch.float32", list(tensor.shape)]).encode())
        digest.update(tensor.numpy().tobytes())
    assert load_model(folder).fingerprint == digest.hexdigest()


def test_another_weight_gives_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    changed = copy_of(folder, tmp_path)
    weights = load_file(changed / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    assert load_model(changed).fingerprint != load_model(folder).fingerprint


def test_lower_precision_loads(folder: Path) -> None:
    assert load_model(folder, dtype="bfloat16").dtype == "bfloat16"


def test_aliases_name_the_repositories_of_meta() -> None:
    assert ALIASES["llama-3.1-8b"] == "meta-llama/Llama-3.1-8B"
    assert find_source("Llama-3.1-8B-Instruct").location == "meta-llama/Llama-3.1-8B-Instruct"
    source = find_source("org/name", "v1")
    assert (source.location, source.revision, source.on_hub) == ("org/name", "v1", True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("llama-3.1-8", r"no model 'llama-3.1-8'.*did you mean llama-3.1-8b"),
        ("tinny", r"did you mean tiny"),
        ("./nowhere", r"no folder ./nowhere"),
        ("/a/b/c", r"no folder /a/b/c"),
        (__file__, r"is a file"),
        ("", r"no model ''; a model is a Hub name"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_model(name)


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a model: it has no config\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architectures": ["BertForMaskedLM"], "model_type": "bert"}, "decoder-only.*BertForMask"),
        ({"architectures": None, "model_type": "bert"}, r"decoder-only.*is bert"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "decoder-only"),
        ({"architectures": ["HeliumForCausalLM"], "model_type": "helium"}, "no bridge for Helium"),
        ({"model_type": "martian"}, r"config\.json is broken"),
    ],
)
def test_models_that_are_no_known_decoder_are_refused(
    folder: Path, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    if config["model_type"] == "t5":
        config = {**config, "is_encoder_decoder": True}
    with pytest.raises(UsageError, match=message):
        load_model(copy_of(folder, tmp_path, **config))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"{", r"config\.json is broken"),
        ("model.safetensors", None, "weights are missing or broken"),
        ("model.safetensors", b"not weights", "weights are missing or broken"),
        ("tokenizer.json", None, "tokenizer is missing or broken"),
        ("tokenizer.json", b"{}", "tokenizer is missing or broken"),
    ],
)
def test_broken_or_missing_files_are_named(
    folder: Path, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    broken = copy_of(folder, tmp_path)
    if content is None:
        (broken / file).unlink()
    else:
        (broken / file).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_model(broken)


def test_weights_that_would_be_made_up_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is incomplete: 9 weights such as model\.layers\.3"):
        load_model(copy_of(folder, tmp_path, num_hidden_layers=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "must be auto, float32, bfloat16, float16, but is"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"device": "cuda:99"}, "use device cpu"),
        ({"revision": "main"}, "a folder has no revisions"),
    ],
)
def test_wrong_options_are_refused(folder: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_model(folder, **options)


def test_objects_without_tokenizer_or_of_another_kind_are_refused(llama_bridge: Any) -> None:
    with pytest.raises(UsageError, match=r"tokenizer=\.\.\."):
        load_model(llama_bridge)
    with pytest.raises(UsageError, match=r"but got int"):
        load_model(3)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "is gated.*hf auth login"),
        ("RepositoryNotFoundError", "no public Hub repository"),
        ("RevisionNotFoundError", "no revision 'v9'"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    import httpx
    from huggingface_hub import errors
    from transformers import AutoConfig

    def refuse(*args: Any, **kwargs: Any) -> None:
        response = httpx.Response(403, request=httpx.Request("GET", "https://hub"))
        raise OSError("transformers says so") from getattr(errors, kind)(
            "refused", response=response
        )

    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    with pytest.raises(UsageError, match=message):
        load_model("llama-3.1-8b", revision="v9")


@pytest.mark.slow
def test_without_network_the_cache_serves_and_else_the_ways_out_are_named(
    folder: Path, tmp_path: Path
) -> None:
    commit = "0123456789" * 4
    repository = tmp_path / "hub" / "models--meta-llama--Llama-3.2-1B"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    program = (
        "from headspex.errors import UsageError\n"
        "from headspex.hooks import load_model\n"
        "from headspex.tasks import load_task\n"
        "for call in (lambda: load_model('llama-3.1-8b'),"
        " lambda: load_task('mmlu', subjects=['anatomy'])):\n"
        "    try: call()\n"
        "    except UsageError as error: print(error)\n"
        "print(load_model('llama-3.2-1b').revision)\n"
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    lines = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **offline}, check=True,
        capture_output=True, text=True, cwd=Path(__file__).parents[1],
    ).stdout.splitlines()  # fmt: skip
    assert len(lines) == 3
    assert lines[2] == commit
    assert "meta-llama/Llama-3.1-8B is not in the Hugging Face cache" in lines[0]
    assert "hf auth login" in lines[0]
    assert "local folder" in lines[0]
    assert "cannot load cais/mmlu (anatomy)" in lines[1]
    assert "data_dir" in lines[1]


def test_importing_hooks_and_tasks_imports_neither_torch_nor_datasets() -> None:
    program = (
        "import sys, headspex.hooks, headspex.tasks\n"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert out.stdout.strip() == "[]"


def test_where_the_hub_has_no_model_an_installed_package_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from headspex.hooks import packaged

    say_once.cache_clear()
    (tmp_path / "made_package").mkdir()
    (tmp_path / "made_package/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packaged, "PACKAGED", {"org/made": ("made_package", "made.gguf")})
    monkeypatch.setattr(packaged, "_on_hub", lambda name: False)
    found = packaged.or_packaged(find_source("org/made"))
    assert (found.location, found.gguf) == (str(tmp_path / "made_package"), "made.gguf")
    assert not found.on_hub
    said = "org/made cannot be fetched from the Hub; using made.gguf of the package made-package"
    assert said in capsys.readouterr().err
    # A revision is asked of the Hub, and so is a model that no package has.
    assert packaged.or_packaged(find_source("org/made", "v1")).on_hub
    assert packaged.or_packaged(find_source("org/other")).on_hub
    monkeypatch.setattr(packaged, "_on_hub", lambda name: True)
    assert packaged.or_packaged(find_source("org/made")).on_hub


@pytest.mark.parametrize("asked", [{"revision": "main"}, {"device": "cuda"}, {"dtype": "bfloat16"}])
def test_what_an_object_is_not_is_refused(asked: dict[str, str], llama_bridge: Any) -> None:
    with pytest.raises(UsageError, match=f"stays as it is, but {next(iter(asked))} is"):
        load_model(llama_bridge, tokenizer=build_tokenizer(), **asked)
    loaded = load_model(llama_bridge, tokenizer=build_tokenizer(), device="cpu", dtype="float32")
    assert loaded.bridge is llama_bridge


def test_a_loaded_model_is_taken_as_it_is() -> None:
    tiny = load_model("tiny")
    assert load_model(tiny) is tiny
    assert headspex.Study(tiny, "mini").model is tiny
    with pytest.raises(UsageError, match="stays as it is, but adapter is elsewhere"):
        load_model(tiny, adapter="elsewhere")
