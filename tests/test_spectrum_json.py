import json
import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.spectrum import FitReport, Spectrum
from headspex.errors import UsageError

seeds = st.integers(0, 2**32 - 1)


def random_spectrum(seed: int, n: int = 6, n_terms: int = 12, uniform: bool = False) -> Spectrum:
    rng = np.random.default_rng(seed)
    subsets = [t for k in range(1, 5) for t in combinations(range(n), k)]
    chosen = rng.choice(len(subsets), n_terms, replace=False)
    keep = 0.8 if uniform else rng.uniform(0.1, 0.95, n)
    return Spectrum.from_dict(
        {(): rng.normal(), **{subsets[i]: rng.normal() for i in chosen}}, n_players=n, keep=keep
    )


REPORT = FitReport(
    cv_r2=0.9, low=0.8, high=0.95, method="trees", methods={"trees": 0.9, "lasso": math.nan},
    sources=("constant", "heads", "trees"),
)  # fmt: skip


def reported() -> Spectrum:
    spectrum = Spectrum.from_dict({(): 1.0, (0,): 2.0, (0, 1): 0.1}, n_players=2, keep=0.8)
    return replace(spectrum, report=REPORT)


@given(seeds, st.booleans())
@settings(max_examples=30, deadline=None)
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
