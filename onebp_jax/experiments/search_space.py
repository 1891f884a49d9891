"""Spaces of settings for a search: their notation, and the settings of each trial.

A space is written `FIELD=VALUES,FIELD=VALUES`; fields are those of the config and `options.NAME` of a method; VALUES is

    a|b|c            one of these
    low:high         uniform between them; whole numbers where both are whole (`8:64`)
    low:high:log     log-uniform

The first trial is the config as it is. Later trials are stratified: each of `n` values comes once in `n` trials, each eighth of a
range once in eight, in random order, so that few trials cover the whole space. The draw of a field is a function of (search seed,
field, trial) alone: all methods get the same draws, and more trials or another field do not change earlier draws.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from onebp_jax.errors import UserError, one_of
from onebp_jax.experiments.compare import fields, literal

SEARCHES = ("random", "grid")
STRATA = 8  # of a range
# Other values of these fields would change the pairs that trials are measured on, or what a trial is.
FIXED = ("dataset", "split", "test_fraction", "split_seed", "user_column", "item_column", "time_column", "synthetic")
FIXED += ("method", "seed", "protocol", "validation_fraction", "validation", "eval_users", "read_test")


class Range(NamedTuple):
    """Numbers from `low` to `high`, uniform or log-uniform; whole numbers where both ends are."""

    low: float
    high: float
    log: bool = False


Space = dict[str, tuple | Range]
Settings = dict[str, object]


def parse(text: str) -> Space:
    """The space that a text describes (see the module); raises `UserError`."""
    space = {}
    for part in filter(None, text.split(",")):
        field, given, values = part.partition("=")
        if not given or not values:
            raise UserError(
                f"space={part!r}: expected FIELD=VALUES, such as 'learning_rate=1e-4:1e-2:log' or 'l2=0|1e-5'"
            )
        allowed = [name for name in fields() if name not in FIXED]
        if field not in allowed:
            why = (
                "is fixed in a search"
                if field in FIXED
                else f"is no field of the config, expected {one_of(field, allowed)}"
            )
            raise UserError(f"space={part!r}: {field!r} {why}")
        if field in space:
            raise UserError(f"space={text!r}: {field!r} is given twice")
        space[field] = _range(part, values.split(":")) if ":" in values else _values(part, values.split("|"))
    return space


def _values(part: str, texts: list[str]) -> tuple:
    values = tuple(literal(text) for text in texts)
    if "" in texts or len(set(texts)) < len(texts):
        raise UserError(f"space={part!r}: expected values that differ, as in 'l2=0|1e-6|1e-5'")
    return values


def _range(part: str, texts: list[str]) -> Range:
    low, high, *scale = (literal(text) for text in texts)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not -math.inf < low < high < math.inf or scale not in ([], ["log"]):
        raise UserError(f"space={part!r}: expected LOW:HIGH or LOW:HIGH:log with LOW below HIGH")
    if scale and low <= 0:
        raise UserError(f"space={part!r}: a logarithmic range begins above 0, got {low!r}")
    return Range(low, high, bool(scale))


def size(space: Space) -> float:
    """The number of settings in a space; infinite if it has a range."""
    return math.prod(len(values) if type(values) is tuple else math.inf for values in space.values())


def settings(config, space: Space, trials: int, search: str = "random", seed: int = 0) -> list[Settings]:
    """The changes of each trial: `{}` first, then distinct points of the space, none equal to the config's own."""
    own = {field: _get(config, field) for field in space}
    found, seen = [{}], [own]
    points = _grid(space) if search == "grid" else _random(space, seed)
    for point in itertools.islice(points, 1000 * trials):
        if len(found) == trials:
            break
        if point not in seen:
            seen.append(point)
            found.append(point)
    if len(found) < trials:
        raise UserError(f"trials={trials}: the space holds {len(found)} different settings, with the config's own")
    if search == "grid" and (left := size(space) - sum(point in seen for point in _grid(space))):
        raise UserError(f"trials={trials}: a grid search needs {trials + int(left)}, with the config's own settings")
    return found


def _grid(space: Space) -> Iterator[Settings]:
    for field, values in space.items():
        if isinstance(values, Range):
            raise UserError(f"space={field!r}: it is a range, and a grid search needs values, as in '{field}=1|2|3'")
    return (dict(zip(space, point, strict=True)) for point in itertools.product(*space.values()))


def _random(space: Space, seed: int) -> Iterator[Settings]:
    if not space:
        return
    for trial in itertools.count(1):
        yield {field: _draw(values, field, seed, trial) for field, values in space.items()}


def _draw(values: tuple | Range, field: str, seed: int, trial: int):
    number = STRATA if isinstance(values, Range) else len(values)
    block, place = divmod(trial - 1, number)
    within = np.random.Generator(np.random.PCG64([seed, block, zlib.crc32(field.encode())]))
    stratum = int(within.permutation(number)[place])
    if not isinstance(values, Range):
        return values[stratum]
    low, high, log = values
    whole = isinstance(low, int) and isinstance(high, int)
    share = (stratum + within.random(number)[place]) / number
    if whole and not log:
        return low + int(share * (high - low + 1))
    drawn = low * (high / low) ** share if log else low + share * (high - low)
    # Three digits, so that the printed value is exactly the value that is run.
    return round(drawn) if whole else min(max(float(f"{drawn:.3g}"), low), high)


def _get(config, field: str):
    return config.options[field.removeprefix("options.")] if "." in field else config[field]


def plain(space: Space) -> dict:
    """The space as JSON-able values."""
    return {field: values._asdict() if isinstance(values, Range) else list(values) for field, values in space.items()}
