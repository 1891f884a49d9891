"""Which settings of a configuration a method never looks at."""

from __future__ import annotations

from collections.abc import Iterable

import ml_collections

from onebp_jax import methods
from onebp_jax.config import default_config

# What some methods read and others do not; every trained one reads the rest.
_FIELDS = (
    "dim",
    "beta",
    "duplicates",
    "normalize",
    "table_dtype",
    "temperature",
    "optimizer",
    "transform",
    "row_counts",
)
_FIELDS += ("learning_rate", "l2", "num_negatives", "shared_negatives", "negative_alpha", "hide_touched")


class _Watched(ml_collections.ConfigDict):
    """A copy of a configuration that remembers which fields were read."""

    def __init__(self, config):
        object.__setattr__(self, "read", set())
        super().__init__(config)
        self.read.clear()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


def without_effect(config, among: Iterable[str] | None = None) -> list[str]:
    """The fields `among` those given (else: those that differ from their default) that have no effect on the method.

    Found out by building the method and seeing what is read. A method that is a function of the user's own may read fields in
    ways that are not seen: then nothing is said.
    """
    if callable(config.method):
        return []
    default, watched = default_config(), _Watched(config)
    untrained = isinstance(methods.build(watched), methods.Baseline)
    if among is None:
        among = [field for field in _FIELDS if config[field] != default[field]]
    idle = lambda field: field not in watched.read and (field in _FIELDS or untrained)
    return [field for field in among if idle(field) and not field.startswith("options.")]
