"""MMLU scores equal lm-eval's own, float for float."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headspex.cli.main import main

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'headspex[lm-eval]'")
from reference_lm_eval import lm_eval_run, log_likelihoods, metric_of, write_mmlu

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-eval's and its dependencies' own
SUBJECTS = (
    "abstract_algebra", "high_school_us_history", "college_medicine", "philosophy", "sociology",
)  # fmt: skip
TASKS = [f"mmlu_{subject}" for subject in SUBJECTS]


@pytest.fixture(scope="module")
def real_mmlu(mmlu_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty test questions of each of five subjects as `cais/mmlu`."""
    folder = tmp_path_factory.mktemp("mmlu")
    write_mmlu(folder, mmlu_folder, SUBJECTS, 40)
    return folder


def evaluated(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["eval", "--json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


BOTH = pytest.mark.parametrize(("dtype", "batch"), [
    ("float32", 1), ("float32", 8), ("bfloat16", 1), ("bfloat16", 8),
])  # fmt: skip


def assert_equal_to_the_last_bit(
    capsys: pytest.CaptureFixture[str], data: Path, model: Path, subjects: Sequence[str],
    *, dtype: str, batch: int, shots: int, limit: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score some subjects with both; returns what lm-eval said."""
    tasks = [f"mmlu_{subject}" for subject in subjects]
    expected = lm_eval_run(
        data, tasks, num_fewshot=shots, batch_size=batch, limit=limit,
        model_args={"pretrained": str(model), "dtype": dtype},
    )  # fmt: skip
    found = evaluated(
        capsys, "--model", str(model), "--task", "mmlu", "--data-dir", str(data / "cais/mmlu"),
        "--subject", *subjects, "--shots", str(shots), "--dtype", dtype, "--batch-size", str(batch),
        "--threads", str(torch.get_num_threads()),
        *([] if limit is None else ["--limit", str(limit)]),
    )  # fmt: skip
    assert found["log_likelihoods"] == log_likelihoods(expected, tasks)
    assert found["correct"] == metric_of(expected, tasks, "acc")
    for task, subject in zip(tasks, subjects, strict=True):
        score = found["averages"]["subjects"][subject]["score"]
        assert score == pytest.approx(expected["results"][task]["acc,none"], abs=1e-12)
    return {**expected, "asked": found["n_questions"]}


@pytest.mark.slow
@BOTH
def test_two_hundred_real_questions_score_as_in_lm_eval_to_the_last_bit(
    dtype: str, batch: int, real_mmlu: Path, stories260k: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = assert_equal_to_the_last_bit(
        capsys, real_mmlu, stories260k, SUBJECTS, dtype=dtype, batch=batch, shots=0
    )
    assert found["asked"] == 200


@pytest.mark.slow
@BOTH
def test_prompts_that_the_context_cuts_score_as_in_lm_eval_to_the_last_bit(
    dtype: str, batch: int, real_mmlu: Path, stories260k: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # With five shots all are longer than 512 tokens; " A" is two tokens here, " B" is one.
    assert_equal_to_the_last_bit(
        capsys, real_mmlu, stories260k, SUBJECTS[:1], dtype=dtype, batch=batch, shots=5, limit=10
    )


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty questions full of traps and a random Llama, by the recipe beside this checkout."""
    script = Path(__file__).resolve().parents[2] / "shared/lm_eval_recipe/make_fixture.py"
    if not script.is_file():
        pytest.skip("the recipe lm_eval_recipe is not beside this checkout")
    folder = tmp_path_factory.mktemp("recipe")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    subprocess.run(
        [sys.executable, script, folder], env={**os.environ, **offline}, check=True,
        capture_output=True,
    )  # fmt: skip
    return folder


@BOTH
@pytest.mark.slow
def test_the_recipes_twenty_questions_score_as_in_lm_eval_to_the_last_bit(
    dtype: str, batch: int, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = assert_equal_to_the_last_bit(
        capsys, recipe, recipe / "tiny-llama", ["abstract_algebra", "high_school_us_history"],
        dtype=dtype, batch=batch, shots=5,
    )  # fmt: skip
    assert found["asked"] == 20


@pytest.mark.slow
def test_averages_by_question_and_by_category_are_those_of_lm_eval(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = {"pretrained": str(recipe / "tiny-llama")}
    expected = lm_eval_run(recipe, ["mmlu"], model_args={**args, "dtype": "float32"})["results"]
    found = evaluated(
        capsys, "--model", str(recipe / "tiny-llama"), "--task", "mmlu", "--data-dir",
        str(recipe / "cais/mmlu"),
    )["averages"]  # fmt: skip
    assert found["micro"] == pytest.approx(expected["mmlu"]["acc,none"], abs=1e-12)
    assert len(found["subjects"]) == 57
    subjects = [one["score"] for one in found["subjects"].values()]
    assert found["macro"] == pytest.approx(np.mean(subjects), abs=1e-12)
    for category, score in found["categories"].items():
        named = expected[f"mmlu_{category}"]["acc,none"]
        assert score["score"] == pytest.approx(named, abs=1e-12), category
    assert set(found["categories"]) == {"stem", "humanities", "social_sciences", "other"}
