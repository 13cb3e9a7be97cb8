"""The file format "headspex.spectrum/1": one JSON object, strictly checked when read."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Float

from headspex.engine.fit_report import FitReport
from headspex.engine.polynomial import Polynomial
from headspex.engine.terms import MAX_TERMS, Term
from headspex.errors import UsageError

FORMAT = "headspex.spectrum/1"
MAX_PLAYERS = 1 << 20  # a model with more heads than this does not exist

_FIELDS = {"format", "n_players", "keep", "terms", "coefficients", "report"}
_REPORT_FIELDS = {"cv_r2", "low", "high", "method", "methods", "sources"}


class Content(NamedTuple):
    """The fields of a spectrum, in order."""

    terms: tuple[Term, ...]
    coefficients: Float[np.ndarray, " terms"]
    n_players: int
    keep: Float[np.ndarray, "..."]
    report: FitReport | None


def dump(spectrum: Polynomial, report: FitReport | None) -> str:
    """The spectrum as one line of JSON. An undefined R² is written as null."""
    keep = spectrum.keep.tolist()
    document: dict[str, Any] = {
        "format": FORMAT,
        "n_players": spectrum.n_players,
        "keep": keep[0] if len(set(keep)) == 1 else keep,
        "terms": spectrum.terms,
        "coefficients": spectrum.coefficients.tolist(),
        "report": None if report is None else _dump_report(report),
    }
    return json.dumps(document, allow_nan=False)


def load(text: str) -> Content:
    """Read what `dump` wrote; floats are the same bit for bit.

    Raises:
        UsageError: the text is not a spectrum of this format.
    """
    document = _parse(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _refuse(f'the field "format" must be "{FORMAT}"')
    _check_fields(document, _FIELDS, "a spectrum")
    n_players = document["n_players"]
    if type(n_players) is not int or not 1 <= n_players <= MAX_PLAYERS:
        _refuse(f"n_players must be a whole number within 1..{MAX_PLAYERS}")
    keep = document["keep"]
    if not _is_number(keep) and not (isinstance(keep, list) and all(map(_is_number, keep))):
        _refuse("keep must be a number or a list of numbers")
    terms, coefficients = document["terms"], document["coefficients"]
    if not isinstance(terms, list) or not all(_is_term(term, n_players) for term in terms):
        _refuse(f"terms must be lists of columns within 0..{n_players - 1}")
    if len(terms) > MAX_TERMS:
        _refuse(f"it has {len(terms):,} terms, more than {MAX_TERMS:,}")
    if not isinstance(coefficients, list) or not all(map(_is_number, coefficients)):
        _refuse("coefficients must be a list of finite numbers")
    report = None if document["report"] is None else _load_report(document["report"])
    keep, coefficients = np.array(keep, np.float64), np.array(coefficients, np.float64)
    return Content(tuple(map(tuple, terms)), coefficients, n_players, keep, report)


def _dump_report(report: FitReport) -> dict[str, Any]:
    return {
        "cv_r2": _or_null(report.cv_r2),
        "low": _or_null(report.low),
        "high": _or_null(report.high),
        "method": report.method,
        "methods": {name: _or_null(r2) for name, r2 in report.methods.items()},
        "sources": report.sources,
    }


def _load_report(document: Any) -> FitReport:
    if not isinstance(document, dict):
        _refuse("report must be an object or null")
    _check_fields(document, _REPORT_FIELDS, "the report")
    scores = [document["cv_r2"], document["low"], document["high"]]
    methods, sources = document["methods"], document["sources"]
    if not isinstance(methods, dict):
        _refuse("the report's methods must be an object")
    if not all(score is None or _is_number(score) for score in [*scores, *methods.values()]):
        _refuse("the report's R² must be finite numbers or null")
    texts = [document["method"], *sources] if isinstance(sources, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        _refuse("the report's method and sources must be text")
    cv_r2, low, high = map(_or_nan, scores)
    return FitReport(
        cv_r2=cv_r2,
        low=low,
        high=high,
        method=document["method"],
        methods={name: _or_nan(r2) for name, r2 in methods.items()},
        sources=tuple(sources),
    )


def _parse(text: str) -> Any:
    def constant(name: str) -> NoReturn:
        _refuse(f"{name} is not a number")

    try:
        return json.loads(text, parse_constant=constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"not a spectrum file: not JSON ({error})") from error


def _check_fields(document: dict[str, Any], fields: set[str], what: str) -> None:
    unknown, missing = sorted(document.keys() - fields), sorted(fields - document.keys())
    if unknown or missing:
        named = f"unknown field {unknown[0]!r}" if unknown else f"no field {missing[0]!r}"
        _refuse(f"{named}; {what} has {', '.join(sorted(fields))}")


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 1 << 1023  # larger ones do not fit a float
    return type(value) is float and math.isfinite(value)


def _is_term(value: Any, n_players: int) -> bool:
    return isinstance(value, list) and all(type(i) is int and 0 <= i < n_players for i in value)


def _or_null(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _refuse(reason: str) -> NoReturn:
    raise UsageError(f"not a spectrum file: {reason}")
