"""The guides: their code runs, prints what they say, and finds what was planted."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

GUIDES = Path(__file__).resolve().parents[1] / "docs/guides"


def run_guide(name: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Everything that the guide's code defined, and what each block printed."""
    namespace: dict[str, Any] = {"folder": folder}
    printed = []
    for block in re.findall(r"```python\n(.*?)```", (GUIDES / name).read_text(), re.DOTALL):
        with redirect_stdout(StringIO()) as out:
            exec(compile(block, name, "exec"), namespace)
        printed.append(out.getvalue())
    return namespace, printed


@pytest.fixture(scope="module")
def ioi(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    return run_guide("ioi.md", tmp_path_factory.mktemp("guide"))


def test_the_planted_model_names_the_one_who_stands_once(ioi: Any) -> None:
    import torch

    space = ioi[0]
    ids = space["tokenizer"](space["prompts"])["input_ids"]
    with torch.no_grad():
        last = space["study"].model.bridge(torch.tensor(ids))[:, -1]
    assert torch.equal(last.argmax(dim=-1), space["right"])


@pytest.mark.parametrize("found", ["findings", "resampled"])
def test_planted_copies_show_up_as_redundant_pairs_and_nothing_else_does(
    found: str, ioi: Any
) -> None:
    rows = {row.heads: row for row in ioi[0][found].interactions}
    copies = {("L0H0", "L0H1"), ("L1H0", "L1H1")}
    for pair in copies:
        assert rows[pair].high < 0, rows[pair]
    idle = {f"L{layer}H{head}" for layer in (0, 1) for head in (2, 3)}
    for heads, row in rows.items():
        if idle & set(heads):
            assert abs(row.effect) < 0.05, row
    assert ioi[0][found].faithfulness.r2 > 0.95


def test_the_guide_prints_what_it_says(ioi: Any) -> None:
    said = re.findall(r"```text\n(.*?)```", (GUIDES / "ioi.md").read_text(), re.DOTALL)
    printed = [out for out in ioi[1] if out]
    assert len(said) == len(printed) == 3
    assert printed[2] == said[2]
    for there, here in zip(map(effects, said[:2]), map(effects, printed[:2]), strict=True):
        # Whole numbers of a search: another engine rounds some to their neighbours.
        assert here == pytest.approx(there, abs=1)


def effects(block: str) -> dict[str, float]:
    """From the heads of each line to its effect."""
    rows = [line.rsplit(maxsplit=1) for line in block.splitlines()]
    return {heads.strip(): float(effect) for heads, effect in rows}


@pytest.mark.parametrize("ablation", ["zero", "resample"])
def test_matching_the_model_leaves_the_planted_circuit_until_last(
    ablation: Any, ioi: Any, tmp_path: Path
) -> None:
    import headspex
    from headspex.tasks.pairs import Pair, pairs

    space = ioi[0]
    columns = (space[name] for name in ("prompts", "corrupted", "right", "wrong"))
    rows = zip(*columns, strict=True)
    task = pairs(
        "planted",
        [Pair.of(one, [int(a)], [int(b)], corrupted=two) for one, two, a, b in rows],
    )
    study = headspex.Study(
        space["model"], task, tokenizer=space["tokenizer"], keep=0.5, ablation=ablation,
        budget=3_000, verify_budget=6_000,
    )  # fmt: skip
    findings = study.run(tmp_path / "run")
    assert findings.task_metric == "kl"
    order = [study.players.label(column) for column in findings.schedule.order]
    # Idle heads go first, then one of each two copies; the last two are the circuit.
    assert set(order[:4]) == {f"L{layer}H{head}" for layer in (0, 1) for head in (2, 3)}
    assert {label[:2] for label in order[4:6]} == {label[:2] for label in order[6:]} == {"L0", "L1"}
    distance = {p.n_pruned: -p.score for p in findings.curve if p.method == "proxyspex"
                and p.metric == "kl"}  # fmt: skip
    assert distance[4] == pytest.approx(0, abs=1e-5)
    assert distance[max(distance)] > 1
    # Four of eight heads do all, one does nothing: a rise from 20 to 50 % kept, and 1 from there.
    assert findings.circuits is not None
    measures = findings.circuits.measures
    assert measures is not None
    assert measures.cpr.value == pytest.approx(0.3 / 2 + 0.5, abs=0.01)
    assert measures.cmd.value == pytest.approx(0.199 + 0.3 / 2, abs=0.01)
