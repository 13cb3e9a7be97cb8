"""`schedule.json`: a pruning order as a file."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from headspex.errors import UsageError
from headspex.players import Players
from headspex.schedules.schedule import Schedule, check_players

FORMAT = "headspex.schedule/1"


def dump(schedule: Schedule, players: Players) -> str:
    """One line, first removed first."""
    check_players(schedule.n_players, players)
    heads = players.unit == "head"
    order = [players[i] if heads else players.label(i) for i in schedule.order]
    return json.dumps({"format": FORMAT, "unit": players.unit, "order": order})


def load(text: str, players: Players) -> Schedule:
    """Read what `dump` wrote.

    Raises:
        UsageError: not a schedule of this format, or not of `players`.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"not a schedule file: not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _refuse(f'the field "format" must be "{FORMAT}"')
    if document.keys() != {"format", "unit", "order"}:
        _refuse("its fields must be format, unit and order, and no others")
    if document["unit"] != players.unit:
        _refuse(f'unit must be "{players.unit}", but it is {document["unit"]!r}')
    order, heads = document["order"], players.unit == "head"
    if not isinstance(order, list) or not all(map(_is_head if heads else _is_label, order)):
        _refuse(f"order must be a list of {'[layer, head]' if heads else 'labels such as L13M'}")
    try:
        columns = tuple(players.index(*x) if heads else players.parse_label(x) for x in order)
        return Schedule(columns, len(players))
    except UsageError as error:
        raise UsageError(f"not a schedule of these players: {error}") from error


def _is_head(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(x) is int for x in value)


def _is_label(value: Any) -> bool:
    return isinstance(value, str)


def _refuse(reason: str) -> NoReturn:
    raise UsageError(f"not a schedule file: {reason}")
