"""What runs are called beside each other: by their methods, and by what else differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ml_collections

from onebp_jax.config import OPERATIONAL, as_plain
from onebp_jax.config.fields import FIELDS

# Most fields that a name holds.
_MOST = 3


def settings(config: ml_collections.ConfigDict) -> dict[str, object]:
    """What decides a run without its seed, as `{"dim": 32, "options.margin": 0.5}`; options that are not given are left out."""
    return {field: value for field, value in flat(as_plain(config)).items() if field not in (*OPERATIONAL, "seed")}


def flat(plain: Mapping[str, object]) -> dict[str, object]:
    """A configuration with the fields within fields as `options.margin`."""
    found: dict[str, object] = {}
    for field, value in plain.items():
        found |= (
            {f"{field}.{name}": one for name, one in value.items()} if isinstance(value, Mapping) else {field: value}
        )
    return found


def names_of(runs: Sequence[tuple[str, ml_collections.ConfigDict]]) -> list[str]:
    """A name for each run, out of its label and its config: runs have the same name if they differ in seeds only.

    It is the label of the method, and where several settings have one label, the fields that they differ in:
    `onebp (dim=64)`. A field that alone tells them apart is enough.
    """
    labels, decided = [label for label, _ in runs], [settings(config) for _, config in runs]
    names = list(labels)
    for label in set(labels):
        own = [at for at, one in enumerate(labels) if one == label]
        different: list[dict] = []
        for at in own:
            if decided[at] not in different:
                different.append(decided[at])
        if len(different) > 1:
            fields = _telling(different)
            for at in own:
                given = ", ".join(f"{field}={decided[at].get(field)}" for field in fields[:_MOST])
                more = f", no. {different.index(decided[at]) + 1}" if len(fields) > _MOST else ""
                names[at] = f"{label} ({given}{more})"
    return names


def _telling(different: Sequence[dict]) -> list[str]:
    """The fields in which settings differ: one alone, if its values are all different, else all of them."""
    known = sorted({field for one in different for field in one}, key=_place)
    values = lambda field: {repr(one.get(field)) for one in different}
    fields = [field for field in known if len(values(field)) > 1]
    return next(([field] for field in fields if len(values(field)) == len(different)), fields)


def _place(field: str) -> tuple:
    """The protocol comes first, then the fields in their order."""
    order = list(FIELDS)
    name = field.partition(".")[0]
    return (name != "protocol", order.index(name) if name in order else len(order), field)
