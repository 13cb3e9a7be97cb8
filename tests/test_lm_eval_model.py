"""lm-eval with `--model headspex`: its scores of masked models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.hooks import load_model
from headspex.mask_file import MaskFile, pruned_heads

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'headspex[lm-eval]'")
from reference_lm_eval import lm_eval_run, log_likelihoods, offline, write_mmlu

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-eval's and its dependencies' own
TASKS = ["mmlu_abstract_algebra", "mmlu_philosophy"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five made-up questions in each of two subjects."""
    source, folder = tmp_path_factory.mktemp("csv"), tmp_path_factory.mktemp("data")
    for part, count in (("test", 5), ("dev", 5)):
        for subject in ("abstract_algebra", "philosophy"):
            path = source / part / f"{subject}_{part}.csv"
            path.parent.mkdir(exist_ok=True)
            rows = [
                f"What is the home of the {n}?,fox,den,sea,{part},{'ABCD'[n % 4]}"
                for n in range(count)
            ]
            path.write_text("\n".join(rows))
    write_mmlu(folder, source, ["abstract_algebra", "philosophy"])
    return folder


@pytest.fixture(scope="module")
def mask(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of eight heads and an MLP off."""
    model = load_model(model_folder)
    keep = np.ones((2, 4), dtype=bool)
    keep[0, 1] = keep[1, 0] = keep[1, 3] = False
    path = tmp_path_factory.mktemp("mask") / "004.json"
    MaskFile(
        model="random", fingerprint=model.fingerprint, n_layers=2, n_heads=4,
        pruned_heads=pruned_heads(keep), ablation="zero", rescale=False, sparsity=0.4,
        task="mmlu", score=None, unit="head,mlp", pruned_mlps=(1,),
    ).write(path)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def zeroed(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint of transformers alone: columns of o_proj, rows of down_proj."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_folder)
    d_head = model.config.hidden_size // 4
    for layer, head in ((0, 1), (1, 0), (1, 3)):
        attention = model.model.layers[layer].self_attn
        attention.o_proj.weight.data[:, head * d_head : (head + 1) * d_head] = 0
    model.model.layers[1].mlp.down_proj.weight.data.zero_()
    folder = tmp_path_factory.mktemp("zeroed")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_masked_model_scores_in_lm_eval_as_in_headspex_and_as_the_zeroed_checkpoint(
    data: Path, model_folder: Path, mask: Path, zeroed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import headspex.evaluation.lm_eval_model  # noqa: F401 - registers the model

    masked = lm_eval_run(
        data, TASKS, "headspex", {"pretrained": str(model_folder), "mask": str(mask)},
        num_fewshot=2,
    )  # fmt: skip
    args = {"pretrained": str(zeroed), "dtype": "float32"}
    checkpoint = lm_eval_run(data, TASKS, model_args=args, num_fewshot=2)
    whole = lm_eval_run(data, TASKS, "headspex", {"pretrained": str(model_folder)}, num_fewshot=2)
    capsys.readouterr()
    assert main([
        "eval", "--model", str(model_folder), "--mask", str(mask), "--task", "mmlu", "--data-dir",
        str(data / "cais/mmlu"), "--split", "test", "--shots", "2", "--json",
        "--threads", str(torch.get_num_threads()),
    ]) == 0  # fmt: skip
    ours = json.loads(capsys.readouterr().out)
    assert log_likelihoods(masked, TASKS) == log_likelihoods(checkpoint, TASKS)
    assert log_likelihoods(masked, TASKS) == ours["log_likelihoods"]
    assert log_likelihoods(masked, TASKS) != log_likelihoods(whole, TASKS)
    scores = [found["results"][TASKS[0]]["acc,none"] for found in (masked, checkpoint)]
    assert scores[0] == scores[1] == ours["averages"]["subjects"]["abstract_algebra"]["score"]


def test_generation_runs_under_the_mask_as_in_the_zeroed_checkpoint(
    model_folder: Path, mask: Path, zeroed: Path
) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from headspex.evaluation.lm_eval_model import MaskedLM

    def written(model: Any) -> list[str]:
        args = ("What is the home of the fox?", {"until": ["!"], "max_gen_toks": 12})
        return list(model.generate_until([Instance("generate_until", {}, args, 0)]))

    masked = written(MaskedLM(str(model_folder), mask=str(mask)))
    checkpoint = HFLM(str(zeroed), device="cpu", dtype="float32", batch_size=1)
    assert masked == written(checkpoint)
    assert masked != written(MaskedLM(str(model_folder)))


@pytest.mark.slow
def test_the_command_line_of_lm_eval_knows_the_model(
    data: Path, model_folder: Path, mask: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with offline(data):
        assert main([
            "lm-eval", "run", "--model", "headspex", "--model_args",
            f"pretrained={model_folder},mask={mask}", "--tasks", TASKS[0], "--device", "cpu",
            "--output_path", str(tmp_path),
        ]) == 0  # fmt: skip
    assert f"'mask': '{mask}'" in capsys.readouterr().out
    (results,) = tmp_path.rglob("results_*.json")
    assert TASKS[0] in json.loads(results.read_text())["results"]


@pytest.mark.slow
def test_means_per_position_are_refused(model_folder: Path, mask: Path, tmp_path: Path) -> None:
    from headspex.evaluation.lm_eval_model import MaskedLM

    path = tmp_path / "mask.json"
    path.write_text(mask.read_text().replace('"zero"', '"mean-position"'))
    with pytest.raises(UsageError, match="prompts of one length, which lm-eval does not keep to"):
        MaskedLM(str(model_folder), mask=str(path))


def test_the_gpu_that_lm_eval_fills_in_is_the_cpu_where_there_is_none(
    data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with offline(data):
        assert main([
            "lm-eval", "run", "--model", "headspex", "--model_args", f"pretrained={model_folder}",
            "--tasks", TASKS[0], "--limit", "1", "--output_path", str(tmp_path),
        ]) == 0  # fmt: skip
    said = capsys.readouterr().err
    assert said.count("headspex: lm-eval's default --device is cuda:0") == 1
    assert list(tmp_path.rglob("results_*.json"))


def test_another_device_that_is_not_there_is_refused(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headspex.evaluation.lm_eval_model import MaskedLM

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="cuda devices on this machine, too few for 'cuda:1'"):
        MaskedLM(str(model_folder), device="cuda:1")


@pytest.mark.parametrize(
    ("option", "way"),
    [
        ({"load_in_4bit": True}, "give load_in=4bit instead"),
        ({"peft": "adapter"}, "give adapter=DIR instead"),
        ({"parallelize": True}, "give max_memory='0=20GiB,1=20GiB' instead"),
        ({"attn_implementation": "sdpa"}, "does not know attn_implementation=sdpa; leave it out"),
        ({"delta": "weights"}, "does not know delta=weights; leave it out"),
    ],
)
def test_what_lm_eval_would_ignore_as_the_model_is_loaded_is_refused(
    option: dict[str, Any], way: str, model_folder: Path
) -> None:
    from headspex.evaluation.lm_eval_model import MaskedLM

    with pytest.raises(UsageError, match=way):
        MaskedLM(str(model_folder), **option)


def test_sizes_of_several_gpus_and_quantisation_reach_the_loader(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headspex.evaluation import lm_eval_model

    class AskedError(Exception):
        pass

    def load(name: str, **how: Any) -> None:
        raise AskedError({key: how[key] for key in ("device", "max_memory", "load_in")})

    monkeypatch.setattr(lm_eval_model, "load_model", load)
    args = "pretrained=tiny,max_memory='0=20GiB,1=20GiB',load_in=8bit"
    with offline(data), pytest.raises(AskedError) as found:
        main(["lm-eval", "run", "--model", "headspex", "--model_args", args, "--tasks", TASKS[0],
              "--device", "cuda:0"])  # fmt: skip
    assert found.value.args == (
        {"device": "cuda", "max_memory": "0=20GiB,1=20GiB", "load_in": "8bit"},
    )


def test_a_mask_of_another_model_is_refused(four_layers: Path, mask: Path) -> None:
    from headspex.evaluation.lm_eval_model import MaskedLM

    with pytest.raises(UsageError, match="the mask was made for random"):
        MaskedLM(str(four_layers), mask=str(mask))
