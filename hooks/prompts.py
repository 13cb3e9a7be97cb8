"""A user's metric of the logits under masks, in batches of equal length."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headspex.errors import UsageError
from headspex.hooks.ablation import Ablation, check_ablation, hooks_of
from headspex.hooks.answers import Answers
from headspex.hooks.batching import Work, batches, plan_work
from headspex.hooks.corrupted import Corrupted
from headspex.hooks.decoder import Decoder
from headspex.hooks.fast import BatchInputs, decoder_outputs, final_states
from headspex.hooks.fill import Fill, Parts
from headspex.hooks.inputs import Inputs, Pass, plan_inputs
from headspex.hooks.outputs import part_outputs
from headspex.hooks.own_metric import metric_values
from headspex.hooks.plain import has_hooks
from headspex.hooks.prefix import Trunk
from headspex.hooks.switches import check_switches
from headspex.hooks.token_budget import TokenBudget, scores, tokens_of
from headspex.hooks.trust import say_slower, trusted_decoder
from headspex.tasks.game import EncodedPrompt
from headspex.tasks.prompts import EncodedQuestion


class MetricPath:
    """Scores prompts with their metric.

    Args:
        bridge: a TransformerBridge; without a decoder it runs, with its own hooks.
        decoder: its model in parts, if that may replace it.
        prompts: all prompts of later calls.
        batch_tokens: tokens in one batch of the states that are cached between calls.
    """

    def __init__(
        self,
        bridge: Any,
        decoder: Decoder | None,
        prompts: Sequence[EncodedPrompt],
        batch_tokens: int,
    ) -> None:
        self._bridge, self._decoder, self._prompts = bridge, decoder, prompts
        self._lengths = np.array([len(one.context) for one in prompts])
        self.inputs = Inputs(
            tuple(Pass(one.context, (), corrupted=one.corrupted) for one in prompts),
            tuple((number,) for number in range(len(prompts))),
            (0,) * len(prompts),
            n_choices=1,
        )
        self._corrupted = Corrupted(self._outputs, bridge.original_model.device)
        self.forget(batch_tokens)

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
        """Empty the cache between calls; later batches of it hold `batch_tokens` tokens."""
        if self._decoder is not None:
            self._trunk = Trunk(self._decoder, self.inputs, batch_tokens)

    def _measured(
        self, work: Work, items: Int[np.ndarray, " items"], ablation: Ablation
    ) -> Float[Tensor, " items"]:
        device = self._bridge.original_model.device
        asked = [self._prompts[number] for number in work.inputs[items]]
        tokens = torch.tensor([one.context for one in asked], device=device)
        inputs, of_item = np.unique(work.inputs[items], return_inverse=True)
        if ablation.resampled is not None:
            each = [self.inputs.passes[index] for index in inputs]
            fill = self._corrupted.fill(each, ablation.resampled)
            ablation = Ablation(fill)
        last = tokens.shape[1] - 1 if asked[0].last_only else None
        if self._decoder is not None:
            places = None if last is None else torch.full((len(inputs), 1), last)
            x, state = final_states(
                self._decoder,
                self._trunk,
                work,
                items,
                BatchInputs(inputs, of_item, places),
                ablation,
            )
            logits = self._decoder.logits(x)[torch.from_numpy(state).to(device)]
        else:
            masks = torch.from_numpy(work.masks[work.rows[items]])
            hooks = hooks_of(masks, ablation.of_rows(of_item))
            logits = self._bridge.run_with_hooks(tokens, fwd_hooks=hooks)
            logits = logits if last is None else logits[:, last:]
        return metric_values(asked, logits).detach().float().cpu()

    def _outputs(self, tokens: Tensor, parts: Parts) -> Fill:
        """The outputs of parts on some prompts."""
        if self._decoder is None:
            return part_outputs(self._bridge, tokens, parts)
        return decoder_outputs(self._decoder, tokens, parts)


class PreparedPrompts:
    """A model with all the prompts that later calls will score.

    Args:
        model: a LoadedModel or a TransformerBridge.
        prompts: calls pass these objects, in any order and number.
        batch_tokens: tokens in one forward pass; halved for good when memory runs out.
        path: as in `headspex.hooks.forward.Prepared`.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[EncodedPrompt],
        *,
        batch_tokens: int | None = None,
        path: str = "auto",
    ) -> None:
        self.bridge, self._path = getattr(model, "bridge", model), path
        self._prompts = list({id(one): one for one in prompts}.values())
        self._number = {id(one): number for number, one in enumerate(self._prompts)}
        self._paths: dict[bool, MetricPath] = {}
        self._budget = TokenBudget(batch_tokens or tokens_of(self.bridge.original_model.device))

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
        masks = check_switches(self.bridge, keep_masks, keep_mlps)
        how = check_ablation(self.bridge, masks, ablation, fill, rescale, prompts)
        for row, one in enumerate(prompts):
            if id(one) not in self._number:
                raise UsageError(
                    f"row {row} asks a prompt that was not prepared; pass the objects that "
                    "PreparedPrompts was made with"
                )
        path = self._path_of_call()
        asked = [self._number[id(one)] for one in prompts]
        rows = masks.expand(len(prompts), -1, -1).cpu().numpy()
        work = plan_work(path.inputs, asked, rows)
        found = scores(path, work, how, self._budget, dtype=torch.float32, progress=progress)
        return found.double().numpy()

    def _path_of_call(self) -> MetricPath:
        decoder = self.decoder
        if (key := decoder is None) not in self._paths:
            tokens = self._budget.batch_tokens
            self._paths[key] = MetricPath(self.bridge, decoder, self._prompts, tokens)
        return self._paths[key]

    @property
    def decoder(self) -> Decoder | None:
        """The model in parts, where it replaces the bridge."""
        return None if has_hooks(self.bridge) else self._decoder

    @cached_property
    def _decoder(self) -> Decoder | None:
        """The model in parts, if it may replace the bridge."""
        if self._path == "bridge":
            return None
        # The last tokens of two short prompts serve as answers.
        able = [one.context for one in self._prompts if len(one.context) > 1]
        short = sorted(able, key=len)[:2]
        questions = [EncodedQuestion(tokens[:-1], (tokens[-1:],)) for tokens in short]
        if not questions:
            return None
        n_ctx = int(self.bridge.original_model.config.max_position_embeddings)
        inputs = plan_inputs(questions, n_ctx)
        decoder, reason = trusted_decoder(self.bridge, inputs, self._budget.batch_tokens)
        if decoder is None:
            say_slower(reason)
        return decoder
