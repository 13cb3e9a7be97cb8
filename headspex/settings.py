"""The settings of a run; every field is a flag of `headspex prune`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, SupportsIndex, TypedDict

from headspex.errors import UsageError, argument
from headspex.presets import PROTOCOLS, prescribed
from headspex.support.validation import (
    POSITIVE,
    PROBABILITY,
    SEED,
    TEXTS,
    THREADS,
    TRUTH,
    Check,
    either,
    optional,
    text,
    whole_number,
    word,
)
from headspex.units import ABLATIONS, parse_units

AUTO = "auto"  # a setting left to headspex
LARGEST_BUDGET = 10**12
MOST_ROUNDS = 20  # of refinement; each spends about a quarter of the budget again

_PASSES = whole_number(1, LARGEST_BUDGET)

CHECKS: Mapping[str, Check] = {
    "model": text("tiny, an alias, a Hub name, a folder or a .gguf file"),
    "revision": optional(text("a branch, tag or commit")),
    "adapter": optional(text("the folder of a PEFT adapter")),
    "task": text("the name of a task or the path of a file"),
    "subjects": TEXTS,
    "data_dir": optional(text("the path of a folder")),
    "shots": whole_number(0, 5),
    "prompt_style": word("lm-eval", "hendrycks", "cloze"),
    "chat_template": TRUTH,
    "unit": text("a unit such as head, or two as in head,mlp"),
    "layers": optional(text("ranges of layers such as 0-2,13")),
    "budget": optional(_PASSES),
    "verify_budget": optional(_PASSES),
    "questions_per_mask": either(word("auto", "all"), _PASSES),
    "keep": either(word("auto"), PROBABILITY),
    "may_cost": optional(POSITIVE),
    "prune": TRUTH,
    "refine": whole_number(0, MOST_ROUNDS),
    "ablation": word(*ABLATIONS),
    "rescale": TRUTH,
    "protocol": optional(word(*PROTOCOLS)),
    "metric": optional(text("the name of a metric")),
    "objective": optional(word("best", "match")),
    "prompts": optional(whole_number(2, 1_000_000)),
    "passage": optional(whole_number(1, 10_000_000)),
    "look_every": optional(_PASSES),
    "stop_at_faithfulness": optional(PROBABILITY),
    "seed": SEED,
    "device": text("a device such as cpu or cuda:1"),
    "dtype": text("a type such as float32"),
    "load_in": optional(word("8bit", "4bit")),
    "max_memory": optional(text("sizes such as 0=20GiB,1=20GiB,cpu=30GiB")),
    "threads": THREADS,
}


@dataclass(frozen=True)
class Settings:
    """Settings of one run. Numbers that are None are chosen by model and task, and recorded.

    Attributes:
        model: alias, Hub name, local directory or GGUF file.
        revision: of a model on the Hub.
        adapter: folder of a PEFT adapter to merge into the model.
        task: "mini", "mmlu", a JSONL file, or another name that `headspex.tasks.load_task` takes.
        subjects: of the task; all when empty.
        data_dir: a local copy of the task's data.
        shots: answered questions before each question, 0..5.
        prompt_style: of multiple choice: "lm-eval" and "hendrycks" list the choices and score their
            letters, as lm-eval's `mmlu` and MMLU's authors do; "cloze" shows the question alone and
            scores the choices' texts, by log-likelihood per character, as lm-eval's `acc_norm`.
        chat_template: put the tokenizer's chat template around each prompt.
        unit: kind of player: "head", "kv-group", "layer" (its attention), "mlp", or two of
            them as in "head,mlp".
        layers: layers whose parts are players, such as "0-2,13"; all when None.
        budget: forward passes of pilot and search; one pass is one question under one mask.
        verify_budget: forward passes of fresh masks and held-out curves.
        questions_per_mask: search questions for each mask, or "all"; "auto" chooses by a pilot.
        keep: probability that a sampled mask keeps a player; "auto" chooses by a pilot, where the
            model still works and masks differ.
        may_cost: allowed loss of the task's own score; when None a point of accuracy, or a
            hundredth of another score.
        prune: judge pruning schedules; False, as in `headspex explain`, only fits the spectrum.
        refine: rounds of refining the schedule on the model: walks, which cost about a quarter of
            the budget in addition, with at least two questions per candidate; or runs of learned
            gates, which cost at most four times the budget.
        ablation: what takes the place of an output: "zero"; "mean" over the tokens of the search
            prompts, or "mean-position" at each position of prompts of one length; "resample" from
            a task's corrupted prompts, or "resample-other" from other search prompts as long.
        rescale: multiply a layer's remaining heads by H / |kept| (zero ablation only).
        protocol: "paper" sets those of the paper; see `headspex.presets`. "hendrycks" is
            the prompt style of that name.
        metric: what the spectrum explains, such as "accuracy", "margin" or "logprob"; the task's
            own when None.
        objective: what a schedule keeps: "best", the highest score; "match", the whole model's
            behaviour. By default "match" for paired prompts and the metric "kl", else "best".
        prompts: of a generated task, for search and held-out questions together.
        passage: characters of each passage of a text; 1,000 by default.
        look_every: passes of the search between two looks at its R²; an eighth of the default
            budget if only `stop_at_faithfulness` is set.
        stop_at_faithfulness: the search ends at a look whose R² interval lies above this.
        seed: fixes every random choice.
        device, dtype: where and in which precision the model runs; "auto" chooses by machine and
            checkpoint, see `headspex.hooks.load_model`.
        load_in: "8bit" or "4bit": the search runs in weights that bitsandbytes quantises when they
            are loaded; `headspex export` judges its masks again in the plain weights.
        max_memory: that weights may take on each GPU and, while they wait, on the CPU, such as
            "0=20GiB,1=20GiB,cpu=30GiB"; by default a model is spread over all GPUs if one is too
            small. No part of a run's identity: a run may go on under other limits.
        threads: of torch and xgboost; the last bits of results depend on it.
    """

    model: str = "tiny"
    revision: str | None = None
    adapter: str | None = None
    task: str = "mini"
    subjects: tuple[str, ...] = ()
    data_dir: str | None = None
    shots: int = 0
    prompt_style: str = "lm-eval"
    chat_template: bool = False
    unit: str = "head"
    layers: str | None = None
    budget: int | None = None
    verify_budget: int | None = None
    questions_per_mask: int | Literal["auto", "all"] = "auto"
    keep: float | Literal["auto"] = "auto"
    may_cost: float | None = None
    prune: bool = True
    refine: int = 1
    ablation: str = "zero"
    rescale: bool = False
    protocol: str | None = None
    metric: str | None = None
    objective: str | None = None
    prompts: int | None = None
    passage: int | None = None
    look_every: int | None = None
    stop_at_faithfulness: float | None = None
    seed: int = 0
    device: str = AUTO
    dtype: str = AUTO
    load_in: str | None = None
    max_memory: str | None = None
    threads: int = 2

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            taken = check.take(argument(name), getattr(self, name))
            object.__setattr__(self, name, taken)
        object.__setattr__(self, "subjects", tuple(self.subjects))
        if self.protocol is not None:
            defaults = {field.name: field.default for field in fields(self)}
            for name, value in prescribed(self.protocol, asdict(self), defaults).items():
                object.__setattr__(self, name, value)
        if self.rescale and self.ablation != "zero":
            raise UsageError(
                f"{argument('rescale')} goes with zero ablation, but {argument('ablation')} is "
                f"{self.ablation}"
            )
        units = parse_units(self.unit)
        # Normalised: "mlp,head" is the same run.
        object.__setattr__(self, "unit", ",".join(units))
        if self.rescale and units != ("head",):
            raise UsageError(
                f"{argument('rescale')} (and {argument('protocol')} paper) goes with heads alone, "
                f"but {argument('unit')} is {self.unit}; leave one out"
            )
        if not self.prune:
            object.__setattr__(self, "refine", 0)

    @property
    def has_style(self) -> bool:
        """Whether the prompt style is another one than that of the protocol."""
        return self.prompt_style != type(self)(protocol=self.protocol).prompt_style

    def refuse_loading(self) -> None:
        """Refuse what a task is loaded by, where it is an object.

        Raises:
            UsageError: one of these settings was given.
        """
        for name in ("prompts", "passage", "subjects", "data_dir"):
            value = getattr(self, name)
            if value not in (None, ()):
                raise UsageError(
                    f"{name} goes with a task given by its name, but task {self.task} is an object "
                    f"and {name} is {value}; leave it out, or choose when you make the task"
                )

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON."""
        return {**asdict(self), "subjects": list(self.subjects)}

    def deciding(self) -> dict[str, Any]:
        """The settings that decide a score or a choice, as in run.json."""
        found = self.to_dict()
        # A run's plan has the sizes, whichever way the budgets were given; and where weights lie
        # changes none of them.
        for name in ("budget", "verify_budget", "max_memory"):
            del found[name]
        # Runs before there were these settings stay what they were.
        if not self.has_style:
            del found["prompt_style"]
        for name in ("passage", "load_in"):
            if found[name] is None:
                del found[name]
        return found


class SettingsArguments(TypedDict, total=False):
    """The settings as keyword arguments of `headspex.Study`, for editors; see `Settings`."""

    revision: str | None
    adapter: str | os.PathLike[str] | None
    subjects: Sequence[str]
    data_dir: str | os.PathLike[str] | None
    shots: int
    prompt_style: Literal["lm-eval", "hendrycks", "cloze"]
    chat_template: bool
    unit: str
    layers: str | None
    budget: int | None
    verify_budget: int | None
    questions_per_mask: int | Literal["auto", "all"]
    keep: float | Literal["auto"]
    may_cost: float | None
    prune: bool
    refine: int
    ablation: Literal["zero", "mean", "mean-position", "resample", "resample-other"]
    rescale: bool
    protocol: Literal["paper", "hendrycks"] | None
    metric: str | None
    objective: Literal["best", "match"] | None
    passage: int | None
    look_every: int | None
    stop_at_faithfulness: float | None
    seed: SupportsIndex
    device: Any  # a name, or a torch.device
    dtype: Any  # a name, or a torch.dtype
    load_in: Literal["8bit", "4bit"] | None
    max_memory: str | None
    threads: int
