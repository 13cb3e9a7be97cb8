"""What a notebook shows, and the line that an object prints."""

import re

import numpy as np
import pytest

import headspex
from headspex.engine.spectrum import Spectrum
from headspex.schedules.schedule import Schedule, random_schedule
from headspex.settings import SettingsArguments


def _cells(html: str) -> list[list[str]]:
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)[1:]]


def test_a_spectrum_shows_its_strongest_terms_with_their_effects() -> None:
    # At keep 1/2 the effect of a single is -2 times its coefficient, of a pair 4 times.
    table = {(): 1.0, (0,): -0.1, (1, 2): 0.2}
    html = Spectrum.from_dict(table, n_players=3)._repr_html_()
    assert _cells(html) == [["1 2", "+0.8", "80.0%"], ["0", "+0.2", "20.0%"]]


def test_what_is_left_out_is_counted() -> None:
    many = Spectrum.from_dict({(i,): 1.0 for i in range(2000)}, n_players=2000)
    assert len(_cells(many._repr_html_())) == 10
    assert "and 1,990 more terms" in many._repr_html_()


def test_a_spectrum_that_is_constant_shows_its_line_alone() -> None:
    html = Spectrum.from_dict({(): 0.5}, n_players=2)._repr_html_()
    assert "<table>" not in html
    assert "Spectrum(2 players" in html


def test_a_schedule_says_who_goes_first_and_who_never_does() -> None:
    schedule = Schedule((2, 0), 3)
    assert repr(schedule) == "Schedule(3 players, first to go: 2, 0, 1 never)"
    assert _cells(schedule._repr_html_()) == [["1", "2", ""], ["2", "0", ""]]
    assert "..." in repr(random_schedule(1024, rng=np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "Study(tiny on mini, heads, seed 0)"),
        ({"layers": "0-1", "unit": "head,mlp"}, "heads and MLPs of layers 0-1, seed 0)"),
    ],
)
def test_a_study_says_what_it_studies_without_loading_it(
    settings: SettingsArguments, line: str
) -> None:
    study = headspex.Study("tiny", "mini", **settings)
    assert line in repr(study)
    assert [row[0] for row in _cells(study._repr_html_())] == sorted(settings, reverse=True)


def test_names_in_a_notebook_are_text_and_no_markup() -> None:
    assert "<script" not in headspex.Study("<script>x</script>", "mini")._repr_html_()
