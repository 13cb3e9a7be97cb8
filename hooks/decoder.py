"""A decoder's forward pass in parts, by transformers' own modules of any family.

The model's code outside its layers (embedding, positions, final norm, logits) runs with stand-ins
for the layers, which record what the layers would get, or put a given state in their place.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headspex.hooks.attention import (
    Call,
    Heads,
    KeysFoundError,
    KeysValues,
    States,
    attending,
    edited_mlp,
    joined,
    register,
)
from headspex.hooks.linear import use_onednn
from headspex.hooks.offload import device_of, devices_of, fetch_for_calls, lacks_weights
from headspex.hooks.stock import Stock
from headspex.support.notice import first_line

# Attention that `headspex.hooks.attention` knows; others are chunked or linear.
ATTENTION = {"full_attention", "sliding_attention"}
# These rotate by the length of the longest input in the batch.
BY_LENGTH = ("dynamic", "longrope")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]  # of a layer, but the first


@dataclass(frozen=True, eq=False)
class Edit:
    """What is changed in a layer.

    Attributes:
        replaced: what replaces the heads' outputs; None: nothing.
        replaced_mlp: what replaces the MLP's output; None: nothing.
    """

    replaced: Callable[[Heads], Heads] | None = None
    replaced_mlp: Callable[[States], States] | None = None


UNCHANGED = Edit()


class Decoder:
    """The parts of a bridge's model; weights are shared, so in-place edits take effect.

    Args:
        bridge: a TransformerBridge with `hook_z`.

    Attributes:
        device: of the embedding.
        last: the last layer.
        vocabulary: number of logits at a position.
    """

    def __init__(self, bridge: Any) -> None:
        register()
        stock = Stock(bridge.original_model)
        self._model = stock.model
        use_onednn(self._model)
        self._layers: list[nn.Module] = [
            stock.copy_of(block.original_component) for block in bridge.blocks
        ]
        self._home = next(
            (module, name)
            for module in self._model.modules()
            for name, child in module.named_children()
            if isinstance(child, nn.ModuleList) and child[0] is self._layers[0]
        )
        self._width = int(bridge.cfg.d_model)
        for layer in range(len(self._layers)):
            if (mlp := getattr(bridge.blocks[layer], "mlp", None)) is not None:
                stock.copy_of(mlp.original_component).register_forward_hook(edited_mlp)
        if len(devices_of(self._model)) > 1:
            _move_inputs(self._model, self._layers)
        fetch_for_calls(self._model.modules())
        self._recorders = [_Recorder(layer) for layer in self._layers]
        self._stand_ins = nn.ModuleList(self._recorders)
        self._frames: dict[range, Sequence[Arguments]] = {}
        self.device = device_of(self._model)
        self.last = len(self._layers) - 1
        self.vocabulary = int(bridge.cfg.d_vocab)

    def embedded(self, tokens: Int[Tensor, "states pos"], start: int = 0) -> States:
        """The residual stream before the first layer, for tokens from position `start` on."""
        positions = torch.arange(start, start + tokens.shape[1])[None]
        self._record(input_ids=tokens.to(self.device), position_ids=positions.to(self.device))
        found: States = self._recorders[0].x
        return found

    def layer(
        self,
        x: States,
        index: int,
        edit: Edit = UNCHANGED,
        *,
        past: KeysValues | None = None,
    ) -> tuple[States, KeysValues]:
        """The residual stream after a layer, and the layer's keys and values.

        Args:
            x: the residual stream before it.
            index: of the layer.
            edit: what is changed in it.
            past: keys and values of the tokens before `x`, per state or one for all.
        """
        span = _span(x, past)
        call = Call(_positions(span), past=past, **vars(edit))
        y = self._through(x, index, call, self._frame_of(span))
        assert call.found is not None
        return y, call.found

    def keys_values(self, x: States, index: int, past: KeysValues | None = None) -> KeysValues:
        """Keys and values of a layer, those of the tokens before `x` first."""
        span = _span(x, past)
        call = Call(_positions(span), only_keys=True)
        with suppress(KeysFoundError):
            self._through(x, index, call, self._frame_of(span))
        assert call.found is not None
        return call.found if past is None else joined(past, call.found)

    def layer_at(
        self,
        x: States,
        index: int,
        queries: Int[Tensor, "states pos"],
        known: KeysValues,
        edit: Edit = UNCHANGED,
    ) -> States:
        """As `layer` at some positions only, with keys and values of all tokens.

        Args:
            x: the residual stream at these positions.
            index: of the layer.
            queries: the positions, counted from the first token of the input.
            known: from `keys_values`.
            edit: what is changed in the layer.
        """
        call = Call(queries, known=known, **vars(edit))
        return self._through(x, index, call, self._frame(queries))

    def logits(self, x: States) -> Float[Tensor, "states pos vocabulary"]:
        """Logits after the last layer."""
        given = torch.zeros(*x.shape[:2], self._width, dtype=x.dtype, device=self.device)
        positions = torch.zeros(1, x.shape[1], dtype=torch.long, device=self.device)
        logits: Tensor = self._run(x, inputs_embeds=given, position_ids=positions).logits
        return logits

    @cached_property
    def _devices(self) -> list[torch.device]:
        return [device_of(layer) for layer in self._layers]

    def _through(self, x: States, index: int, call: Call, frame: Sequence[Arguments]) -> States:
        device = self._devices[index]
        args, named = _moved(frame[index], device)
        call.queries = call.queries.to(device)
        with attending(call):
            found = self._layers[index](x.to(device), *args, **named)
        y: States = found[0] if isinstance(found, tuple) else found
        return y

    def _frame_of(self, span: range) -> Sequence[Arguments]:
        if span not in self._frames:
            self._frames[span] = self._frame(_positions(span))
        return self._frames[span]

    def _frame(self, positions: Int[Tensor, "states pos"]) -> Sequence[Arguments]:
        """What the model gives each layer at these positions, besides the residual stream."""
        home = self.device
        given = torch.zeros(*positions.shape, self._width, dtype=self._model.dtype, device=home)
        self._record(inputs_embeds=given, position_ids=positions.to(home))
        return [recorder.arguments for recorder in self._recorders]

    def _record(self, **inputs: Tensor) -> None:
        """Let recorders take what layers would get, and stop: logits at all positions cost much."""
        self._recorders[-1].stop = True
        try:
            with suppress(AllRecordedError):
                self._run(**inputs)
        finally:
            self._recorders[-1].stop = False

    def _run(self, given: States | None = None, **inputs: Tensor) -> Any:
        """The model's output with recorders for layers; the last one returns `given`."""
        self._recorders[-1].given = given
        try:
            with _in_place_of_layers(*self._home, self._stand_ins):
                return self._model(use_cache=False, **inputs)
        finally:
            self._recorders[-1].given = None


class AllRecordedError(Exception):
    """Ends a forward pass once the last recorder has its input."""


class _Recorder(nn.Module):
    """Stands in for a layer: records its input, and returns it or a given state, or stops."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.attention_type = getattr(layer, "attention_type", None)  # some models ask for it
        self.x: Any = None
        self.arguments: Arguments = ((), {})
        self.given: Tensor | None = None
        self.stop = False

    def forward(self, x: Tensor, *args: Any, **named: Any) -> Tensor:
        self.x, self.arguments = x, (args, named)
        if self.stop:
            raise AllRecordedError
        return x if self.given is None else self.given


@contextmanager
def _in_place_of_layers(home: nn.Module, name: str, layers: nn.ModuleList) -> Iterator[None]:
    real = home._modules[name]
    home._modules[name] = layers
    try:
        yield
    finally:
        home._modules[name] = real


def _move_inputs(model: nn.Module, layers: Sequence[nn.Module]) -> None:
    """Let modules outside layers move their inputs to their own device."""

    def move(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        return _moved(inputs, device_of(module))

    inside = {id(part) for layer in layers for part in layer.modules()}
    for module in model.modules():
        if id(module) not in inside and any(True for _ in module.parameters(recurse=False)):
            module.register_forward_pre_hook(move)


def _span(x: States, past: KeysValues | None) -> range:
    """The positions of `x`, which follow those of `past`."""
    start = 0 if past is None else past[0].shape[2]
    return range(start, start + x.shape[1])


def _positions(span: range) -> Int[Tensor, "1 pos"]:
    return torch.arange(span.start, span.stop)[None]


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(part, device) for part in value)
    if isinstance(value, dict):
        return {name: _moved(part, device) for name, part in value.items()}
    return value


def decoder_of(bridge: Any, longest: int) -> tuple[Decoder | None, str]:
    """A bridge's model in parts, or None and the reason why it cannot be run so.

    Args:
        bridge: a TransformerBridge.
        longest: tokens of the longest input.
    """
    config = bridge.original_model.config
    if getattr(bridge, "compatibility_mode", False):
        return None, "its weights are folded (compatibility mode)"
    if lacks_weights(bridge.original_model):
        return None, "some of its weights are not in memory"
    kinds = set(getattr(config, "layer_types", None) or ())
    if unknown := sorted(kinds - ATTENTION):
        return None, f"its attention is of the kind {unknown[0]}"
    rope = getattr(config, "rope_parameters", None) or {}
    original = rope.get("original_max_position_embeddings") or config.max_position_embeddings
    if rope.get("rope_type") in BY_LENGTH and longest > original:
        return None, f"its positions are of the type {rope['rope_type']} and inputs are longer"
    try:
        decoder = Decoder(bridge)
        with torch.no_grad():
            x = decoder.embedded(torch.zeros(1, 1, dtype=torch.long))
            decoder.keys_values(x, 0)
    except Exception as error:  # noqa: BLE001 - whatever a model's own code raises
        return None, f"its layers do not run one by one ({first_line(error)})"
    return decoder, ""
