"""Where a model's files are, by the name that the user gives."""

import difflib
import os
import re
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from headspex.errors import UsageError, argument
from headspex.hooks.adapters import base_of, check_adapter, is_adapter
from headspex.hooks.catalogue import ALIASES
from headspex.hooks.gguf_file import SUFFIX, only_gguf
from headspex.support.notice import say_once

TINY = "tiny"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Source:
    """A folder or a Hub repository that holds a model, and an adapter to merge.

    Attributes:
        name: as shown to the user.
        location: a folder or Hub name, as transformers takes it.
        revision: of a Hub repository.
        on_hub: whether `location` is a Hub name.
        gguf: name of the GGUF file in the folder, if the model is one.
        adapter: folder of a PEFT adapter to merge into the weights.
    """

    name: str
    location: str
    revision: str | None
    on_hub: bool
    gguf: str | None = None
    adapter: Path | None = None


def find_source(
    name: str, revision: str | None = None, adapter: str | os.PathLike[str] | None = None
) -> Source:
    """The model of this name.

    A name is tried as "tiny", an alias, a folder, a GGUF file and a Hub name, in this order. A
    folder that holds only an adapter means its base model with the adapter merged.

    Args:
        name: as the user gave it.
        revision: of a model on the Hub.
        adapter: a folder with a PEFT adapter to merge.

    Raises:
        UsageError: not a name, a file or a folder with a model.
    """
    source = _found(name, revision)
    if adapter is not None:
        if source.adapter is not None:
            raise UsageError(
                f"only one adapter can be merged, but {name} is one and {argument('adapter')} is "
                f"{adapter}; give the base as {argument('model')}, or merge the first one and save "
                "the model"
            )
        source = replace(source, adapter=Path(adapter).expanduser())
    if source.adapter is not None:
        check_adapter(source.adapter)
    elif not source.on_hub and is_adapter(Path(source.location)):
        say_once(
            f"the adapter beside the weights of {name} is ignored; {argument('adapter')} "
            f"{source.location} merges it"
        )
    return source


def _found(name: str, revision: str | None) -> Source:
    if name == TINY:
        return _folder(name, Path(str(resources.files("headspex") / "tiny")), revision)
    if name.lower() in ALIASES:
        return Source(name, ALIASES[name.lower()], revision, on_hub=True)
    folder = Path(name).expanduser()
    if name and folder.is_dir():  # an empty name would mean the current folder
        return _folder(name, folder, revision)
    if name and folder.is_file() and folder.suffix.lower() == SUFFIX:
        _refuse_revision(name, revision)
        return Source(name, str(folder.parent), None, on_hub=False, gguf=folder.name)
    if name and folder.exists():
        raise UsageError(
            f"{name} is a file, and a model is a folder or a {SUFFIX} file; name the folder "
            "around it"
        )
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
    _refuse_revision(name, revision)
    gguf = only_gguf(folder)
    if gguf is not None:
        return Source(name, str(folder), None, on_hub=False, gguf=gguf)
    if (folder / "config.json").is_file():
        return Source(name, str(folder), None, on_hub=False)
    if is_adapter(folder):
        return _adapted(name, folder)
    raise UsageError(
        f"{name} is not a model: it has no config.json and no {SUFFIX} file; "
        "name a folder that save_pretrained wrote, or a Hub name (org/name)"
    )


def _adapted(name: str, folder: Path) -> Source:
    """The base model of an adapter, with the adapter to merge."""
    base, revision = base_of(folder)
    local = Path(base).expanduser().exists()
    try:
        found = _found(base, None if local else revision)
    except UsageError as error:
        raise UsageError(
            f"{name} is an adapter of {base}, which cannot be found ({error}); give the base as "
            f"{argument('model')}, and {name} as {argument('adapter')}"
        ) from error
    if found.adapter is not None:
        raise UsageError(
            f"{name} is an adapter of {base}, which is itself an adapter; merge {base}, save the "
            f"model, and give it as {argument('model')}, with {name} as {argument('adapter')}"
        )
    return replace(found, name=name, adapter=folder)


def _refuse_revision(name: str, revision: str | None) -> None:
    if revision is not None:
        raise UsageError(
            f"a folder has no revisions, but {argument('revision')} {revision} was given for "
            f"{name}; leave it out"
        )
