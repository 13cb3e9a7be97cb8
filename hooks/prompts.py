"""A user's metric of the logits under masks: the bridge with hooks, in batches of equal length."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.ablation import Ablation, check_ablation, head_outputs, hooks_of
from headspex.hooks.answers import Answers
from headspex.hooks.batching import Work, batches, plan_work
from headspex.hooks.inputs import Inputs, Pass
from headspex.hooks.switches import check_switches
from headspex.hooks.token_budget import TokenBudget, out_of_memory, scores, tokens_of
from headspex.tasks.game import Batch, EncodedPrompt


class MetricPath:
    """Scores prompts with their metric.

    Args:
        bridge: a TransformerBridge; its own hooks run too.
        prompts: all prompts of later calls.
        resample: whether ablated heads get their outputs on the corrupted prompt.
    """

    def __init__(self, bridge: Any, prompts: Sequence[EncodedPrompt], *, resample: bool) -> None:
        self._bridge, self._prompts, self._resample = bridge, prompts, resample
        if resample and (lacking := [one for one in prompts if one.corrupted is None]):
            raise UsageError(
                f"resample ablation needs a corrupted prompt for each prompt, but prompt "
                f"{lacking[0].index} of {lacking[0].called} has none; pass corrupted=..., or add "
                "CORRUPTED to the task's file"
            )
        self._lengths = np.array([len(one.context) for one in prompts])

    @property
    def inputs(self) -> Inputs:
        """The prompts as inputs of `plan_work`."""
        numbers = range(len(self._prompts))
        return Inputs(
            tuple(Pass(one.context, ()) for one in self._prompts),
            tuple((number,) for number in numbers),
            (0,) * len(self._prompts),
            n_choices=1,
        )

    def run(
        self, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation, batch_tokens: int
    ) -> Iterator[tuple[Int[np.ndarray, " batch"], Answers]]:
        """Run some items of the work; yields each batch of items with their metric."""
        own = self._lengths[work.inputs[items]]
        for length in sorted(set(own.tolist()), reverse=True):
            alike = items[own == length]
            for batch in batches(work, alike, self._lengths, batch_tokens, merged=False):
                rows = torch.from_numpy(work.rows[batch])
                values = self._measured(work, batch, ablation)
                yield batch, Answers(rows, torch.zeros_like(rows), values)

    def forget(self, batch_tokens: int) -> None:
        """Do nothing: there is no cache between batches."""

    def _measured(
        self, work: Work, batch: Int[np.ndarray, " batch"], ablation: Ablation
    ) -> Float[Tensor, " batch"]:
        device = self._bridge.original_model.device
        asked = [self._prompts[number] for number in work.inputs[batch]]
        tokens = torch.tensor([one.context for one in asked], device=device)
        corrupted = None
        if all(one.corrupted is not None for one in asked):
            corrupted = torch.tensor([one.corrupted for one in asked], device=device)
        masks = torch.from_numpy(work.masks[work.rows[batch]])
        if self._resample and corrupted is not None:
            distinct, of_row = torch.unique(corrupted, dim=0, return_inverse=True)
            fill = head_outputs(self._bridge, distinct)
            ablation = Ablation(fill=fill[:, of_row])
        logits = self._bridge.run_with_hooks(tokens, fwd_hooks=hooks_of(masks, ablation))
        index = torch.tensor([one.index for one in asked], device=device)
        return _called(asked, logits, Batch(index, tokens, corrupted, asked[0].tokenizer))


class PreparedPrompts:
    """A model with all the prompts that later calls will score.

    Args:
        model: a LoadedModel or a TransformerBridge.
        prompts: calls pass these objects, in any order and number.
        batch_tokens: tokens in one forward pass; halved for good when memory runs out.
    """

    def __init__(
        self, model: Any, prompts: Sequence[EncodedPrompt], *, batch_tokens: int | None = None
    ) -> None:
        self._bridge = getattr(model, "bridge", model)
        self._prompts = list({id(one): one for one in prompts}.values())
        self._number = {id(one): number for number, one in enumerate(self._prompts)}
        self._budget = TokenBudget(batch_tokens or tokens_of(self._bridge.original_model.device))

    @torch.no_grad()
    def values(
        self,
        prompts: Sequence[EncodedPrompt],
        keep_masks: Any = None,
        *,
        keep_mlps: Any = None,
        ablation: str = "zero",
        fill: Any = None,
        rescale: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Float[np.ndarray, "rows 1"]:
        """The metric of each prompt under its mask; arguments as in `answer_log_probs`.

        Raises:
            UsageError: the metric raises or returns anything but [batch] finite floats, or
                resample ablation lacks corrupted prompts.
        """
        masks = check_switches(self._bridge, keep_masks, keep_mlps)
        resample = ablation == "resample" and fill is None
        how = (
            Ablation()
            if resample and not rescale
            else check_ablation(self._bridge, masks, ablation, fill, rescale)
        )
        path = MetricPath(self._bridge, self._prompts, resample=resample)
        asked = [self._number[id(one)] for one in prompts]
        rows = masks.expand(len(prompts), -1, -1).cpu().numpy()
        work = plan_work(path.inputs, asked, rows)
        found = scores(path, work, how, self._budget, dtype=torch.float32, progress=progress)
        return found.double().numpy()


def _called(asked: Sequence[EncodedPrompt], logits: Tensor, batch: Batch) -> Tensor:
    """Call the metric and check what it returns."""
    called, shape = asked[0].called, list(logits.shape)
    rule = f"{called} must return finite floats of shape [{len(asked)}] (batch)"
    try:
        values = asked[0].metric(logits, batch)
    except Exception as error:  # whatever the user's own code raises
        if isinstance(error, RuntimeError | MemoryError) and out_of_memory(error):
            raise
        raise UsageError(
            f"{rule} for logits {shape} (batch, pos, vocab), but it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    values = torch.as_tensor(values) if isinstance(values, np.ndarray | list) else values
    if not isinstance(values, Tensor):
        raise UsageError(f"{rule}, but it returned {type(values).__name__}")
    if tuple(values.shape) != (len(asked),):
        raise UsageError(f"{rule} for logits {shape}, but it returned shape {list(values.shape)}")
    values = values.detach().float().cpu()
    if not bool(values.isfinite().all()):
        row = int((~values.isfinite()).nonzero()[0])
        raise UsageError(f"{rule}, but it returned {values[row]:g} for prompt {asked[row].index}")
    return values
