"""One run: a model and a task -> spectrum, schedule, verified curve, files."""

from __future__ import annotations

import os
import platform
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from headspex.baselines import BASELINES
from headspex.curve import CurvePoint
from headspex.errors import UsageError
from headspex.faithfulness import Faithfulness, faithfulness
from headspex.files import write_json
from headspex.fill import write_fill
from headspex.fit import fit_spectrum
from headspex.hooks import LoadedModel, load_model
from headspex.interactions_table import Interaction, interaction_table
from headspex.judge import Judge, mean_fill, say_what_is_cut
from headspex.observations import observe
from headspex.plan import RANDOM_SCHEDULES, Plan, make_plan
from headspex.players import Masks, Players, parse_layers
from headspex.run_folder import RunFolder
from headspex.sampling import draw_masks
from headspex.schedule import Schedule, prune_schedule, random_schedule
from headspex.settings import Settings
from headspex.spectrum import Spectrum
from headspex.spread import assign_questions, mask_values
from headspex.store import ScoreStore
from headspex.tasks import METRICS, Question, Task, encode_task, in_proportion, interval, load_task
from headspex.tasks import split as split_task
from headspex.uncertainty import intervals
from headspex.verification import verify

VERSIONS = ("headspex", "torch", "transformers", "transformer-lens", "xgboost", "numpy")


@dataclass(frozen=True, eq=False)
class Findings:
    """What a run found out.

    Attributes:
        spectrum: fitted to the search questions.
        interactions: its terms in words with their intervals, strongest first.
        schedules: method -> which player goes first, second, ...; `random` is several.
        curve: held-out scores, the whole model first.
        verified: method -> held-out accuracy of each question, [schedules, sizes, questions];
            columns are the held-out questions in order, for paired comparisons.
        faithfulness: R² on fresh masks, all search questions; None if they all score the same.
        transfer: the same predictions on all held-out questions, mean difference removed.
        passes, passes_total: forward passes spent on the search, and on everything.
        chance: accuracy of guessing.
        at_chance: whether the whole model cannot be told from guessing.
    """

    spectrum: Spectrum
    interactions: list[Interaction]
    schedules: dict[str, list[Schedule]]
    curve: list[CurvePoint]
    verified: dict[str, np.ndarray]
    faithfulness: Faithfulness | None
    transfer: Faithfulness | None
    passes: int
    passes_total: int
    chance: float
    at_chance: bool


class Study:
    """A model, a task and settings; `run` does the work.

        study = headspex.Study("tiny", "mini", keep=0.8)
        findings = study.run("runs/tiny-mini")

    Args:
        model: alias, Hub name, directory, transformers model or TransformerBridge.
        task: name, JSONL file, or a `headspex.tasks.Task`.
        tokenizer: of a model given as an object.
        settings: see `Settings`.

    Attributes:
        by_name: whether model and task were named, so that a command can repeat the run.

    Raises:
        UsageError: a setting, model or task that cannot be; also from the properties, which load
            on first use.
    """

    def __init__(
        self,
        model: Any = "tiny",
        task: str | os.PathLike[str] | Task = "mini",
        *,
        tokenizer: Any = None,
        **settings: Any,
    ) -> None:
        model = os.fspath(model) if isinstance(model, os.PathLike) else model
        self._given_model, self._given_task, self._tokenizer = model, task, tokenizer
        self.by_name = isinstance(model, str) and not isinstance(task, Task)
        if settings.get("data_dir") is not None:
            settings["data_dir"] = os.fspath(settings["data_dir"])
        self.settings = Settings(
            model=model if isinstance(model, str) else type(model).__name__,
            task=task.name if isinstance(task, Task) else os.fspath(task),
            **settings,
        )
        if self.settings.metric not in METRICS:
            known = ", ".join(METRICS)
            raise UsageError(f"--metric must be one of {known}, but is {self.settings.metric!r}")
        self.seconds: dict[str, float] = {}

    @cached_property
    def task(self) -> Task:
        """The questions."""
        if isinstance(self._given_task, Task):
            return self._given_task
        settings = self.settings
        return load_task(
            settings.task, subjects=settings.subjects or None, data_dir=settings.data_dir
        )

    @cached_property
    def model(self) -> LoadedModel:
        """The model under hooks."""
        import torch

        settings = self.settings
        torch.set_num_threads(settings.threads)
        with self._timed("load the model"):
            return load_model(
                self._given_model, tokenizer=self._tokenizer, revision=settings.revision,
                device=settings.device, dtype=settings.dtype,
            )  # fmt: skip

    @cached_property
    def players(self) -> Players:
        """The heads that are switched."""
        layers = self.settings.layers
        chosen = None if layers is None else parse_layers(layers, self.model.n_layers)
        return Players.heads(self.model.n_layers, self.model.n_heads, chosen)

    @cached_property
    def plan(self) -> Plan:
        """How the passes are spent."""
        search, heldout = split_task(self.task)
        return make_plan(
            self.settings, n_players=len(self.players), n_search=len(search), n_heldout=len(heldout)
        )

    @cached_property
    def questions(self) -> tuple[list[Question], list[Question]]:
        """The search and the held-out questions that are used, subjects in proportion."""
        halves = zip(split_task(self.task), (self.plan.n_search, self.plan.n_heldout), strict=True)
        search, heldout = (
            in_proportion(half, count, rng=_stream(self.settings.seed, "questions"))
            for half, count in halves
        )
        return search, heldout

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides a score or a choice; equal identities give equal files."""
        settings = self.settings.to_dict()
        # What the budgets buy counts, not how they were asked for.
        del settings["budget"], settings["verify_budget"]
        return {
            **settings,
            **asdict(self.plan),
            "sizes": list(self.plan.sizes),
            "device": self.model.device,
            "dtype": self.model.dtype,
            "versions": {name: version(name) for name in VERSIONS},
            "weights": self.model.fingerprint,
            "tokenizer": self.model.tokenizer_fingerprint,
            "questions": self.task.fingerprint,
            "commit": self.model.revision,
        }

    def run(self, out: str | Path) -> Findings:
        """Do everything, write the run's folder, and return what was found.

        Raises:
            UsageError: settings that do not fit the model or task, or a folder of another run.
        """
        from headspex.results import write_results  # it draws: matplotlib takes a second

        folder = RunFolder(Path(out))
        search, heldout = self.questions
        encoded = encode_task(
            self.task, search + heldout, self.model.tokenizer, shots=self.settings.shots
        )
        say_what_is_cut(encoded, self.model.n_ctx)
        folder.begin(self.identity)
        fill, fill_entry = None, None
        if self.settings.ablation == "mean":
            fill = mean_fill(self.model, encoded[: len(search)])
            fill_entry = write_fill(folder.path / "masks", fill)
        with ScoreStore(folder.scores) as store:
            judge = Judge(
                self.model, self.players, search + heldout, encoded, store=store,
                ablation=self.settings.ablation, fill=fill, rescale=self.settings.rescale,
            )  # fmt: skip
            findings = self._find(judge)
        with self._timed("write the results"):
            write_results(folder, self, findings, fill_entry)
        write_json(folder.timing, {"seconds": self.seconds, "machine": platform.machine()})
        return findings

    def _find(self, judge: Judge) -> Findings:
        plan, settings = self.plan, self.settings
        numbers = np.arange(plan.n_search + plan.n_heldout)
        search, heldout = numbers[: plan.n_search], numbers[plan.n_search :]
        at_chance = self._at_chance(judge, heldout)
        drawn = draw_masks(
            plan.n_masks + plan.n_fresh, plan.n_players, keep=settings.keep,
            seed=_stream(settings.seed, "masks"),
        )  # fmt: skip
        # All are different, so none of the fresh masks was searched. Where they are nearly all
        # masks there are, they come likeliest first: hence the shuffle.
        drawn = _stream(settings.seed, "fresh").permutation(drawn)
        masks, fresh = drawn[: plan.n_masks], drawn[plan.n_masks :]
        values = self._search(judge, plan, masks)
        # BLAS adds up in another order with another number of threads, which the environment sets.
        with self._timed("fit the spectrum"), threadpool_limits(1):
            spectrum = fit_spectrum(
                masks, values, keep=settings.keep, seed=settings.seed, threads=settings.threads
            )
            lasso = BASELINES["lasso"](
                observe(masks, values, keep=settings.keep), seed=settings.seed
            )
        with self._timed("intervals of the interactions"), threadpool_limits(1):
            bounds = intervals(
                masks, values, spectrum.terms, keep=settings.keep, seed=settings.seed
            )
        with self._timed("score fresh masks"):
            measured = judge.ask_all(fresh, numbers, metrics=[settings.metric], what="fresh masks")[
                settings.metric
            ]
        predicted = spectrum.predict(fresh)
        schedules = {
            "proxyspex": [prune_schedule(spectrum, self.players)],
            "lasso": [prune_schedule(lasso, self.players)],
            "random": [
                random_schedule(plan.n_players, seed=settings.seed * RANDOM_SCHEDULES + i)
                for i in range(RANDOM_SCHEDULES)
            ],
        }
        with self._timed("verify schedules"):
            curve, verified = verify(
                judge, schedules, plan.sizes, heldout,
                metrics=list(dict.fromkeys(["accuracy", settings.metric])),
            )  # fmt: skip
        return Findings(
            spectrum=spectrum,
            interactions=interaction_table(spectrum, bounds, self.players),
            schedules=schedules,
            curve=curve,
            verified=verified,
            faithfulness=faithfulness(
                measured[:, search].mean(axis=1), predicted, seed=settings.seed
            ),
            transfer=faithfulness(
                measured[:, heldout].mean(axis=1), predicted,
                remove_mean_difference=True, seed=settings.seed,
            ),
            passes=plan.passes,
            passes_total=plan.passes_total,
            chance=self.task.chance,
            at_chance=at_chance,
        )  # fmt: skip

    def _at_chance(self, judge: Judge, heldout: np.ndarray) -> bool:
        """Whether the whole model cannot be told from guessing; says so before the search."""
        whole = np.ones((1, self.plan.n_players), dtype=bool)
        correct = judge.ask_all(whole, heldout, metrics=["accuracy"], what="whole model")[
            "accuracy"
        ]
        score, (low, _) = float(correct.mean()), interval("accuracy", correct[0])
        at_chance = low <= self.task.chance
        if at_chance:
            print(
                f"headspex: the model does not do this task: score {score:.2f}, chance "
                f"{self.task.chance:.2f}; the search goes on, but will describe noise",
                file=sys.stderr,
            )
        return at_chance

    def _search(self, judge: Judge, plan: Plan, masks: Masks) -> np.ndarray:
        settings = self.settings
        asked = assign_questions(
            len(masks), plan.n_search, plan.questions_per_mask, rng=_stream(settings.seed, "asked")
        )
        with self._timed("search"):
            scores = judge.ask(masks, asked, metrics=[settings.metric], what="search")
        return mask_values(scores[settings.metric], asked, plan.n_search)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begin, 3)


def _stream(seed: int, name: str) -> np.random.Generator:
    """Independent random numbers for each purpose, so that one never shifts another."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
