"""Flags shared by several commands, and the study they describe."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headspex.settings import Settings

if TYPE_CHECKING:
    from headspex.runs.ray_pool import Pool
    from headspex.study import Study


def add_model(parser: argparse.ArgumentParser, *, also: str = "") -> None:
    """Add the flags that name a model and say how it is loaded.

    Args:
        also: what else `--model` may be, for its help.
    """
    add = parser.add_argument
    add("--model", default="tiny", help="tiny (ships), an alias such as llama-3.1-8b, a Hub name, "
        f"a directory or a .gguf file{also} (default: %(default)s)")  # fmt: skip
    add("--revision", metavar="REV", help="branch, tag or commit of a model on the Hub")
    add("--adapter", metavar="DIR", help="a PEFT adapter to merge into the model")
    add("--device", default=Settings.device, help="cpu, cuda, cuda:1 or mps; auto: the first "
        "available of cuda, mps and cpu (default: %(default)s)")  # fmt: skip
    add("--dtype", default=Settings.dtype, help="float32, bfloat16 or float16; auto: the "
        "checkpoint's own on a GPU, float32 on a CPU with enough memory "
        "(default: %(default)s)")  # fmt: skip
    add("--load-in", metavar="8bit|4bit", help="search in quantised weights (bitsandbytes); export "
        "judges the mask in the plain ones")  # fmt: skip
    add("--max-memory", metavar="SIZES", help="most bytes of weights on each GPU, and on the CPU "
        "until they are used, such as 0=20GiB,1=20GiB,cpu=30GiB (default: one GPU, or all if "
        "one is too small)")  # fmt: skip


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the flags of model and task."""
    add_model(parser)
    add = parser.add_argument
    add("--task", default="mini", help="mini (ships), mmlu, ioi and others (`headspex tasks`), "
        "a file of questions, lm-eval:NAME, text:FILE or file.py:function "
        "(default: %(default)s)")  # fmt: skip
    add("--prompts", type=int, metavar="N", help="number of prompts of a generated task such as "
        "ioi, search and held-out ones together (default: 200)")  # fmt: skip
    add("--passage", type=int, metavar="N", help="characters of each passage of a text "
        "(default: 1000, about 250 tokens)")  # fmt: skip
    add("--subject", nargs="+", default=[], metavar="S", help="subjects of the task (default: all)")
    add("--data-dir", metavar="DIR", help="a local copy of the task's data")
    add("--shots", type=int, default=0, help="worked examples before each question, 0..5 "
        "(default: %(default)s)")  # fmt: skip
    add(
        "--prompt-style",
        default=Settings.prompt_style,
        metavar="lm-eval|hendrycks|cloze",
        help="how multiple choice is asked: lm-eval or hendrycks score the letters, in prompts as "
        "lm-eval's mmlu or MMLU's authors write them; cloze scores the choices' texts after the "
        "question alone, by log-likelihood per character (default: %(default)s)",
    )
    add("--chat-template", action="store_true", help="put the tokenizer's chat template around "
        "each prompt")  # fmt: skip
    add("--protocol", metavar="paper|hendrycks", help="settings under one name. paper: the "
        "ProxySPEX paper's head experiment, keep 1/2, 5,000 masks on all search questions, zero "
        "ablation with rescaling, a 120/111 split; hendrycks: the prompt style of that "
        "name")  # fmt: skip
    add("--threads", type=int, default=Settings.threads, help="threads of torch and xgboost; the "
        "last bits of results depend on it (default: %(default)s)")  # fmt: skip


def add_run(parser: argparse.ArgumentParser, *, prune: bool = True) -> None:
    """Add the flags of a run; those of schedules only with `prune`."""
    add = parser.add_argument
    add("--unit", default=Settings.unit, metavar="UNITS", help="what to switch: head, kv-group, "
        "layer (its attention), mlp, or a mixture such as head,mlp (default: "
        "%(default)s)")  # fmt: skip
    add("--layers", metavar="RANGES", help="layers whose parts are switched, such as 0-2,13 "
        "(default: all)")  # fmt: skip
    add("--budget", type=int, metavar="PASSES", help="forward passes of pilot and search; one "
        "pass is one question under one mask (default: by task and heads)")  # fmt: skip
    add("--verify-budget", type=int, metavar="PASSES", help="forward passes of fresh "
        "masks and held-out curves (default: by task and heads)")  # fmt: skip
    add("--questions-per-mask", type=number_or("auto", "all", number=int), metavar="auto|all|K",
        default=Settings.questions_per_mask, help="questions asked of each mask; auto: by a pilot "
        "and the cost of starting a mask (default: %(default)s)")  # fmt: skip
    add("--keep", type=number_or("auto", number=float), default=Settings.keep, metavar="auto|P",
        help="probability that a mask keeps a head; auto: by a pilot, where the model still "
        "works and masks differ (default: %(default)s)")  # fmt: skip
    if prune:
        add("--may-cost", type=float, metavar="LOSS", help="how much of the task's own score the "
            "removal of heads may cost (default: .01 of accuracy, .1 nats of KL "
            "divergence, 1 %% of other scores)")  # fmt: skip
        add("--refine", type=int, default=Settings.refine, metavar="ROUNDS", help="rounds of "
            "refining the schedule on the model, on top of the budget: walks of about a quarter of "
            "it each, or learned gates of at most four times it "
            "(default: %(default)s)")  # fmt: skip
    add("--ablation", default="zero", help="what stands in for the output of a head that is off: "
        "zero; mean, its mean over tokens; mean-position, over prompts of one length; resample, "
        "its output on the corrupted prompt; resample-other, on another search prompt as long "
        "(default: %(default)s)")  # fmt: skip
    add("--rescale", action="store_true",
        help="multiply a layer's remaining heads by H / kept (zero ablation)")  # fmt: skip
    add("--metric", help="accuracy, margin or logprob for multiple choice, others for other "
        "tasks; kl for any: minus the KL divergence from the whole model (default: the task's "
        "own)")  # fmt: skip
    if prune:
        add("--objective", metavar="best|match", help="what a schedule keeps: the best score, or "
            "a match of the whole model's behaviour (default: match for paired prompts and kl, "
            "else best)")  # fmt: skip
    add("--look-every", type=int, metavar="PASSES", help="measure R2, on masks reserved for that, "
        "each time the search has spent this many more passes")  # fmt: skip
    add("--stop-at-faithfulness", type=float, metavar="R2", help="end the search when a look finds "
        "the 95 %% interval of R2 above this (without --look-every, looks are an eighth of the "
        "default budget apart)")  # fmt: skip
    add("--ray", metavar="local|ADDRESS", help="measure with Ray: on this machine, or on a running "
        "cluster; the results are the same")  # fmt: skip
    add("--cpus-per-worker", type=int, metavar="N",
        help="CPUs of each Ray worker without a GPU (default: --threads)")  # fmt: skip
    add("--gpus-per-worker", type=int, metavar="N",
        help="GPUs of each Ray worker (default: as few as hold the model)")  # fmt: skip
    add("--seed", type=int, default=0, help="fixes every random choice (default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/MODEL-TASK)")
    add("--dry-run", action="store_true", help="print the expected cost and stop")
    add("--json", action="store_true", help="print one JSON object")


def add_minutes(parser: argparse.ArgumentParser) -> None:
    """Add the flag that chooses the budgets by time."""
    parser.add_argument("--minutes", type=float, metavar="M", help="choose both budgets so that "
        "the run takes about M minutes on this machine; a run that goes on keeps the ones it "
        "began with")  # fmt: skip


def study_of(options: argparse.Namespace) -> Study:
    """The study described by the flags."""
    from headspex.study import Study

    settings = settings_of(options)
    return Study(settings.pop("model"), settings.pop("task"), **settings)


def pool_of(options: argparse.Namespace) -> Pool:
    """Where blocks are measured, by the flags."""
    from headspex.runs.ray_pool import Pool

    return Pool(options.ray, options.cpus_per_worker, options.gpus_per_worker)


def out_of(options: argparse.Namespace) -> Path:
    """The run's folder: --out, or named after model and task."""
    adapter = f"-{folder_name(options.adapter)}" if options.adapter else ""
    name = f"{folder_name(options.model)}{adapter}-{folder_name(options.task)}"
    return options.out or Path("runs") / name


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of `Study` from the flags."""
    fields = Settings.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in fields}
    return {**given, "subjects": tuple(options.subject)}


def folder_name(text: str) -> str:
    """A folder's name for a path or Hub name."""
    return re.sub(r"[^\w.-]+", "-", Path(text).stem if text.endswith(".jsonl") else Path(text).name)


def number_or(*words: str, number: Callable[[str], float]) -> Callable[[str], float | str]:
    """A parser of a number or one of the words."""

    def parse(text: str) -> float | str:
        if text in words:
            return text
        try:
            return number(text)
        except ValueError:
            known = ", ".join(words)
            raise argparse.ArgumentTypeError(
                f"must be a number or one of {known}, but is {text!r}"
            ) from None

    return parse
