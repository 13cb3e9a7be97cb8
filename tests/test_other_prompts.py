"""Resampling from other prompts of the task, where no prompt has a corrupted one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headspex.cli.main import main
from headspex.errors import UsageError
from headspex.mask_file import read_mask
from headspex.scores.fill import read_fill
from headspex.study import Study
from headspex.tasks import EncodedQuestion, Question, encode_task, game
from headspex.tasks.other_prompts import with_other_prompts
from headspex.tasks.pairs import Pair, pairs

QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1"]
RNG = np.random.default_rng(0)
TOKENS = [tuple(RNG.integers(3, 300, length).tolist()) for length in [5, 8] * 30]
QUESTIONS = [Question(str(tokens), "", ("a", "b"), 0) for tokens in TOKENS]
ENCODED = [EncodedQuestion(tokens, ((10,), (11,))) for tokens in TOKENS]


def drawn(rows: slice = slice(None), seed: int = 0) -> list[Any]:
    found = with_other_prompts(QUESTIONS[rows], ENCODED[rows], ENCODED, seed=seed)
    return [one.corrupted for one in found]


def test_each_prompt_gets_another_as_long_and_never_itself() -> None:
    for tokens, other in zip(TOKENS, drawn(), strict=True):
        assert other in TOKENS
        assert other != tokens
        assert len(other) == len(tokens)
    assert len(set(drawn())) > 20


def test_a_draw_depends_on_seed_and_question_and_not_on_what_else_is_asked() -> None:
    assert drawn() == drawn()
    assert drawn(slice(10, 20)) == drawn()[10:20]
    assert drawn(slice(None, None, -1)) == drawn()[::-1]
    assert drawn(seed=1) != drawn()


def test_a_prompt_without_another_as_long_is_refused() -> None:
    alone = EncodedQuestion((1, 2, 3), ((10,), (11,)))
    with pytest.raises(UsageError, match=r"but 1 of 1 prompts have none, such as one of 3 tokens"):
        with_other_prompts(QUESTIONS[:1], [alone], [*ENCODED, alone], seed=0)


def test_corrupted_prompts_that_a_metric_may_read_are_not_replaced() -> None:
    prompts = [list(tokens) for tokens in TOKENS]
    others = prompts[2:] + prompts[:2]
    task = game(lambda logits, batch: logits[:, -1, 0], prompts, corrupted=others)
    encoded = encode_task(task, task.test, None)
    with pytest.raises(UsageError, match="resample-other is for prompts without corrupted ones"):
        with_other_prompts(task.test, encoded, encoded, seed=0)


def made(lengths: list[int]) -> list[Pair]:
    rng = np.random.default_rng(3)
    return [
        Pair.of(
            tuple(rng.integers(3, 170, length).tolist()), [number % 7 + 3], [20], place=str(number)
        )
        for number, length in enumerate(lengths)
    ]


def test_held_out_prompts_too_are_resampled_from_search_prompts(model_folder: Path) -> None:
    searched, held_out = made([5, 7] * 30), made([7, 5] * 20)
    task = pairs("made", searched, held_out)
    study = Study(
        model_folder, task, ablation="resample-other", budget=400, verify_budget=2640, seed=5
    )
    search = {pair.clean for pair in searched}
    assert all(one.corrupted in search - {one.context} for one in study.encoded)
    again = {one.context: one.corrupted for one in study.encode(held_out)}
    assert all(one.corrupted == again[one.context] for one in study.encode(held_out[3:6]))


def test_prompts_of_several_lengths_have_no_means_per_position(
    model_folder: Path, tmp_path: Path
) -> None:
    study = Study(model_folder, "mini", ablation="mean-position")
    with pytest.raises(UsageError, match="one length in tokens, but these have"):
        study.run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ablation", "unit"),
    [
        ("mean", "head,mlp"),
        ("mean-position", "mlp"),
        ("resample-other", "head,mlp"),
    ],
)
def test_a_run_with_mlps_ends_and_its_masks_score_again_what_they_scored(
    ablation: str,
    unit: str,
    four_layers: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        {"clean": list(pair.clean), "answers": list(pair.answers), "wrong": list(pair.wrong)}
        for pair in made([6] * 90)
    ]
    file, out = tmp_path / "pairs.jsonl", tmp_path / "run"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--model", str(four_layers), "--task", str(file)]
    how = ["--unit", unit, "--ablation", ablation, "--out", str(out)]
    assert main(["prune", *words, *how, *QUICK]) == 0
    path = sorted((out / "masks").glob("*.json"))[-1]
    mask = read_mask(path)
    assert (mask.ablation, mask.unit) == (ablation, unit)
    assert mask.pruned_mlps
    fill = read_fill(mask, path)
    assert (fill is not None and fill.mlps is not None) == ablation.startswith("mean")
    capsys.readouterr()
    assert main(["eval", *words, "--metric", "kl", "--mask", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(mask.score, abs=1e-5)
    to = tmp_path / "to"
    export = ["export", str(path), "--to", str(to)]
    if ablation.startswith("mean"):
        assert main([*export, "--format", "zeroed"]) == 2
        assert "use --format mask" in capsys.readouterr().err
    assert main(export) == 0
    assert (to / "fill.safetensors").is_file() == ablation.startswith("mean")
