"""A cache of tensors that forgets those unused for longest when they take too many bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import torch

KEPT_BYTES_CPU = 2 * 2**30
KEPT_SHARE_GPU = 0.25  # of the memory that is free when a study begins


class Sized(Protocol):
    """What is kept: a tensor, or several."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


class Kept(Generic[K, V]):
    """Values by key, the last used ones, within a limit in bytes; at least one.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made if it is not kept."""
        return self.all([key], lambda keys: [make()])[key]

    def all(self, keys: Iterable[K], make: Callable[[list[K]], Sequence[V]]) -> dict[K, V]:
        """The values of some keys; those that are not kept are made together."""
        wanted = list(dict.fromkeys(keys))
        new = [key for key in wanted if key not in self._values]
        for key, value in zip(new, make(new) if new else (), strict=True):
            self._values[key] = value
            self._bytes += value.nbytes
        found = {key: self._values[key] for key in wanted}
        for key in wanted:
            self._values.move_to_end(key)
        while self._bytes > self._limit and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1].nbytes
        return found


def limit_of(device: torch.device) -> int:
    """Bytes that a cache on a device may take."""
    if device.type != "cuda":
        return KEPT_BYTES_CPU
    return int(KEPT_SHARE_GPU * torch.cuda.mem_get_info(device)[0])
