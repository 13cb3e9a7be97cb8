"""Plots that shapiq draws of our spectra."""

import numpy as np
import pytest

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.figures.shapiq_plots import PLOTS, shapiq_plot, shapiq_values
from headspex.players import Players

SPECTRUM = Spectrum.from_dict({(): 0.5, (0,): -0.2, (1,): 0.1, (0, 5): 0.3}, n_players=6, keep=0.5)
PLAYERS = Players.heads(2, 3)


@pytest.mark.parametrize("name", PLOTS)
def test_shapiq_draws_our_heads_by_their_names(name: str) -> None:
    pytest.importorskip("shapiq", reason="shapiq is not installed")
    figure = shapiq_plot(SPECTRUM, PLAYERS, name)
    figure.canvas.draw()
    written = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    said = " ".join(artist.get_text() for artist in written)  # type: ignore[attr-defined]
    for label in ("L0H0", "L1H2"):
        assert label in said
    assert "L0H2" not in said  # it has no part in the spectrum


@pytest.mark.parametrize("name", ["waterfall", "force"])
def test_what_leads_from_the_mean_to_the_whole_model_adds_up_to_it(name: str) -> None:
    spectrum = SPECTRUM.with_keep(0.8)
    whole = spectrum.predict(np.ones((1, 6), dtype=bool))
    assert sum(shapiq_values(spectrum, name).values()) == pytest.approx(whole[0])


def test_an_upset_plot_shows_effects() -> None:
    # At keep 1/2: -2 times the coefficient of a single, 4 times that of a pair.
    assert shapiq_values(SPECTRUM, "upset") == pytest.approx(
        {(): 0.5, (0,): 0.4, (1,): -0.2, (0, 5): 1.2}
    )


def test_without_shapiq_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "shapiq", None)
    with pytest.raises(UsageError, match=r"pip install 'headspex\[shapiq\]'"):
        shapiq_plot(SPECTRUM, PLAYERS, "upset")


def test_a_constant_has_no_such_plot() -> None:
    with pytest.raises(UsageError, match="constant"):
        shapiq_plot(Spectrum.from_dict({(): 1.0}, n_players=6), PLAYERS, "upset")
