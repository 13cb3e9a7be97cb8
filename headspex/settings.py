"""What a run is asked to do; every field is a flag of `headspex prune`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from headspex.errors import UsageError

LARGEST_BUDGET = 10**12


@dataclass(frozen=True)
class Settings:
    """One run. Numbers that are None are chosen from the model and the task, and recorded.

    Attributes:
        model: alias, Hub name or local directory.
        revision: of a model on the Hub.
        task: "mini", "mmlu" or a JSONL file.
        subjects: of the task; all when empty.
        data_dir: a local copy of the task's data.
        shots: answered questions before each question, 0..5.
        layers: whose heads are players, as in "0-2,13"; all when None.
        budget: forward passes of the search; one pass is one question under one mask.
        verify_budget: forward passes of fresh masks and held-out curves.
        questions_per_mask: how many search questions each mask is asked; None = all of them.
        keep: probability that a sampled mask keeps a head.
        ablation: "zero" or "mean".
        rescale: multiply a layer's remaining heads by H / |kept| (zero ablation only).
        metric: "accuracy", "margin" or "logprob": the value that the spectrum explains.
        seed: fixes every random choice.
        device, dtype: where and in which precision the model runs.
        threads: of torch and xgboost; floats depend on it.
    """

    model: str = "tiny"
    revision: str | None = None
    task: str = "mini"
    subjects: tuple[str, ...] = ()
    data_dir: str | None = None
    shots: int = 0
    layers: str | None = None
    budget: int | None = None
    verify_budget: int | None = None
    questions_per_mask: int | None = 2
    keep: float = 0.7
    ablation: str = "zero"
    rescale: bool = False
    metric: str = "accuracy"
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 2

    def __post_init__(self) -> None:
        for name in ("budget", "verify_budget", "questions_per_mask"):
            number = getattr(self, name)
            if number is not None and not 1 <= number <= LARGEST_BUDGET:
                flag = name.replace("_", "-")
                raise UsageError(
                    f"--{flag} must be at least 1 and at most {LARGEST_BUDGET:,}, but is {number}"
                )
        if not 0 <= self.shots <= 5:
            raise UsageError(f"--shots must be 0 to 5, but is {self.shots}")
        if not (math.isfinite(self.keep) and 0 < self.keep < 1):
            raise UsageError(f"--keep must lie strictly between 0 and 1, but is {self.keep}")
        if self.ablation not in ("zero", "mean"):
            raise UsageError(f'--ablation must be "zero" or "mean", but is {self.ablation!r}')
        if self.rescale and self.ablation != "zero":
            raise UsageError(
                f"--rescale goes with zero ablation, but --ablation is {self.ablation}"
            )
        if self.seed < 0 or self.threads < 1:
            raise UsageError(
                "--seed must not be negative and --threads must be at least 1, "
                f"but they are {self.seed} and {self.threads}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as they stand in run.json."""
        return {**asdict(self), "subjects": list(self.subjects)}
