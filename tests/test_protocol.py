"""The paper's head experiment as one flag."""

import json
from pathlib import Path
from typing import Any

import pytest

import headspex
from headspex.budget.allocation import spend
from headspex.budget.plan import make_plan
from headspex.errors import UsageError
from headspex.evaluation.evaluate import check_held_out
from headspex.presets import said_of_split
from headspex.settings import Settings

GALLERY_RUN = Path(__file__).resolve().parents[1] / "docs/gallery/run"


def _questions(path: Path, test: int, validation: int, dev: int) -> Path:
    parts = ["test"] * test + ["validation"] * validation + ["dev"] * dev
    rows = [
        {"question": f"What is {i}?", "choices": ["one", "two"], "answer": 0, "split": part}
        for i, part in enumerate(parts)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_it_stands_for_its_settings_and_is_recorded_with_them() -> None:
    settings = Settings(protocol="paper", keep=0.5).to_dict()
    assert settings["protocol"] == "paper"
    assert (settings["keep"], settings["questions_per_mask"]) == (0.5, "all")
    assert (settings["ablation"], settings["rescale"]) == ("zero", True)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"keep": 0.7}, "protocol paper has keep 0.5, but keep is 0.7"),
        ({"questions_per_mask": 2}, "questions_per_mask is 2"),
        ({"ablation": "mean"}, "ablation is mean"),
        ({"budget": 9}, "5,000 masks on all search questions.*but budget is 9; leave one"),
        ({"verify_budget": 9}, "verify_budget is 9"),
    ],
)
def test_what_contradicts_it_is_refused(other: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Settings(protocol="paper", **other)


def test_the_231_questions_of_the_paper_are_cut_as_in_the_paper(tmp_path: Path) -> None:
    file = _questions(tmp_path / "history.jsonl", test=204, validation=22, dev=5)
    study = headspex.Study("tiny", file, protocol="paper")
    assert tuple(map(len, study.halves)) == (120, 111)
    assert said_of_split(120, 111) is None
    # The same questions are held out when a mask is judged afterwards.
    assert study.questions_of("heldout") == study.halves[1]


@pytest.mark.parametrize(
    ("its", "asked", "way"), [("paper", None, "; add"), (None, "paper", "; leave out")]
)
def test_a_mask_is_not_judged_on_questions_that_its_run_searched(
    tmp_path: Path, its: str | None, asked: str | None, way: str
) -> None:
    identity = json.loads((GALLERY_RUN / "run.json").read_text())
    identity["identity"]["protocol"] = its
    (tmp_path / "run.json").write_text(json.dumps(identity))
    mask = tmp_path / "masks/004.json"
    check_held_out(mask, its)
    check_held_out(tmp_path / "elsewhere/004.json", asked)
    with pytest.raises(UsageError, match=f"{way} protocol paper"):
        check_held_out(mask, asked)


def test_fewer_questions_are_cut_in_the_same_proportion_and_that_is_said(mmlu_folder: Path) -> None:
    study = headspex.Study(
        "tiny", "mmlu", data_dir=mmlu_folder, subjects=("high_school_us_history",), protocol="paper"
    )
    search, heldout = map(len, study.halves)
    assert search == -(-(search + heldout) * 120 // 231)
    assert f"are split {search}/{heldout}" in str(said_of_split(search, heldout))


def test_five_thousand_masks_are_asked_all_questions() -> None:
    plan = make_plan(Settings(protocol="paper"), n_players=96, n_search=120, n_heldout=111)
    assert (plan.n_search, plan.n_heldout) == (120, 111)
    found = spend(plan, 0.5, plan.n_search)
    assert (found.n_masks, found.questions_per_mask, found.passes) == (5_000, 120, 600_000)
