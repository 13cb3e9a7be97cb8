"""The lines that a run ends with."""

from headspex.runs.curve import CurvePoint
from headspex.runs.summary import curve_table


def _point(method: str, removed: int, score: float) -> CurvePoint:
    return CurvePoint(method, removed, removed / 270, "kl", score, score - 1.5, score + 1.5, 60)


def test_columns_stay_apart_however_long_their_numbers_are() -> None:
    methods = {"proxyspex": -0.1, "lasso": -4.1, "random": -18_817.123}
    curve = [_point(method, removed, s) for method, s in methods.items() for removed in (27, 54)]
    title, names, *rows = curve_table(curve, "head", "kl")
    assert title == "Held-out minus KL divergence (nats) with 95 % interval"
    assert names.split() == ["removed", "ProxySPEX", "LASSO", "on", "heads", "random", "(mean)"]
    assert [row.split() for row in rows] == [
        [
            removed, share,
            "-0.100", "[-1.600,", "1.400]",
            "-4.100", "[-5.600,", "-2.600]",
            "-18817.123", "[-18818.623,", "-18815.623]",
        ]
        for removed, share in (("27", "(10%)"), ("54", "(20%)"))
    ]  # fmt: skip
    assert len({len(line) for line in (names, *rows)}) == 1
