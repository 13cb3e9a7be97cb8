"""Intervals over clusters cover at their rate, however few the clusters are."""

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from headspex.support.intervals import mean_by_cluster, ratio_by_cluster

RUNS = 2_000  # the standard deviation of a coverage of 95 % is .5 %


@pytest.mark.parametrize("seeds", [3, 5, 12])
@pytest.mark.parametrize("own", [0.0, 1.0, 5.0])
def test_intervals_over_few_seeds_cover_at_their_rate(seeds: int, own: float) -> None:
    rng, stories = np.random.default_rng([seeds, int(own)]), 8
    clusters = np.repeat(np.arange(seeds), stories)
    effects = own * rng.normal(size=(RUNS, seeds, 1)) + rng.normal(size=(RUNS, seeds, stories))
    found = [mean_by_cluster(0.3 + row.ravel(), clusters) for row in effects]
    assert 0.93 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.97


def test_one_value_a_cluster_is_the_t_test() -> None:
    values = np.array([0.1, 0.4, -0.2, 0.9, 0.3])
    found = mean_by_cluster(values, np.arange(5), level=0.9)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_a_cluster_said_twice_tells_nothing_new() -> None:
    values = np.array([0.1, 0.4, -0.2, 0.9, 0.3])
    once = mean_by_cluster(values, np.arange(5))
    twice = mean_by_cluster(np.repeat(values, 2), np.repeat(np.arange(5), 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_ratios_of_two_sums_cover_at_their_rate() -> None:
    rng, clusters = np.random.default_rng(0), np.repeat(np.arange(6), 3)
    covered = 0
    for _ in range(RUNS):
        below = np.repeat(rng.uniform(0.8, 1.2, size=6), 3)
        above = 2 * below + np.repeat(rng.normal(size=6), 3) + 0.3 * rng.normal(size=18)
        found = ratio_by_cluster(above, below, clusters)
        covered += found.low <= 2 <= found.high
    assert 0.93 <= covered / RUNS <= 0.97


def test_a_single_cluster_bounds_nothing() -> None:
    found = mean_by_cluster(np.array([1.0, 3.0]), np.array([4, 4]))
    assert (found.value, found.low, found.high) == (2.0, -np.inf, np.inf)


def test_equal_values_are_known_exactly() -> None:
    found = mean_by_cluster(np.full(6, 0.25), np.arange(6) // 2)
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize(("by_seed", "by_question"), [(1.0, 0.0), (0.3, 1.0), (0.1, 1.0)])
def test_where_seeds_share_questions_intervals_allow_for_both(
    by_seed: float, by_question: float
) -> None:
    rng, seeds, questions = np.random.default_rng(9), 5, 200
    seed, question = np.divmod(np.arange(seeds * questions), questions)
    covered = {"both": 0, "questions": 0}
    for _ in range(RUNS):
        values = by_seed * rng.normal(size=seeds)[seed]
        values += by_question * rng.normal(size=questions)[question] + rng.normal(size=len(seed))
        for name, clusters in (("both", (seed, question)), ("questions", (question,))):
            found = mean_by_cluster(values, *clusters)
            covered[name] += found.low <= 0 <= found.high
    assert 0.93 <= covered["both"] / RUNS <= 0.97
    if by_seed > by_question:
        assert covered["questions"] / RUNS < 0.7  # as many questions are no seeds


def _benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = Path(__file__).parent / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_schedules_has_intervals_over_its_five_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = _benchmark("schedules", monkeypatch)
    gains = np.array([0.001, 0.009, 0.011, 0.0, 0.008])  # of ours over the LASSO, seed by seed
    seeds, ours = np.repeat(np.arange(5), 3), np.full((1, 15), 0.9)
    scores = {"proxyspex": ours, "lasso": ours - gains[seeds]}
    clusters = dict.fromkeys(scores, (seeds,))
    path = tmp_path / "schedules.csv"
    benchmark.print_table([4], scores, clusters, path, of=dict.fromkeys(scores, ours))
    interval = ttest_1samp(gains, 0).confidence_interval()
    assert 1.96 * gains.std() / np.sqrt(5) < gains.mean() < interval.high - gains.mean()
    row = list(csv.reader(path.read_text().splitlines()))[2]
    assert [float(x) for x in row[3:]] == pytest.approx([gains.mean(), *interval], abs=1e-5)
    assert "0.894=" in capsys.readouterr().out  # it was + with 1.96 and no factor
