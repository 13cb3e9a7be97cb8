"""Training samples as players."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from headspex.cli.main import main
from headspex.data import TrainingValue
from headspex.data.findings import explain_training
from headspex.data.learners import kernel_scores, ridge_scores
from headspex.data.pairs import pairs
from headspex.data.sources import near_players, read_data
from headspex.engine.search import exact_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError


@pytest.mark.parametrize(("samples", "features"), [(12, 5), (5, 12)])
def test_ridge_scores_equal_scikit_learn_on_every_subset(samples: int, features: int) -> None:
    rng = np.random.default_rng(0)
    x, tests = rng.normal(size=(samples, features)), rng.normal(size=(3, features))
    targets, masks = rng.normal(size=(samples, 2)), rng.random((20, samples)) < 0.5
    masks[0] = True
    found = ridge_scores(x, targets, tests, masks, penalty=0.3)
    for mask, scores in zip(masks, found, strict=True):
        model = Ridge(alpha=0.3, fit_intercept=False).fit(x[mask], targets[mask])
        assert np.allclose(model.predict(tests), scores, atol=1e-8)


def test_without_samples_all_scores_are_zero() -> None:
    kernel = np.eye(3)
    none = np.zeros((1, 3), dtype=bool)
    assert not kernel_scores(kernel, np.ones((3, 2)), np.ones((1, 3)), none, penalty=1.0).any()


def test_an_rbf_learner_equals_scikit_learns_kernel_ridge() -> None:
    from sklearn.kernel_ridge import KernelRidge

    from headspex.data.learners import usual_width

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(14, 3)), np.arange(14) % 2
    value = TrainingValue(x, y, x[:1] + 0.1, y[:1], learner="rbf", penalty=0.2)
    masks = rng.random((8, 14)) < 0.6
    gamma = usual_width(np.c_[np.ones(14), x]) ** -2
    for mask, margin in zip(masks, value(masks), strict=True):
        model = KernelRidge(alpha=0.2, kernel="rbf", gamma=gamma)
        scores = model.fit(x[mask], np.eye(2)[y[mask]]).predict(x[:1] + 0.1)[0]
        assert np.isclose(margin, scores[0] - scores[1])


def test_a_users_own_training_gives_the_same_margins_as_the_closed_form() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(10, 4)), np.arange(10) % 3
    penalty = 0.1 * float((np.square(x).sum(axis=1) + 1).mean())

    def train(subset: np.ndarray):  # type: ignore[no-untyped-def]
        rows = np.c_[np.ones(subset.sum()), x[subset]]
        model = Ridge(alpha=penalty, fit_intercept=False).fit(rows, np.eye(3)[y[subset]])
        return lambda tests: model.predict(np.c_[np.ones(len(tests)), tests])

    masks = rng.random((6, 10)) < 0.7
    own = TrainingValue(x, y, x[:2], y[:2], learner=train)
    assert np.allclose(own(masks), TrainingValue(x, y, x[:2], y[:2])(masks))


def test_a_group_is_one_player_and_minus_one_always_stays() -> None:
    x, y = np.random.default_rng(3).normal(size=(6, 2)), np.array([0, 1, 0, 1, 0, 1])
    value = TrainingValue(x, y, x[:1], y[:1], groups=[0, 0, 1, 1, -1, -1])
    assert value.n_players == 2
    subsets = value.subsets(np.array([[True, False]]))
    assert subsets.tolist() == [[True, True, False, False, True, True]]


def test_pairs_know_redundancy_and_distance() -> None:
    # Players 0 and 1 back each other up, 2 and 3 need each other; 0 and 1 are the nearest pair.
    masks = np.array([[i >> k & 1 for k in range(4)] for i in range(16)], dtype=bool)
    values = 1.0 * (masks[:, 0] | masks[:, 1]) + 0.5 * (masks[:, 2] & masks[:, 3])
    features = np.array([[0.0], [0.1], [3.0], [9.0]])
    first, second = pairs(exact_spectrum(values), features)
    assert (first.players, first.redundant, first.distance_rank) == ((0, 1), True, 0.0)
    assert (second.players, second.redundant) == ((2, 3), False)
    assert np.isclose(first.interaction, -1.0)
    assert second.distance_rank == 3 / 6


def test_pairs_that_pull_different_ways_are_neither() -> None:
    spectrum = Spectrum.from_dict({(0,): 1.0, (1,): -1.0, (0, 1): 0.5}, n_players=2)
    assert pairs(spectrum, np.eye(2)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 0, 0]}, "two classes"),
        ({"labels": [0, 1]}, "one per sample"),
        ({"test_labels": [7]}, "must occur"),
        ({"penalty": 0.0}, "penalty must be a number of 1e-9 to 1e9"),
        ({"penalty": float("nan")}, "penalty must be a number of .* but is nan"),
        ({"penalty": float("inf")}, "penalty must be a number of .* but is inf"),
        ({"penalty": 1e300}, "penalty must be a number of .* but is 1e"),
        ({"features": [[5.1]] * 3, "learner": "rbf"}, "half of their pairs are equal"),
        ({"features": [[0.0], [1e200], [1.0]]}, "scale the features"),
        ({"features": [["a"], ["b"], ["c"]]}, "features are numbers"),
        ({"features": np.zeros((0, 1)), "labels": []}, "at least one sample"),
        ({"groups": [0, 2, 2]}, "without gaps"),
        ({"learner": "forest"}, "no learner 'forest'"),
        ({"features": [[0.0], [np.nan], [1.0]]}, "NaN"),
    ],
)
def test_bad_training_data_are_refused_with_the_rule(change: dict, message: str) -> None:  # type: ignore[type-arg]
    given = {"features": [[0.0], [1.0], [2.0]], "labels": [0, 1, 0],
             "test_features": [[1.0]], "test_labels": [1], **change}  # fmt: skip
    with pytest.raises(UsageError, match=message):
        TrainingValue(**given)


@pytest.mark.slow
def test_on_digits_the_spectrum_beats_the_lasso_and_redundant_pairs_are_near_duplicates(
    tmp_path: Path,
) -> None:
    features, labels = read_data("digits")
    ranks = []
    for test in range(3):
        value, chosen = near_players(features, labels, players=40, test=test)
        found = explain_training(value, features[chosen], labels[chosen])
        # What is left unexplained is less than a third of the LASSO's.
        assert 1 - found.r2["ProxySPEX"] < (1 - found.r2["LASSO"]) / 3
        ranks += [pair.distance_rank for pair in found.strongest(redundant=True)]
    assert np.median(ranks) < 0.08  # a pair drawn at random: 0.5
    found.write(tmp_path)
    assert (tmp_path / "pairs.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_command_prints_r2_and_pairs_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--players", "20", "--out", str(tmp_path / "run"), "--json"]
    assert main(["data", *flags]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "run" / "data.json").read_text())
    assert printed["players"] == 20
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert (settings["command"], settings["players"], settings["seed"]) == ("data", 20, 0)
    assert main(["data", *flags]) == 0  # its own folder is filled again


def test_few_players_are_enumerated_and_nothing_is_claimed_of_fresh_subsets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--players", "6", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "64 subsets of 6 training samples, all possible ones: exact\n" in said
    assert "R²" not in said
    assert (
        "Synergistic pairs (interaction; share of pairs that lie closer together)\n  none\n" in said
    )
    content = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (content["exact"], content["fresh"], content["r2"]) == (True, 0, {})


def test_fresh_subsets_were_not_searched_and_as_many_as_are_left() -> None:
    features, labels = read_data("digits")
    value, chosen = near_players(features, labels, players=9)
    asked: list[np.ndarray] = []
    plain = type(value).__call__

    def remembered(self: TrainingValue, masks: np.ndarray) -> np.ndarray:
        asked.append(np.array(masks))
        return plain(self, masks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingValue, "__call__", remembered)
        found = explain_training(value, features[chosen], labels[chosen], budget=300)
    searched, fresh = ({bytes(row) for row in np.packbits(m, axis=1)} for m in asked[:2])
    assert len(searched) == 300
    assert found.n_fresh == len(fresh) == 2**9 - 300
    assert not searched & fresh
    assert "R² on 212 fresh ones" in str(found)


def test_constant_margins_are_told_without_r2() -> None:
    features, labels = np.arange(20.0)[:, None], np.arange(20) % 2
    value = TrainingValue(
        features, labels, features[:1], labels[:1],
        learner=lambda subset: lambda tests: np.zeros((len(tests), 2)),
    )  # fmt: skip
    found = explain_training(value, features, labels, budget=60)
    assert found.r2 == {}
    assert "all 1,000 fresh ones have the same margin" in str(found)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, "must hold the arrays features and labels"),
        ({"features": np.zeros((0, 2)), "labels": np.zeros(0, int)}, "at least two samples"),
        ({"features": np.float64(1), "labels": np.zeros(3, int)}, "one label per sample"),
        ({"features": np.zeros((30, 2)), "labels": np.arange(30) % 2}, "half of their pairs"),
        ({"features": np.full((30, 2), np.inf), "labels": np.arange(30) % 2}, "infinite"),
        ({"features": np.full((30, 2), "a"), "labels": np.arange(30) % 2}, "are numbers"),
    ],
)
def test_arrays_that_are_no_data_are_refused_in_one_sentence(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
    assert main(["data", "--data", str(tmp_path / "data.npz"), "--players", "4"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


SINGLE = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }"


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04" + b"x" * 40, SINGLE.ljust(128) + b"\x01"]
)
def test_broken_archives_are_refused_in_one_sentence(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    assert main(["data", "--data", str(tmp_path / "data.npz")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--seed", "-1"], "--seed must be a whole number, 0 to"),
        (["--players", "1"], "--players must be a whole number, 2 or more"),
        (["--penalty", "nan"], "--penalty must be a number of 1e-9 to 1e9"),
        (["--budget", "0"], "budget must be a whole number, 1 or more"),
        (["--keep", "nan", "--players", "5"], "strictly between 0 and 1"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_their_flag(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *flags]) == 2
    assert sentence in capsys.readouterr().err


def test_digits_of_the_players_lie_in_the_other_half_than_the_test_point() -> None:
    features, labels = load_digits(return_X_y=True)
    value, chosen = near_players(features, labels, players=10, test=5)
    assert len(set(chosen.tolist())) == value.n_players == 10
    point = value._tests[0, 1:]
    assert not (features[chosen] == point).all(axis=1).any()


def test_the_command_refuses_what_is_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--data", "pictures"]) == 2
    assert "an .npz file" in capsys.readouterr().err


def test_cifar_images_come_from_the_hub_as_colours_from_0_to_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3))

    def hub(name: str, split: str) -> dict[str, list[object]]:
        assert (name, split) == ("uoft-cs/cifar10", "train[:10000]")
        return {"img": list(images), "label": [3, 5, 3, 9]}

    monkeypatch.setattr("datasets.load_dataset", hub)
    features, labels = read_data("cifar10")
    assert np.array_equal(features * 255, images)
    assert labels.tolist() == [3, 5, 3, 9]


def test_a_hub_that_cannot_be_reached_is_said_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hub(name: str, split: str) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", hub)
    with pytest.raises(UsageError, match=r"no network.*an \.npz file"):
        read_data("cifar10")


def test_a_folder_with_other_results_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spectrum.json").write_text("{}")
    assert main(["data", "--players", "4", "--out", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "spectrum.json").read_text() == "{}"


@pytest.mark.parametrize("content", ["[]", '"data"', '{"command": "features"}'])
def test_settings_of_something_else_make_no_folder_of_ours(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.json").write_text(content)
    assert main(["data", "--players", "4", "--out", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err


def test_other_settings_leave_earlier_results_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["data", "--players", "4", "--out", str(tmp_path / "run")]
    assert main(flags) == 0
    before = (tmp_path / "run" / "data.json").read_bytes()
    assert main(flags) == 0
    assert main([*flags, "--seed", "1"]) == 2
    said = capsys.readouterr().err
    assert "seed: 0 there, 1 here" in said
    assert "choose another --out" in said
    assert (tmp_path / "run" / "data.json").read_bytes() == before


@pytest.mark.parametrize("killed_at", ["explain_training", "TrainingFindings.write"])
def test_a_run_that_is_killed_leaves_nothing_or_a_folder_that_it_takes_again(
    tmp_path: Path, killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    flags = ["data", "--players", "4", "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(f"headspex.data.findings.{killed_at}", killed)
        assert main(flags) == 1
    left = [path.name for path in tmp_path.rglob("*")]
    assert left == ([] if killed_at == "explain_training" else ["run", "settings.json"])
    assert main(flags) == 0


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["data", "--players", "4", "--out", str(tmp_path / "file" / "run")]) == 2
    assert "--out must be a writable folder" in capsys.readouterr().err
