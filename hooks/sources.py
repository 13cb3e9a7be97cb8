"""Where a model's files are: what a name on the command line stands for."""

import difflib
import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from headspex.errors import UsageError
from headspex.hooks.catalogue import ALIASES

TINY = "tiny"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Source:
    """A folder or a Hub repository that holds a model."""

    name: str  # as shown to the user
    location: str  # folder or Hub name, as transformers takes it
    revision: str | None
    on_hub: bool


def find_source(name: str, revision: str | None = None) -> Source:
    """What `name` stands for: "tiny", an alias, a folder or a Hub name, tried in this order.

    Raises:
        UsageError: it is none of them, or the folder holds no model.
    """
    if name == TINY:
        return _folder(name, Path(str(resources.files("headspex") / "tiny")), revision)
    if name.lower() in ALIASES:
        return Source(name, ALIASES[name.lower()], revision, on_hub=True)
    folder = Path(name).expanduser()
    if name and folder.is_dir():  # no name would be the folder we are in
        return _folder(name, folder, revision)
    if name and folder.exists():
        raise UsageError(f"{name} is a file, and a model is a folder; name the folder around it")
    if HUB_NAME.fullmatch(name):
        return Source(name, name, revision, on_hub=True)
    if os.sep in name or "\\" in name or name.startswith((".", "~")):
        raise UsageError(f"no folder {name}; check the path, or give a Hub name as org/name")
    close = difflib.get_close_matches(name.lower(), [TINY, *ALIASES], n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise UsageError(
        f"no model {name!r}{hint}; a model is a Hub name (org/name), a folder, or one of "
        f"{', '.join([TINY, *ALIASES])}"
    )


def _folder(name: str, folder: Path, revision: str | None) -> Source:
    if revision is not None:
        raise UsageError(
            f"a folder has no revisions, but --revision {revision} was given for {name}; "
            "leave it out"
        )
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{name} is no model: it has no config.json; "
            "name a folder that save_pretrained wrote, or a Hub name (org/name)"
        )
    return Source(name, str(folder), None, on_hub=False)
