"""Choose the mask to export: a run's, a run's best mask of a shape, or one from a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from headspex.engine.paired import score_difference
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.export.shapes import Shape, nearest_shapes, shapes_within
from headspex.hooks import Fill
from headspex.mask_file import MaskFile, read_mask
from headspex.players import Players
from headspex.runs.curve import CURVE, of_method
from headspex.runs.results import mask_of
from headspex.runs.run_folder import RunFolder, finished_run
from headspex.schedules.schedule import Schedule, n_pruned
from headspex.schedules.shape_search import best_of_shape
from headspex.scores.fill import fill_of_run, read_fill
from headspex.support.files import read_text
from headspex.support.notice import say_once
from headspex.tasks.scoring import title_of
from headspex.units import plural


@dataclass(frozen=True, eq=False)
class Chosen:
    """A mask, and where it comes from.

    Attributes:
        fill: means, for mean ablation.
        dtype, revision, adapter: of the model as the run loaded it.
        run: fingerprint of the run; None for a mask file.
        headline: printed.
        sentences: on its scores, printed and in the model card.
    """

    mask: MaskFile
    fill: Fill | None
    dtype: str
    revision: str | None
    adapter: str | None
    run: str | None
    headline: str
    sentences: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "sparsity": self.mask.sparsity,
            "score": self.mask.score,
            "pruned_heads": {str(k): list(v) for k, v in self.mask.pruned_heads.items()},
            "said": list(self.sentences),
        }


def chosen_mask(
    source: Path, *, sparsity: float | None, shape: str | None, schedule: Path | None
) -> Chosen:
    """The mask that the flags of `headspex export` name.

    Raises:
        UsageError: flags that contradict each other, neither a run nor a mask file, or an
            impossible shape.
    """
    if source.is_file():
        if sparsity is not None or shape is not None or schedule is not None:
            raise UsageError(
                f"--sparsity, --shape and --schedule choose a mask of a run, but {source} is a "
                "mask file; leave them out"
            )
        return _of_file(source)
    folder, run = finished_run(source)
    if sparsity is None and (shape is None or shape == "nearest"):
        raise UsageError("--sparsity chooses the mask of a run to export, but it is missing")
    identity = run["identity"]
    players = Players.of_run(run["results"])
    fill = fill_of_run(folder.path / "masks", identity["ablation"])
    order = Schedule.from_json(
        read_text(schedule or folder.schedule),
        players,
        fingerprint=None if schedule is None else identity["weights"],
    )
    score: float | None = None
    sentences: list[str] = []
    quantised = identity.get("load_in")
    plain = {name: value for name, value in identity.items() if name != "load_in"}
    if shape is not None:
        mask = _projected(folder, players, shape, sparsity)
        score, sentences = _scored(source, plain, order, mask, fill)
    elif quantised is not None:
        mask = order.mask(n_pruned(sparsity or 0.0, len(players)))
        score, sentences = _judged_again(source, plain, mask, fill)
    else:
        size = n_pruned(sparsity or 0.0, len(players))
        mask = order.mask(size)
        own = run["results"]["own_metric"]
        judged = of_method(CURVE.read(folder.curve), "proxyspex", own)
        if schedule is None:
            score = next((p.score for p in judged if p.n_pruned == size), None)
        whole = run["results"]["unpruned"]
        sentences.append(
            f"held-out {title_of(own)} not measured at this size"
            if score is None
            else f"held-out {title_of(own)} {whole:.3f} -> {score:.3f}"
        )
    if quantised is not None:
        sentences.append(f"found in weights of {quantised}, judged in the plain ones")
    file = mask_of(plain, players, mask, score=score, fill=None)
    removed = int((~mask).sum())
    total = len(players) // len(players.layers) * players.n_layers  # of the whole model
    return Chosen(
        mask=file,
        fill=fill,
        dtype=identity["dtype"],
        revision=identity["revision"],
        adapter=identity.get("adapter"),
        run=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        headline=f"model {file.model}   task {file.task}   {plural(players.unit)} {total} -> "
        f"{total - removed}",
        sentences=tuple(sentences),
    )


def _of_file(path: Path) -> Chosen:
    mask = read_mask(path)
    if mask.load_in is not None:
        say_once(
            f"the score of {path} is that of weights of {mask.load_in}; what is exported has the "
            "plain ones: export from the run's folder to have the mask judged in them"
        )
    score = "not measured" if mask.score is None else f"{mask.score:.3f}"
    return Chosen(
        mask=mask,
        fill=read_fill(mask, path),
        dtype="float32",
        revision=None,
        adapter=None,
        run=None,
        headline=f"model {mask.model}   task {mask.task}   {mask.off} removed",
        sentences=(f"held-out score {score}",),
    )


def _projected(
    folder: RunFolder, players: Players, shape: str, sparsity: float | None
) -> Bool[np.ndarray, " players"]:
    """The mask of a shape with the highest value in the run's spectrum."""
    if players.unit not in ("head", "kv-group") or len(players.layers) < players.n_layers:
        raise UsageError(
            "--shape needs a run of all layers with --unit head or kv-group, as it makes all "
            f"layers equal, but this run has --unit {players.unit} and {len(players.layers)} of "
            f"{players.n_layers} layers; use --format zeroed"
        )
    groups = players.n_kv_heads or players.n_heads
    whole = Shape(groups, players.n_heads // groups)
    by_group = players.unit == "kv-group"
    spectrum = Spectrum.from_json(read_text(folder.pruning_spectrum))
    width = 1 if by_group else whole.heads
    columns = np.arange(len(players)).reshape(players.n_layers, groups, width)

    def best(target: Shape) -> Bool[np.ndarray, " players"]:
        return best_of_shape(spectrum, columns, target.groups, 1 if by_group else target.heads)

    if shape == "nearest":
        kept = (1 - (sparsity or 0.0)) * players.n_heads
        masks = np.stack(list(map(best, nearest_shapes(whole, kept, whole_groups=by_group))))
        nearest: Bool[np.ndarray, " players"] = masks[int(spectrum.predict(masks).argmax())]
        return nearest
    target = Shape.parse(shape)
    if target not in shapes_within(whole, whole_groups=by_group):
        raise UsageError(
            f"--shape must be within the model's {whole}"
            + (f", in whole groups of {whole.heads}" if by_group else "")
            + f", but is {target}"
        )
    return best(target)


def _scored(
    path: Path,
    identity: dict[str, Any],
    order: Schedule,
    mask: Bool[np.ndarray, " players"],
    fill: Fill | None,
) -> tuple[float, list[str]]:
    """Held-out score of a mask of some shape, and sentences on what the shape costs."""
    free = order.mask(min(int((~mask).sum()), len(order.order)))
    own, (whole, before, after) = _asked(path, identity, [np.ones_like(mask), free, mask], fill)
    lost = score_difference(after, before)
    return float(after.mean()), [
        f"held-out {title_of(own)} {whole.mean():.3f} -> {after.mean():.3f}",
        f"the schedule's mask of this size, without a shape: {before.mean():.3f}; "
        f"the shape costs {lost}",
    ]


def _judged_again(
    path: Path, identity: dict[str, Any], mask: Bool[np.ndarray, " players"], fill: Fill | None
) -> tuple[float, list[str]]:
    """Held-out score of a mask in the plain weights, and a sentence on it."""
    say_once("the run searched in quantised weights; the mask is judged again in the plain ones")
    own, (whole, after) = _asked(path, identity, [np.ones_like(mask), mask], fill)
    return float(after.mean()), [
        f"held-out {title_of(own)} {whole.mean():.3f} -> {after.mean():.3f}"
    ]


def _asked(
    path: Path,
    identity: dict[str, Any],
    masks: list[Bool[np.ndarray, " players"]],
    fill: Fill | None,
) -> tuple[str, Float[np.ndarray, "masks questions"]]:
    """The metric that a run's masks are judged in, and their held-out scores in it."""
    from headspex.runs.reopening import setup_to_judge
    from headspex.scores.store import ScoreStore

    setup = setup_to_judge(path, identity)
    own = setup.objective.judged_in
    search, heldout = setup.questions
    asked = np.arange(len(search), len(search) + len(heldout))
    with ScoreStore(":memory:", setup.scored_by(fill)) as store:
        judge = setup.judge(store, fill=fill)
        found = judge.ask_all(np.stack(masks), asked, metrics=[own], what="the mask")
    return own, found[own]
