"""Both ways between headspex and shapiq, of the installed version."""

import importlib.metadata
import importlib.util
import time
import tracemalloc
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from pages import told

from headspex.engine.shapiq_bridge import NAMES
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError

shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed")
VERSION = tuple(map(int, importlib.metadata.version("shapiq").split(".")[:2]))
SPECTRUM = Spectrum.from_dict(
    {(): 0.5, (0,): 0.2, (4,): -0.1, (0, 1): 0.3, (1, 2, 3): -0.4, (0, 4): 0.1},
    n_players=5, keep=0.7,
)  # fmt: skip


def game(masks: np.ndarray) -> np.ndarray:
    return SPECTRUM.predict(np.asarray(masks, dtype=bool))


def exact(index: str, order: int) -> Any:
    return shapiq.ExactComputer(game, 5)(index, order=order)


def has(index: str) -> bool:
    return index != "fourier" or VERSION >= (1, 8)


@pytest.mark.parametrize("index", NAMES)
def test_a_spectrums_indices_are_those_shapiq_computes_from_all_masks(index: str) -> None:
    if not has(index):
        with pytest.raises(UsageError, match="has no index 'fourier', newer versions have"):
            SPECTRUM.to_shapiq(index)
        return
    ours, theirs = SPECTRUM.to_shapiq(index, order=3), exact(NAMES[index], 3)
    assert ours.index == NAMES[index]
    for size in range(1, 2 if index == "shapley" else 4):
        for group in combinations(range(5), size):
            assert ours[group] == pytest.approx(theirs[group], abs=1e-9), group
    nothing = float(game(np.zeros((1, 5)))[0])
    mean = SPECTRUM.to_fourier()[()]
    assert ours.baseline_value == pytest.approx(mean if index == "fourier" else nothing)
    if index == "fourier":
        assert ours[()] == pytest.approx(theirs[()])


@pytest.mark.parametrize("plot", ["network", "upset", "force", "waterfall", "si_graph"])
def test_shapiq_plots_what_it_is_given(plot: str) -> None:
    import matplotlib.pyplot as plt

    values = SPECTRUM.to_shapiq("sii", order=3)
    with plt.rc_context({"backend": "agg"}):
        getattr(values, f"plot_{plot}")(show=False)
        assert plt.get_fignums()
        plt.close("all")


@pytest.mark.parametrize("index", NAMES)
def test_a_thousand_players_take_a_second_and_200_megabytes(index: str) -> None:
    if not has(index):
        pytest.skip(f"shapiq {importlib.metadata.version('shapiq')} has no {index}")
    rng = np.random.default_rng(0)
    table: dict[tuple[int, ...], float] = {(i,): 1.0 for i in range(1024)}
    for size, count in ((2, 5000), (3, 10_000)):
        for row in rng.permuted(np.tile(np.arange(1024), (count, 1)), axis=1)[:, :size]:
            table[tuple(sorted(row.tolist()))] = 1.0
    spectrum = Spectrum.from_dict(table, n_players=1024)
    tracemalloc.start()
    try:
        start = time.process_time()
        found = spectrum.to_shapiq(index, order=3)
        assert time.process_time() - start < 1
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    assert found.n_players == 1024


@pytest.mark.parametrize(
    ("index", "order"),
    [("SV", 1), ("BV", 1), ("SII", 1), ("SII", 3), ("k-SII", 2), ("STII", 2), ("FSII", 3),
     ("FBII", 2), ("BII", 2), ("Moebius", 3), ("Fourier", 2)],
)  # fmt: skip
def test_the_approximator_is_exact_where_the_budget_pays_for_all_masks(
    index: str, order: int
) -> None:
    from headspex.engine.shapiq_approximator import Headspex

    if index == "Fourier" and VERSION < (1, 8):
        pytest.skip("Fourier is an index since shapiq 1.8")
    asked: list[int] = []

    def counted(masks: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return game(masks)

    found = Headspex(5, order, index, random_state=3)(32, counted)
    theirs = exact(index, order)
    assert sum(asked) == found.estimation_budget == 32
    assert not found.estimated
    assert found.index == index or (index, order, found.index) == ("SII", 1, "SV")
    for size in range(1, order + 1):
        for group in combinations(range(5), size):
            assert found[group] == pytest.approx(theirs[group], abs=1e-9), group


def test_pairs_alone_come_with_the_estimator_of_pairs() -> None:
    from headspex.engine.shapiq_approximator import Headspex

    def product(masks: np.ndarray) -> np.ndarray:
        return np.asarray(masks[:, 0] * masks[:, 1] * 1.0 + masks @ np.arange(20))

    found = Headspex(20, 2, "STII", top_order=True, random_state=1)(200, product)
    assert found.min_order == found.max_order == 2
    assert found[(0, 1)] == pytest.approx(1, abs=1e-3)
    assert abs(found[(3, 4)]) < 1e-3


def test_shapiqs_own_benchmark_runs_headspex() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    if importlib.util.find_spec("shapiq_benchmark") is None:
        pytest.skip("the benchmark comes with shapiq 1.6")
    import shapiq_benchmark
    from shapiq_games import SOUM

    from headspex.engine.shapiq_approximator import Headspex

    benchmark = shapiq_benchmark.Benchmark(SOUM(n=8, n_basis_games=10, random_state=0))
    for index, order in (("SV", 1), ("k-SII", 2)):
        table = shapiq_benchmark.run(
            benchmark, [Headspex], budgets=[100, 256], index=index, order=order
        )
        assert table["status"].tolist() == ["ok", "ok"], table["error"].tolist()
        assert table["mse"].iloc[1] < 1e-20


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [(code, _)] = told("docs/others.md")
    exec(compile(code, "others.md", "exec"), {})
    assert "(0, 1)" in capsys.readouterr().out
