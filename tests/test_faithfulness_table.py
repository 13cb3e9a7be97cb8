"""`faithfulness.csv`."""

from pathlib import Path

import pytest

from headspex.errors import UsageError
from headspex.runs.curve import FAITHFULNESS, FaithfulnessPoint

POINTS = [
    FaithfulnessPoint("proxyspex", 250, 125, -0.4, -1.0, 0.1, 100),
    FaithfulnessPoint("lasso", 4000, 2000, 1 / 3, 0.2, 0.5, 100),
]


def test_what_is_written_is_read_again_to_the_last_digit(tmp_path: Path) -> None:
    FAITHFULNESS.write(tmp_path / "f.csv", POINTS)
    assert FAITHFULNESS.read(tmp_path / "f.csv") == POINTS
    header = (tmp_path / "f.csv").read_text().splitlines()[0]
    assert header == "method,passes,masks,r2,low,high,n_fresh"


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    FAITHFULNESS.write(tmp_path / "f.csv", POINTS)
    text = (tmp_path / "f.csv").read_text()
    (tmp_path / "f.csv").write_text(text.replace("125", "many"))
    with pytest.raises(UsageError, match="repeat the comparison"):
        FAITHFULNESS.read(tmp_path / "f.csv")
    (tmp_path / "f.csv").write_text(text.replace("passes", "steps"))
    with pytest.raises(UsageError, match="must have the columns"):
        FAITHFULNESS.read(tmp_path / "f.csv")
