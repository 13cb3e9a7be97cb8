"""Progress of anything that takes longer than two seconds, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headspex.support.interrupt import raise_if_interrupted


@contextmanager
def progress(total: int, what: str, *, unit: str = "passes") -> Iterator[Callable[[int], object]]:
    """A bar with rate and time left; call the yielded function with each number of finished units.

    Raises:
        KeyboardInterrupt: an earlier Ctrl-C was lost.
    """
    from tqdm.auto import tqdm  # in a notebook it draws a widget

    raise_if_interrupted()  # before something that takes long
    # A log file gets a line now and then, a terminal a moving bar.
    every = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(total=total, desc=what, unit=f" {unit}", mininterval=every, delay=2) as bar:
        yield bar.update
