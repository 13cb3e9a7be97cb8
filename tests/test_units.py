"""Units other than heads, from the columns of a mask to the files of a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headspex.cli.main import main
from headspex.engine.energy import layer_energy
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.mask_file import MaskFile, read_mask
from headspex.players import Players
from headspex.schedules.schedule import Schedule
from headspex.settings import Settings
from headspex.units import parse_units, plural, singular

UNITS = ["kv-group", "layer", "mlp", "head,mlp"]
QUICK = ["--budget", "400", "--verify-budget", "2640", "--threads", "1"]
HELD_OUT = ["--split", "heldout", "--batch-size", "64"]


@pytest.mark.parametrize(
    ("unit", "labels"),
    [
        ("kv-group", "L1G0 L1G1 L3G0 L3G1"),
        ("layer", "L1A L3A"),
        ("mlp", "L1M L3M"),
        ("mlp,head", "L1H0 L1H1 L1H2 L1H3 L1M L3H0 L3H1 L3H2 L3H3 L3M"),
        ("layer,mlp", "L1A L1M L3A L3M"),
    ],
)
def test_columns_run_part_by_part_through_the_layers_and_are_found_by_their_labels(
    unit: str, labels: str
) -> None:
    players = Players.of_unit(unit, 5, 4, [3, 1], n_kv_heads=2)
    assert players.labels(range(len(players))) == labels
    assert [players.parse_label(label) for label in labels.split()] == [*range(len(players))]
    assert [layer for layer, _ in players] == players.layer_of.tolist()


def test_a_kv_group_holds_the_heads_that_share_its_keys_and_a_layer_holds_all() -> None:
    groups = Players.of_unit("kv-group", 2, 6, [1], n_kv_heads=2)
    grid = groups.grid(np.array([True, False]))
    assert grid.tolist() == [[True] * 6, [True] * 3 + [False] * 3]
    assert groups.mlps(np.array([True, False])).all()
    attention = Players.of_unit("layer", 2, 3)
    assert attention.grid(np.array([[False, True]])).tolist() == [[[False] * 3, [True] * 3]]


def test_mlps_are_switched_beside_heads_and_leave_other_layers_on() -> None:
    players = Players.of_unit("head,mlp", 3, 2, [0, 2])
    mask = np.array([True, False, False, False, True, True])
    assert players.grid(mask).tolist() == [[True, False], [True, True], [False, True]]
    assert players.mlps(mask).tolist() == [False, True, True]
    alone = Players.of_unit("mlp", 3, 2, [0, 2])
    assert alone.mlps(np.array([True, False])).tolist() == [True, True, False]
    assert alone.grid(np.array([True, False])).all()
    with pytest.raises(UsageError, match=r"5 players.*has 6 \(2 layers x 3 heads and MLPs\)"):
        players.mlps(np.ones(5, dtype=bool))


@pytest.mark.parametrize(
    ("unit", "sentence"),
    [
        ("neuron", "must be head, kv-group, layer, mlp"),
        ("", "must be head"),
        ("head,,mlp", "must be head"),
        ("mlp,mlp", "names mlp twice"),
        ("head,kv-group", "head and kv-group consist of the same heads"),
        ("mlp,layer,head", "head and layer consist of the same heads"),
        ("layer,kv-group", "kv-group and layer consist of the same heads"),
    ],
)
def test_units_that_cannot_be_are_refused_in_one_sentence(
    unit: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_units(unit)
    assert main(["prune", "--unit", unit]) == 2
    said = capsys.readouterr().err
    assert said.startswith("headspex: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"unit": "kv-group", "rescale": True}, "protocol paper. goes with heads"),
        ({"unit": "head,mlp", "rescale": True}, "protocol paper. goes with heads"),
        ({"unit": "layer", "protocol": "paper"}, "protocol paper. goes with heads"),
    ],
)
def test_what_only_heads_can_do_is_refused_for_other_units(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        Settings(**settings)


def test_the_sequence_in_which_units_are_named_makes_no_other_run() -> None:
    assert Settings(unit="mlp, head") == Settings(unit="head,mlp")


def test_units_have_words() -> None:
    assert (singular("head"), plural("head")) == ("head", "heads")
    assert (singular("mlp,kv-group"), plural("mlp,kv-group")) == (
        "KV group or MLP", "KV groups and MLPs",
    )  # fmt: skip


def test_players_that_are_not_there_are_refused() -> None:
    players = Players.of_unit("layer,mlp", 4, 2, [2, 3])
    with pytest.raises(UsageError, match="L1M is not a player: attention layers and MLPs are of"):
        players.parse_label("L1M")
    with pytest.raises(UsageError, match="L2H0 is not a player"):
        players.index(2, 0)
    with pytest.raises(UsageError, match=r"L2G2 is not a player: KV groups are 0-1 of layers 2-3"):
        Players.of_unit("kv-group", 4, 4, [2, 3], n_kv_heads=2).parse_label("L2G2")
    for label in ("L2A0", "L2G", "L2M1", "M2"):
        with pytest.raises(UsageError, match="written like"):
            players.parse_label(label)
    for n_kv_heads in (None, 3):
        with pytest.raises(UsageError, match="n_kv_heads must divide"):
            Players.of_unit("kv-group", 4, 4, n_kv_heads=n_kv_heads)


def test_a_head_and_the_mlp_of_its_layer_interact_within_it() -> None:
    players = Players.of_unit("head,mlp", 2, 2)  # L0H0 L0H1 L0M L1H0 L1H1 L1M
    spectrum = Spectrum.from_dict({(2,): 1.0, (0, 2): 1.0, (2, 5): 1.0}, n_players=6)
    energy = layer_energy(spectrum, players)
    assert (energy.linear, energy.within, energy.across) == pytest.approx((1 / 3,) * 3)
    assert energy.matrix[0].tolist() == pytest.approx([1 / 3, 1 / 6])


def test_a_schedule_names_other_units_by_their_labels() -> None:
    players = Players.of_unit("head,mlp", 2, 2)
    text = Schedule((5, 0), 6).to_json(players)
    assert json.loads(text)["unit"] == "head,mlp"
    assert json.loads(text)["order"] == ["L1M", "L0H0"]
    assert Schedule.from_json(text, players).order == (5, 0)
    with pytest.raises(UsageError, match="unit must be \"mlp\", but it is 'head,mlp'"):
        Schedule.from_json(text, Players.of_unit("mlp", 6, 2))
    for wrong in ([[1, 0]], ["L9M"], ["thing"]):
        with pytest.raises(UsageError, match="not a schedule"):
            Schedule.from_json(json.dumps({**json.loads(text), "order": wrong}), players)


MASK = MaskFile(
    model="tiny", fingerprint="ab" * 32, n_layers=3, n_heads=2, pruned_heads={0: (1,)},
    ablation="zero", rescale=False, sparsity=1 / 3, task="mini", score=0.75,
    unit="head,mlp", pruned_mlps=(0, 2),
)  # fmt: skip


def test_a_mask_with_mlps_survives_the_file(tmp_path: Path) -> None:
    MASK.write(tmp_path / "003.json")
    found = read_mask(tmp_path / "003.json")
    assert found == MASK
    assert found.keep_mlps().tolist() == [False, True, False]
    assert found.off == "1 head and 2 MLPs"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": "head"}, "be empty where unit has no mlp"),
        ({"unit": "mlp"}, "pruned_heads"),
        ({"unit": 3}, "unit must be a text"),
        ({"unit": "head,layer"}, "same heads"),
        ({"pruned_mlps": [2, 0]}, "ascend"),
        ({"pruned_mlps": [3]}, r"0\.\.2"),
        ({"pruned_mlps": {"0": 1}}, "ascend"),
        ({"rescale": True}, "only heads are rescaled"),
    ],
)
def test_a_broken_mask_of_other_units_is_refused_with_what_is_wrong(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "mask.json"
    path.write_text(json.dumps({**json.loads(MASK.to_json()), **change}))
    with pytest.raises(UsageError, match=words):
        read_mask(path)


SLOW = pytest.mark.slow


@pytest.fixture(
    scope="module",
    params=[*(pytest.param(unit, marks=SLOW) for unit in UNITS[:-1]), UNITS[-1]],
)
def run(
    request: pytest.FixtureRequest, four_layers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run for each unit."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["prune", "--model", str(four_layers), "--unit", request.param, "--out", str(out)]
    assert main([*words, "--metric", "logprob", *QUICK]) == 0
    return out


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_mask_of_a_run_scores_as_plain_transformers_with_weights_zeroed(
    run: Path, four_layers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = sorted((run / "masks").glob("*.json"))[-1]
    mask = json.loads(path.read_text())
    assert mask["unit"] == json.loads((run / "run.json").read_text())["results"]["unit"]
    model = AutoModelForCausalLM.from_pretrained(four_layers)
    for layer, heads in mask["pruned_heads"].items():
        for head in heads:
            weight = model.model.layers[int(layer)].self_attn.o_proj.weight.data
            weight[:, 8 * head : 8 * head + 8] = 0
    for layer in mask["pruned_mlps"]:
        model.model.layers[layer].mlp.down_proj.weight.data.zero_()
    assert mask["pruned_heads"] or mask["pruned_mlps"]
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(four_layers).save_pretrained(tmp_path)
    masked = _json(capsys, "eval", "--model", str(four_layers), "--mask", str(path), *HELD_OUT)
    zeroed = _json(capsys, "eval", "--model", str(tmp_path), *HELD_OUT)
    np.testing.assert_allclose(masked["log_likelihoods"], zeroed["log_likelihoods"], atol=1e-4)
    correct = dict(zip(zeroed["ids"], zeroed["correct"], strict=True))
    heldout = json.loads((run / "questions.json").read_text())["heldout"]
    assert mask["score"] == pytest.approx(np.mean([correct[question] for question in heldout]))


def test_the_files_of_a_run_speak_of_its_units(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = json.loads((run / "run.json").read_text())["results"]["unit"]
    players = Players.of_unit(unit, 4, 4, n_kv_heads=2)
    schedule = json.loads((run / "schedule.json").read_text())
    known = players.labels(range(len(players))).split()
    assert sorted(schedule["order"]) == sorted(known)
    lines = (run / "interactions.csv").read_text().splitlines()[1:]
    assert {label for line in lines for label in line.split(",")[1].split()} <= set(known)
    for text in ((run / "report.html").read_text(), (run / "figures/curve.svg").read_text()):
        assert f"{plural(unit)} removed" in text
    assert main(["export", str(run), "--sparsity", "0.5", "--to", str(tmp_path / "to")]) == 0
    count = len(players)
    assert f"{plural(unit)} {count} -> {count - count // 2}" in capsys.readouterr().out
    assert read_mask(tmp_path / "to" / "headspex_mask.json").unit == unit
    for name in ("heads", "energy", "curve"):
        assert main(["plot", str(run), name, "--to", str(tmp_path / f"{name}.png")]) == 0


@pytest.mark.slow
def test_methods_are_compared_on_other_units(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = json.loads((run / "run.json").read_text())["results"]["unit"]
    words = ["--orders", "leave-one-out", "--to", str(tmp_path / "to")]
    assert main(["compare", str(run), *words]) == 0
    said = capsys.readouterr().out
    assert f"LASSO on {plural(unit)} and pairs" in said
    assert f"{plural(unit)} removed" in said


@pytest.mark.slow
def test_kv_groups_are_ablated_by_their_means(four_layers: Path, tmp_path: Path) -> None:
    words = ["prune", "--model", str(four_layers), "--unit", "kv-group", "--ablation", "mean"]
    assert main([*words, "--out", str(tmp_path / "run"), *QUICK]) == 0
    mask = read_mask(next(iter((tmp_path / "run" / "masks").glob("*.json"))))
    assert (mask.unit, mask.ablation, mask.pruned_mlps) == ("kv-group", "mean", ())
