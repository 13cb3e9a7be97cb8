import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spectra import REPORT, random_spectrum, reported

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.booleans())
@settings(max_examples=30)
def test_json_round_trip_is_exact_bit_for_bit(seed: int, uniform: bool) -> None:
    spectrum = random_spectrum(seed, uniform=uniform)
    text = spectrum.to_json()
    back = Spectrum.from_json(text)
    assert back.terms == spectrum.terms
    assert back.coefficients.tobytes() == spectrum.coefficients.tobytes()
    assert back.keep.tobytes() == spectrum.keep.tobytes()
    assert back.to_json() == text


def test_json_keeps_the_report() -> None:
    back = Spectrum.from_json(reported().to_json()).report
    assert back is not None
    assert replace(back, methods={}) == replace(REPORT, methods={})
    assert back.methods["trees"] == 0.9
    assert math.isnan(back.methods["lasso"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "headspex.spectrum/2"}, '"format" must be'),
        ({"extra": 1}, "unknown field 'extra'"),
        ({"n_players": 0}, "n_players"),
        ({"n_players": True}, "n_players"),
        ({"n_players": 10**9}, "n_players"),
        ({"keep": 0}, "strictly between"),
        ({"keep": "0.5"}, "keep must be"),
        ({"keep": [0.5, 0.5, 0.5]}, "one per player"),
        ({"terms": [[], [1], [0]]}, "sorted"),
        ({"terms": [[], [0], [0]]}, "named once"),
        ({"terms": [[], [0], [0, 9]]}, "columns within"),
        ({"terms": [[], [0], [0, 1.0]]}, "columns within"),
        ({"terms": [[], [0], 7]}, "columns within"),
        ({"coefficients": [1.0]}, "one coefficient per term"),
        ({"coefficients": [1.0, None, 2.0]}, "finite"),
        ({"coefficients": [1.0, 10**400, 2.0]}, "finite"),
        ({"report": 3}, "report must be"),
        ({"report": {"cv_r2": 1.0}}, "no field"),
    ],
)
def test_a_file_that_is_no_spectrum_is_refused(change: dict[str, Any], sentence: str) -> None:
    document = json.loads(reported().to_json())
    with pytest.raises(UsageError, match=f"not a spectrum file: .*{sentence}"):
        Spectrum.from_json(json.dumps({**document, **change}))


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"format": NaN}', "[" * 100_000])
def test_text_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a spectrum file"):
        Spectrum.from_json(text)
    document = reported().to_json().replace("2.0", "NaN")
    with pytest.raises(UsageError, match="NaN is not a number"):
        Spectrum.from_json(document)
