"""Learned gates: their distribution, and what an annealed run makes of scores that are known."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from headspex.gates.annealing import LEFT, NEXT, clipped, learned_order, order_of, targets
from headspex.gates.ascent import Ascent
from headspex.gates.exchange import ALONE, MASKS, Asked, exchanged
from headspex.gates.greedy import FEW, ROUNDS, Stage, greedily, stages
from headspex.gates.hard_concrete import LEVELS, drawn, mean_slope, open_probability, open_slope
from headspex.gates.sizes import ROWS, gate_sizes


@given(st.integers(0, 2**32 - 1), st.floats(-4, 4))
def test_gates_are_open_as_often_as_expected(seed: int, logit: float) -> None:
    levels = drawn(np.full(4_000, logit), 5, rng=np.random.default_rng(seed))
    # A gate of less than half a level is rounded to 0.
    share = open_probability(np.full(1, logit))[0]
    assert (levels > 0).mean() == pytest.approx(share, abs=0.02)


def test_gates_are_the_published_formula() -> None:
    # Louizos et al. 2018, equations 10 and 11, at u = 1/2: the noise is 0.
    class Half:
        def random(self, shape: tuple[int, int]) -> np.ndarray:
            return np.full(shape, 0.5)

        def permuted(self, given: np.ndarray, axis: int) -> np.ndarray:
            return given

    logits = np.array([-3.0, -0.5, 0.0, 1.0, 3.0])
    levels = drawn(logits, 1, rng=Half())  # type: ignore[arg-type]
    expected = np.clip(1.2 / (1 + np.exp(-logits / (2 / 3))) - 0.1, 0, 1)
    np.testing.assert_allclose(levels[0] / LEVELS, expected, atol=0.5 / LEVELS)


@given(st.floats(-4, 4), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_rows_share_out_the_values_of_a_gate(logit: float, rows: int, seed: int) -> None:
    # Row k of `rows`, by size, lies between the quantiles k / rows and (k + 1) / rows.
    levels = np.sort(drawn(np.full(50, logit), rows, rng=np.random.default_rng(seed)), axis=0)
    for low, high in pairwise(levels):
        assert low.max() <= high.min()


@pytest.mark.parametrize("logit", [-3.0, -1.0, 0.0, 0.7, 2.5])
def test_slopes_are_those_of_the_mean_of_drawn_gates(logit: float) -> None:
    # By the same noise on both sides; the mean of so many has a standard error of a thousandth.
    step, many = 0.2, 200_000
    low, high = (
        drawn(np.full(many, logit + move), 1, rng=np.random.default_rng(3)).mean() / LEVELS
        for move in (-step, step)
    )
    slope = mean_slope(np.array([logit]))[0]
    assert slope == pytest.approx((high - low) / (2 * step), rel=0.02)


def test_the_slope_of_open_gates_is_that_of_their_expected_number() -> None:
    logits, step = np.linspace(-4, 4, 9), 1e-5
    for n, slope in enumerate(open_slope(logits)):
        moved = step * (np.arange(9) == n)
        rise = open_probability(logits + moved).sum() - open_probability(logits - moved).sum()
        assert slope == pytest.approx(rise / (2 * step), rel=1e-6)


def test_long_gradients_are_shortened_and_others_left() -> None:
    rows = np.array([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])
    np.testing.assert_allclose(clipped(rows, 1.0), [[0.6, 0.8], [0.3, -0.4], [0.0, 0.0]])
    assert not clipped(rows, 0.0).any()
    np.testing.assert_array_equal(clipped(rows, 1e300), rows)  # whatever the unit of the score


@given(st.integers(4, 400), st.integers(10, 300))
def test_targets_fall_from_all_to_a_few(n_players: int, steps: int) -> None:
    found = targets(n_players, steps)
    assert len(found) == steps
    assert (np.diff(found) <= 0).all()
    assert n_players > found[0]
    assert found[-1] == pytest.approx(LEFT * n_players)


def test_the_first_players_to_go_take_more_steps_than_the_next() -> None:
    falls = -np.diff([100.0, *targets(100, 200)])
    falling = falls[falls > 0]
    assert (np.diff(falling[:-1]) > 0).all()
    assert (np.array(targets(100, 200)) > 90).sum() > 20  # a tenth of the players, of the steps


def test_steps_are_those_of_adam() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=7), rng.normal(size=(20, 7))
    climb = Ascent(start, 3, rows=10, rate=0.1, unit=1.0, rng=rng)
    shared = torch.tensor(start)
    adam = torch.optim.Adam([shared], lr=0.1, eps=1e-8, maximize=True)
    for gradient in gradients:
        climb.step(gradient)
        shared.grad = torch.tensor(gradient)
        adam.step()
    np.testing.assert_allclose(climb.logits, shared.numpy(), rtol=1e-12)


def test_players_go_by_their_worth() -> None:
    worth = np.random.default_rng(0).permutation(24) / 24

    def gradient(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile(worth, (len(levels), 1))

    found = learned_order(gradient, 24, 8, steps=150, unit=1.0, rng=np.random.default_rng(1))
    assert sorted(found.order) == list(range(24))
    assert found.rows == 150 * ROWS
    rank = np.empty(24)
    rank[list(found.order)] = np.arange(24)
    assert np.corrcoef(rank, worth)[0, 1] > 0.9


@given(st.integers(2, 30), st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_each_player_that_goes_has_the_least_open_gate_in_the_next_steps(
    n_players: int, steps: int, seed: int
) -> None:
    open_at = np.random.default_rng(seed).random((steps, n_players))
    aims = targets(n_players, steps)
    order = order_of(open_at, aims)
    assert sorted(order) == list(range(n_players))
    for gone in range(n_players):
        near, far = (max(n_players - 1 - gone - share * n_players, aims[-1]) for share in NEXT)
        # Where no target lies between them, the first step beyond tells.
        within = [step for step, aim in enumerate(aims) if far <= aim <= near]
        steps_read = within or [next(step for step, aim in enumerate(aims) if aim <= near)]
        often = open_at[steps_read].mean(axis=0)
        left = order[gone:]
        assert often[order[gone]] == pytest.approx(often[left].min(), abs=2e-3)


def test_a_gate_that_opens_again_is_ordered_by_that() -> None:
    aims, open_at = targets(20, 200), np.ones((200, 20))
    for player in range(20):
        open_at[10 * player :, player] = 0.0
    open_at[40:, 0] = 1.0
    assert order_of(open_at, aims) == [*range(1, 20), 0]


def test_of_gates_that_are_equally_shut_the_one_that_was_shut_for_longer_goes_first() -> None:
    aims, open_at = targets(4, 100), np.ones((100, 4))
    for player, step in enumerate((30, 10, 20, 0)):
        open_at[step:, player] = 0.2
    assert order_of(open_at, aims) == [3, 1, 2, 0]


def test_of_two_copies_one_goes_early_and_one_stays_to_the_last() -> None:
    """Score: 1 if either copy is on, plus a little for each of ten others."""

    def gradient(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        gates = levels / LEVELS
        found = np.full(gates.shape, 0.05)
        found[:, 0], found[:, 1] = 1 - gates[:, 1], 1 - gates[:, 0]
        return found

    for seed in range(3):
        found = learned_order(gradient, 12, 8, steps=200, unit=0.1, rng=np.random.default_rng(seed))
        places = sorted(found.order.index(copy) for copy in (0, 1))
        assert places[1] == 11
        assert places[0] < 11


def test_every_question_is_asked_about_equally_often() -> None:
    asked: list[int] = []

    def gradient(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        asked.extend(questions.tolist())
        return np.asarray(expit(levels.astype(float)))

    learned_order(gradient, 6, 7, steps=20, unit=0.1, rng=np.random.default_rng(0))
    counts = np.bincount(asked, minlength=7)
    assert counts.max() - counts.min() <= 1


def copies(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
    """1 while one of players 0 and 1 is on and one of 2 and 3 is; the others do nothing."""
    both = (masks[:, 0] | masks[:, 1]) & (masks[:, 2] | masks[:, 3])
    return np.tile(both.astype(float)[:, None], (1, len(questions)))


def flat(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
    """A gradient that tells nothing."""
    return np.zeros(levels.shape)


def asked(n_sizes: int, count: int, removals: int = 0) -> Asked:
    """Every choice is made on the first questions, and after greedy removal on twice as many."""
    few, many = np.arange(count), np.arange(2 * count)
    return Asked([few] * n_sizes, few, [few] * ROUNDS, [many] * removals)


def test_an_exchange_mends_a_set_that_lacks_both_copies() -> None:
    sizes, order = (4, 6, 8), (4, 5, 6, 7, 0, 1, 8, 9, 2, 3)
    found = exchanged([order], copies, flat, sizes, asked(3, 6), greedy=(), slope_passes=3)
    assert found.order[:4] == (4, 5, 6, 7)
    masks = np.array([[player not in found.order[:size] for player in range(10)] for size in sizes])
    assert copies(masks, np.arange(1))[:, 0].tolist() == [1, 1, 1]
    assert found.passes <= 3 * 6 * MASKS + 6 + 6 * ALONE * 4


def test_an_order_that_cannot_be_bettered_stays() -> None:
    order, sizes = (4, 5, 6, 7, 8, 9, 0, 2, 1, 3), (2, 4, 6, 7, 8, 9)
    found = exchanged([order], copies, flat, sizes, asked(6, 4), greedy=(), slope_passes=3)
    assert found.order == order


def test_another_proposal_is_followed_where_it_is_better() -> None:
    """Player i is worth i; proposals go wrong after two, at once, and never."""

    def worth(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile((masks @ np.arange(40.0))[:, None], (1, len(questions)))

    wrong_later, wrong = (0, 1, *range(39, 1, -1)), tuple(range(39, -1, -1))
    right = tuple(range(40))
    proposals = [wrong_later, wrong, right]
    found = exchanged(proposals, worth, flat, (2, 15, 25), asked(3, 4), greedy=(), slope_passes=3)
    assert found.order == right


def test_at_the_smallest_size_those_go_that_cost_least_alone() -> None:
    def worth(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile((masks @ np.arange(40.0))[:, None], (1, len(questions)))

    proposal = (*range(19, -1, -1), *range(20, 40))  # the right twenty, in the wrong order
    found = exchanged([proposal], worth, flat, (10, 20), asked(2, 4), greedy=(), slope_passes=3)
    assert set(found.order[:10]) == set(range(10))
    assert set(found.order[:20]) == set(range(20))


@pytest.mark.parametrize(("noise", "made"), [(0.01, True), (1.0, False)])
def test_an_exchange_is_made_if_its_gain_exceeds_its_error(noise: float, made: bool) -> None:
    """Player 1, which goes, is worth a tenth, give or take; the others are worth nothing."""

    def measure(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        give_or_take = noise * np.where(questions % 2, 1.0, -1.0)
        return masks[:, 1:2] * (0.1 + give_or_take)

    order = (0, 1, 2, 3, 4, 5)
    found = exchanged([order], measure, flat, (2,), asked(1, 30), greedy=(), slope_passes=3)
    assert (1 not in found.order[:2]) == made


def test_sizes_that_leave_few_players_are_reached_by_greedy_removal() -> None:
    """Player i is worth i; the gates' order is right until three tenths are left, then wrong."""

    def worth(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile((masks @ np.arange(50.0))[:, None], (1, len(questions)))

    def slopes(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(50.0), (len(levels), 1))

    order = (*range(35), *range(49, 34, -1))
    sizes, greedy = (20, 35, 42), stages((20, 35, 42), 50)
    found = exchanged([order], worth, slopes, sizes, asked(3, 4, 1), greedy=greedy, slope_passes=3)
    assert set(found.order[:42]) == set(range(42))
    # Seven rounds of a player each, of whom three are scored and all have a gradient.
    plain = exchanged([order], worth, slopes, sizes, asked(3, 4), greedy=(), slope_passes=3)
    # Then one proposal more is chosen from, on eight questions.
    assert found.passes - plain.passes == 7 * 4 * (3 + 3) + 2 * 8
    assert set(plain.order[:42]) != set(range(42))


def test_what_greedy_removal_found_is_chosen_on_more_questions() -> None:
    """The questions of exchanges tell nothing; the gradient knows that player i is worth i."""

    def worth(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.outer(masks @ np.arange(50.0), questions >= 4)

    def slopes(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(50.0), (len(levels), 1))

    order = (*range(35), *range(49, 34, -1))
    questions, greedy = asked(2, 4, 1), stages((35, 42), 50)
    found = exchanged([order], worth, slopes, (35, 42), questions, greedy=greedy, slope_passes=3)
    assert set(found.order[:42]) == set(range(42))


def test_greedy_removal_takes_part_where_the_budget_pays_for_it() -> None:
    sizes = [27 * tenth for tenth in range(1, 10)]
    for budget in (800, 1_000, 2_400, 6_480):
        found = gate_sizes(
            n_players=270, n_questions=100, sizes=sizes, search_budget=budget, slope_passes=3
        )
        assert len(found.greedy) == (2 if budget > 2_000 else 0)
        assert found.passes <= 4 * budget
        assert found.rows == found.steps * ROWS + ROUNDS * found.questions * len(found.greedy)


def test_the_model_decides_between_the_players_that_the_gradient_names() -> None:
    """The gradient has the worth of players 4 to 9 about right, and that of 0 and 1 wrong."""
    value = np.array([9.0, 8.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])

    def worth(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile((masks @ value)[:, None], (1, len(questions)))

    def slopes(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        return np.tile(np.where(value > 7, 0.0, value), (len(levels), 1))

    questions = [np.arange(2)] * ROUNDS
    found = greedily(range(10), Stage(2, 5, 10), worth, slopes, questions)
    assert found[:5] == [0, 1, 2, 3, 4]  # the first two were gone already
    assert sorted(found) == list(range(10))
    found = greedily(range(9, -1, -1), Stage(0, 3, 10), worth, slopes, questions)
    assert found[:3] == [2, 3, 4]


@given(st.integers(5, 300), st.sets(st.floats(0.01, 0.99), min_size=1, max_size=9))
def test_stages_go_from_where_few_are_left_to_every_size_beyond(
    n_players: int, shares: set[float]
) -> None:
    sizes = sorted({min(n_players - 1, max(1, round(share * n_players))) for share in shares})
    found = stages(sizes, n_players)
    ends = [stage.end for stage in found]
    assert ends == [size for size in sizes if size in ends]
    for size in sizes:
        beyond = FEW * n_players - (n_players - size)  # rounded to whole players
        assert size in ends if beyond > 0.5 else size not in ends or beyond > -0.5
    assert [stage.start for stage in found[1:]] == ends[:-1]
    for stage in found:
        assert sum(made for _, made in stage.rounds) == stage.end - stage.start
        assert len(stage.rounds) <= ROUNDS
        assert all(made <= named <= n_players - stage.start for named, made in stage.rounds)


@given(st.integers(5, 60), st.data())
def test_greedy_removal_takes_the_passes_it_says(n_players: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, n_players - 2))
    stage = Stage(start, data.draw(st.integers(start + 1, n_players - 1)), n_players)
    passes = []

    def measure(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        passes.append(masks.shape[0] * len(questions))
        return np.zeros((len(masks), len(questions)))

    def gradient(levels: np.ndarray, questions: np.ndarray) -> np.ndarray:
        passes.append(3 * len(questions))
        assert ((levels == 0).sum(axis=1) >= start).all()
        return flat(levels, questions)

    found = greedily(range(n_players), stage, measure, gradient, [np.arange(2)] * ROUNDS)
    assert sorted(found) == list(range(n_players))
    assert sum(passes) == 2 * stage.passes(3)


def test_greedy_removal_leaves_one_of_two_players_that_stand_in_for_each_other() -> None:
    """Players 8 and 9 cost nothing alone, and all together; a round removes several."""

    def either(masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        value = 100.0 * (masks[:, 8] | masks[:, 9]) + masks[:, :8].sum(axis=1)
        return np.tile(value[:, None], (1, len(questions)))

    stage = Stage(0, 2 * ROUNDS, 30)
    assert stage.rounds == [(6, 2)] * ROUNDS
    order = (8, 9, *range(10, 30), *range(8))
    found = greedily(order, stage, either, flat, [np.arange(2)] * ROUNDS)
    assert not {8, 9} <= set(found[: 2 * ROUNDS])
