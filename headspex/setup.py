"""The parts of a run: model, task, players, plan and questions, each loaded on first use."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Self, Unpack

from headspex.budget.defaults import Defaults, defaults_of
from headspex.budget.flops import MaskCosts, mask_costs
from headspex.budget.plan import Plan, make_plan
from headspex.budget.refinement import refined_by
from headspex.errors import UsageError, argument
from headspex.hooks import Fill, LoadedModel, load_model
from headspex.hooks.inputs import plan_inputs
from headspex.players import Players, parse_layers
from headspex.presets import PAPER_SHARE
from headspex.scores.evaluate import ModelWorkers
from headspex.scores.fill import fingerprint_of
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.settings import Settings, SettingsArguments
from headspex.support.identity import digest
from headspex.support.seeds import stream
from headspex.support.watch import Watch
from headspex.tasks import (
    EncodedQuestion,
    Question,
    Task,
    encode_task,
    game,
    in_proportion,
    load_task,
)
from headspex.tasks import split as split_task
from headspex.tasks.game import Metric
from headspex.tasks.objective import Objective, objective_of
from headspex.tasks.other_prompts import with_other_prompts
from headspex.tasks.questions import near
from headspex.tasks.vocabulary import check_questions, vocabulary_of

VERSIONS = ("headspex", "torch", "transformers", "transformer-lens", "xgboost", "numpy")


class Setup:
    """A model, a task and settings, and everything they determine before scoring.

    Args:
        model: alias, Hub name, directory, GGUF file, transformers model, peft.PeftModel or
            TransformerBridge.
        task: name, see `headspex.tasks.load_task`; a `headspex.tasks.Task`; or with `prompts` a
            metric of the logits, `metric(logits, batch) -> [batch]`, see `headspex.tasks.game`.
        prompts: of a generated task such as "ioi", how many, for search and held-out questions
            together; for a metric, texts or token ids.
        corrupted: for a metric and `ablation="resample"`, each as long as its clean prompt.
        tokenizer: of a model given as an object.
        settings: see `Settings`.

    Attributes:
        by_name: whether model and task were given by name, so that a command can repeat the run.
        seconds: duration of each stage.
        watch: records progress.

    Raises:
        UsageError: an invalid setting, model or task; also from properties, which load on first
            use.
    """

    def __init__(
        self,
        model: Any = "tiny",
        task: str | os.PathLike[str] | Task | Metric = "mini",
        *,
        prompts: int | Sequence[str | Sequence[int]] | None = None,
        corrupted: Sequence[str | Sequence[int]] | None = None,
        tokenizer: Any = None,
        **settings: Unpack[SettingsArguments],
    ) -> None:
        model = os.fspath(model) if isinstance(model, os.PathLike) else model
        number, prompts = (prompts, None) if isinstance(prompts, int) else (None, prompts)
        if callable(task):
            task = game(task, prompts or (), corrupted=corrupted)
        elif prompts is not None or corrupted is not None:
            raise UsageError(
                f"prompts go with a metric, a function of logits, but task is {task!r}; pass "
                "Study(model, metric, prompts=...)"
            )
        self._given_model, self._given_task, self._tokenizer = model, task, tokenizer
        self.by_name = isinstance(model, str) and not isinstance(task, Task)
        known = [field.name for field in fields(Settings)]
        if (name := next((one for one in settings if one not in known), None)) is not None:
            raise UsageError(f"no setting {name!r}{near(name, known)}; known: {', '.join(known)}")
        named: dict[str, Any] = {
            "model": model if isinstance(model, str) else type(model).__name__,
            "task": task.name if isinstance(task, Task) else task,
            "prompts": number,
            **settings,
        }
        self.settings = Settings(**named)
        if isinstance(task, Task):
            self.settings.refuse_loading()
        self.seconds: dict[str, float] = {}
        self.watch = Watch()

    @classmethod
    def of_run(cls, identity: Mapping[str, Any]) -> Self:
        """The setup of a finished run, with its plan.

        Args:
            identity: as in run.json. Model and data may have changed since: compare the result's.
        """
        given = {f.name: identity[f.name] for f in fields(Settings) if f.name in identity}
        if given["device"] == "cuda:0":
            given["device"] = "cuda"  # begins there too, and takes more where one is too small
        setup = cls(**{**given, "subjects": tuple(identity["subjects"])})
        setup.plan = Plan.of_run(identity)
        return setup

    @cached_property
    def task(self) -> Task:
        """The questions."""
        settings, task = self.settings, self._given_task
        if not isinstance(task, Task):
            task = load_task(
                settings.task, subjects=settings.subjects or None, data_dir=settings.data_dir,
                prompts=settings.prompts, passage=settings.passage,
                tokenizer=lambda: self.model.tokenizer,
            )  # fmt: skip
        # Checked here, before the model, which takes longer to load.
        if settings.metric is not None:
            task.check_metric(settings.metric)
        if settings.has_style and not task.kind.styled:
            raise UsageError(
                f"{argument('prompt_style')} {settings.prompt_style} is a way to ask multiple "
                f"choice, but task {task.name} writes its own prompts; leave it out"
            )
        return task

    @cached_property
    def metric(self) -> str:
        """The metric that the spectrum explains."""
        return self.settings.metric or self.task.metric

    @cached_property
    def objective(self) -> Objective:
        """What schedules keep, and the metrics that follow from it."""
        return objective_of(self.task, metric=self.metric, wanted=self.settings.objective)

    @property
    def refined_by(self) -> str:
        """How its schedule is refined; see `headspex.budget.refinement`."""
        aim, rescale = self.objective.aim, self.settings.rescale
        return refined_by(self.task, aim, rescale=rescale, n_players=len(self.players))

    @property
    def defaults(self) -> Defaults:
        """What the run does where its settings say nothing."""
        return defaults_of(self.task, by=self.refined_by)

    @cached_property
    def halves(self) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
        """All search questions, and all held-out questions, of the task."""
        task, settings = self.task, self.settings
        if settings.protocol != "paper":
            return split_task(task)
        # The paper counts the worked examples among the questions, as its prompts show none.
        if settings.shots == 0:
            task = replace(task, validation=task.validation + task.dev, dev=())
        return split_task(task, PAPER_SHARE)

    def questions_of(self, part: str) -> tuple[Question, ...]:
        """All questions of a split: dev, validation, test, search or heldout."""
        if part in ("search", "heldout"):
            return self.halves[part == "heldout"]
        return self.task.questions(part)

    @cached_property
    def model(self) -> LoadedModel:
        """The model under hooks."""
        import torch

        settings = self.settings
        torch.set_num_threads(settings.threads)
        with self.timed("load the model"):
            return load_model(
                self._given_model, tokenizer=self._tokenizer, revision=settings.revision,
                device=settings.device, dtype=settings.dtype, adapter=settings.adapter,
                max_memory=settings.max_memory, load_in=settings.load_in,
            )  # fmt: skip

    @cached_property
    def players(self) -> Players:
        """The switched heads, or other parts."""
        layers = self.settings.layers
        chosen = None if layers is None else parse_layers(layers, self.model.n_layers)
        return Players.of_unit(
            self.settings.unit, self.model.n_layers, self.model.n_heads, chosen,
            n_kv_heads=self.model.n_kv_heads,
        )  # fmt: skip

    @cached_property
    def plan(self) -> Plan:
        """The sizes of the run."""
        search, heldout = self.halves
        return make_plan(
            self.settings, n_players=len(self.players), n_search=len(search),
            n_heldout=len(heldout), more=self.task.kind.more,
            circuits=self.objective.circuits_in is not None, defaults=self.defaults,
        )  # fmt: skip

    def replanned(self, settings: Settings, plan: Plan | None = None) -> Self:
        """The same model and task with other sizes.

        Args:
            settings: that differ in their budgets.
            plan: None makes one of the settings.
        """
        other = copy.copy(self)
        for name in ("plan", "questions", "encoded"):
            vars(other).pop(name, None)
        other.settings = settings
        if plan is not None:
            other.plan = plan
        return other

    @cached_property
    def questions(self) -> tuple[list[Question], list[Question]]:
        """The search and held-out questions that the run uses, subjects in proportion."""
        seed, plan, halves = self.settings.seed, self.plan, self.halves
        return (
            in_proportion(halves[0], plan.n_search, rng=stream(seed, "search questions")),
            in_proportion(halves[1], plan.n_heldout, rng=stream(seed, "held-out questions")),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides a score or a choice; equal identities give equal files."""
        return {
            **self.settings.deciding(),
            "metric": self.metric,
            "objective": self.objective.name,
            **self.plan.to_dict(),
            "device": self.model.device,
            "dtype": self.model.dtype,
            "versions": self.versions,
            "weights": self.model.fingerprint,
            "quantised": self.model.quantised,
            "tokenizer": self.model.tokenizer_fingerprint,
            "questions": self.task.fingerprint,
            "commit": self.model.revision,
        }

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that decide scores."""
        quantising = () if self.settings.load_in is None else ("bitsandbytes",)
        return {name: version(name) for name in (*VERSIONS, *quantising)}

    def scored_by(self, fill: Fill | None) -> dict[str, Any]:
        """Everything but mask and question that decides a score to its last bit."""
        settings, model = self.settings, self.model
        search, heldout = self.questions
        return {
            "weights": model.fingerprint,
            "tokenizer": model.tokenizer_fingerprint,
            "questions": digest(question.id for question in search + heldout),
            "prompts": digest(map(repr, self.encoded)),
            "metric_code": self.task.kind.fingerprint,
            "shots": settings.shots,
            "dtype": model.dtype,
            "attention": str(model.bridge.original_model.config._attn_implementation),
            "device": model.device.split(":")[0],
            "threads": settings.threads,
            "ablation": settings.ablation,
            "fill": fingerprint_of(fill),
            "rescale": settings.rescale,
            "unit": settings.unit,
            "layers": list(self.players.layers),
            "versions": self.versions,
            **({} if settings.load_in is None else {"load_in": settings.load_in}),
        }

    @cached_property
    def encoded(self) -> list[EncodedQuestion]:
        """The search questions, then the held-out ones, as tokens."""
        search, heldout = self.questions
        return self.encode(search + heldout)

    def encode(
        self, questions: Sequence[Question], ablation: str | None = None
    ) -> list[EncodedQuestion]:
        """Questions of the task as this run's tokens, for its ablation or another.

        Raises:
            UsageError: as for the task; a token without an embedding; nothing to resample from.
        """
        encoded = self._encoded(questions)
        if (ablation or self.settings.ablation) != "resample-other":
            return encoded
        pool = self._encoded(self.halves[0])
        return with_other_prompts(questions, encoded, pool, seed=self.settings.seed)

    def _encoded(self, questions: Sequence[Question]) -> list[EncodedQuestion]:
        settings, model = self.settings, self.model
        encoded = encode_task(
            self.task, questions, model.tokenizer, shots=settings.shots,
            style=settings.prompt_style, chat=settings.chat_template, n_ctx=model.n_ctx,
            kl=self.objective.measures_kl,
        )  # fmt: skip
        vocabulary = vocabulary_of(model.bridge.original_model)
        check_questions(questions, encoded, model.tokenizer, vocabulary)
        return encoded

    def judge(
        self, store: ScoreStore, *, fill: Fill | None = None, workers: ModelWorkers | None = None
    ) -> Judge:
        """Scores masks on `encoded`.

        Args:
            store: keeps every score.
            fill: for mean ablation.
            workers: measure elsewhere; None measures in this process.
        """
        search, heldout = self.questions
        return Judge(
            self.model, self.players, self.task, search + heldout, self.encoded, store=store,
            ablation=self.settings.ablation, fill=fill, rescale=self.settings.rescale,
            metric=self.metric, progress=self.watch.progress, workers=workers,
        )  # fmt: skip

    def costs(self) -> MaskCosts:
        """Costs of masks and questions in the search."""
        inputs = plan_inputs(self.encoded[: self.plan.n_search], self.model.n_ctx)
        config, players = self.model.bridge.original_model.config, self.players
        return mask_costs(config, inputs, first=min(players.layers), n_players=len(players))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time a stage, adding to `seconds`."""
        self.watch.stage(stage)
        begin = time.perf_counter()
        yield
        spent = self.seconds.get(stage, 0.0) + time.perf_counter() - begin
        self.seconds[stage] = round(spent, 3)
