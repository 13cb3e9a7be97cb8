"""`schedule.json`: a pruning order as a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from headspex.errors import UsageError
from headspex.players import Players
from headspex.units import plural

FORMAT = "headspex.schedule/1"


def dump(columns: Sequence[int], n_players: int, players: Players, fingerprint: str | None) -> str:
    """One line, first removed first; see `Schedule.to_json`."""
    check_players(n_players, players)
    heads = players.unit == "head"
    order = [players[i] if heads else players.label(i) for i in columns]
    made_for = {} if fingerprint is None else {"fingerprint": fingerprint}
    return json.dumps({"format": FORMAT, **made_for, "unit": players.unit, "order": order})


def load(text: str, players: Players, fingerprint: str | None) -> tuple[int, ...]:
    """The columns that `dump` wrote; see `Schedule.from_json`."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"not a schedule file: not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _refuse(f'the field "format" must be "{FORMAT}"')
    if document.keys() - {"fingerprint"} != {"format", "unit", "order"}:
        _refuse("its fields must be format, unit, order and fingerprint, and no others")
    if not isinstance(document.get("fingerprint", ""), str):
        _refuse("fingerprint must be a text")
    if fingerprint is not None:
        _check_made_for(document.get("fingerprint"), fingerprint)
    if document["unit"] != players.unit:
        _refuse(f'unit must be "{players.unit}", but it is {document["unit"]!r}')
    order, heads = document["order"], players.unit == "head"
    if not isinstance(order, list) or not all(map(_is_head if heads else _is_label, order)):
        _refuse(f"order must be a list of {'[layer, head]' if heads else 'labels such as L13M'}")
    try:
        return tuple(players.index(*x) if heads else players.parse_label(x) for x in order)
    except UsageError as error:
        raise UsageError(f"not a schedule of these players: {error}") from error


def _check_made_for(made_for: str | None, fingerprint: str) -> None:
    if made_for is None:
        print(
            "headspex: the schedule file has no fingerprint, so it cannot be checked against this "
            "model's weights",
            file=sys.stderr,
        )
    elif made_for != fingerprint:
        raise UsageError(
            f"the schedule was made for weights {made_for[:12]}, but this model has weights "
            f"{fingerprint[:12]}; take a schedule of this model"
        )


def _is_head(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(x) is int for x in value)


def _is_label(value: Any) -> bool:
    return isinstance(value, str)


def _refuse(reason: str) -> NoReturn:
    raise UsageError(f"not a schedule file: {reason}")


def check_players(n_players: int, players: Players) -> None:
    """Refuse another number of players than the schedule's."""
    if len(players) != n_players:
        raise UsageError(
            f"the schedule has {n_players} players, but {len(players)} "
            f"{plural(players.unit)} are given"
        )
