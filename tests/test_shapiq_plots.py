"""Plots that shapiq draws of our spectra."""

import pytest

from headspex.errors import UsageError
from headspex.figures.shapiq_plots import PLOTS, shapiq_plot
from headspex.players import Players
from headspex.spectrum import Spectrum

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


def test_without_shapiq_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "shapiq", None)
    with pytest.raises(UsageError, match=r"pip install 'headspex\[shapiq\]'"):
        shapiq_plot(SPECTRUM, PLAYERS, "upset")


def test_a_constant_has_no_such_plot() -> None:
    with pytest.raises(UsageError, match="constant"):
        shapiq_plot(Spectrum.from_dict({(): 1.0}, n_players=6), PLAYERS, "upset")
