"""A configuration as `config.json` holds it."""

from __future__ import annotations

import ml_collections

from onebp_jax.config.callables import callable_id


def as_plain(config: ml_collections.ConfigDict) -> dict:
    """The configuration as JSON-able values: functions as `callables.callable_id` names them, and only the given options.

    So a run folder stays valid when a later version has more options.
    """

    def plain(value):
        if isinstance(value, ml_collections.ConfigDict | dict):
            return {key: plain(inner) for key, inner in value.items()}
        return callable_id(value) if callable(value) else value

    given = {name: plain(value) for name, value in config.items()}
    if "options" in given:
        given["options"] = {name: value for name, value in given["options"].items() if value is not None}
    return given
