"""The runs that an experiment of the paper needs: a function of the experiment and the configuration, without data.

    table2 table3             each row tuned on validation, then both protocols: see `reproduce`
    table5 fig4 fig7 fig8     OneBP, TwoBP and user-only, which `onebp_jax.analysis` looks at
    fig3                      each encoder with and without OneBP
    fig5                      OneBP against beta and against the number of negatives
    curves                    learning curves of OneBP, TwoBP and user-only

Runs of one configuration have one folder, so experiments share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onebp_jax.config import as_plain
from onebp_jax.config.fields import PROTOCOLS
from onebp_jax.errors import UserError, one_of
from onebp_jax.experiments.compare import variant
from onebp_jax.experiments.reproduce import final_folder, rows_of
from onebp_jax.experiments.search_space import Settings, settings, size
from onebp_jax.experiments.spaces import space_of
from onebp_jax.experiments.sweep import planned
from onebp_jax.methods.build import unused_fields

TABLES = {"table2": 2, "table3": 3}
# Experiments that `onebp_jax.analysis.study` answers, all of them at once.
ANALYSES = ("table5", "fig4", "fig7", "fig8")
# The quick ones come first.
EXPERIMENTS = ("curves", *ANALYSES, "fig5", "fig3", "table3", "table2")
# Encoder -> its method without OneBP, and with it.
ENCODERS = {"MF": ("twobp", "onebp"), "NGCF": ("ngcf", "onebp_ngcf"), "LightGCN": ("lightgcn", "onebp_lightgcn")}
# What Fig. 5 varies, one at a time. The paper's grid of beta is 1e-1 to 1e-6 below 1; that of negatives is not in its text.
VARIED = {"beta": (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999), "num_negatives": (1, 2, 5, 10, 20, 50)}
# The rows of each experiment that is no table.
METHODS = {
    "fig3": tuple(method for pair in ENCODERS.values() for method in pair),
    "fig5": ("onebp",),
    **dict.fromkeys(("curves", *ANALYSES), ("onebp", "twobp", "user_only")),
}


class Planned(NamedTuple):
    """A run that an experiment needs.

    Attributes:
      row: the row or point that it is for. seed: of the run. trial: whether it is of a search, which never reads the test set.
      folder: of the run, below that of all runs; None while the search before it has not chosen its settings.
      config: of the run, or None.
    """

    row: str
    seed: int
    trial: bool
    folder: Path | None
    config: Any = None


def plan(experiment: str, config, seeds: Sequence[int], trials: int = 1, methods: Sequence[str] = ()) -> list[Planned]:
    """The runs of an experiment, in the order in which they are made.

    Args:
      experiment: one of `EXPERIMENTS`. config: of all runs; a row changes what its spec says. seeds: of the final runs.
      trials: settings that are tried for each row on validation; 1: all rows have the settings of the config.
      methods: the rows in place of the experiment's own: `METHOD` or `METHOD:FIELD=VALUE:..`, of tables names alone.

    Raises:
      UserError: an unknown experiment, or a row that cannot be configured.
    """
    if experiment not in EXPERIMENTS:
        raise UserError(f"experiment={experiment!r}: expected {one_of(experiment, (*EXPERIMENTS, 'all'))}")
    if experiment in TABLES:
        rows, _ = rows_of(TABLES[experiment], methods)
        found = [run for method in rows.values() for run in trials_of(config, method, trials)]
        finals = [Planned(row, seed, False, None) for row in rows.values() for _ in PROTOCOLS for seed in seeds]
        return found + finals
    rows = rows_of_figure(experiment, config, methods)
    tuned = trials if experiment != "fig5" else 1
    searches = [run for row in rows if tuned > 1 for run in trials_of(config, row, tuned)]
    return searches + [final(config, row, seed, tuned == 1) for seed in seeds for row in rows]


def rows_of_figure(experiment: str, config, methods: Sequence[str] = ()) -> list[str]:
    """The specs of the rows of an experiment that is no table; raises `UserError` for one that it cannot show."""
    given = list(methods) or list(METHODS[experiment])
    if len(set(given)) < len(given):
        raise UserError(f"methods={','.join(given)}: expected each of them once")
    for spec in given:
        if spec.partition(":")[0] not in METHODS["fig3"] and experiment == "fig3":
            raise UserError(f"methods={spec!r}: Fig. 3 has {one_of(spec.partition(':')[0], METHODS['fig3'])}")
        variant(config, spec, config.seed, "methods")
    if experiment != "fig5":
        return given
    points = [(spec, field, value) for spec in given for field, values in VARIED.items() for value in values]
    return list(dict.fromkeys(point for one in points if (point := point_of(config, *one))))


def point_of(config, spec: str, field: str, value) -> str:
    """The spec of a point of Fig. 5; empty if the method does not use the field. The value that the spec has is not repeated."""
    base = variant(config, spec, config.seed, "methods")
    if field in unused_fields(base, [field]):
        return ""
    return spec if base[field] == value else f"{spec}:{field}={value}"


def tries_of(config, spec: str, trials: int) -> list[Settings]:
    """What the trials of a row change, the first of them nothing; fewer if the space of the method is smaller."""
    base = variant(config, spec, config.seed, "methods")
    space = space_of(str(as_plain(base)["method"]))
    return settings(base, space, int(min(trials, size(space))))


def trials_of(config, spec: str, trials: int) -> list[Planned]:
    """The trials of a row."""
    found = planned(config, Path("trials"), spec, tries_of(config, spec, trials))
    return [Planned(spec, config.seed, True, folder, trial) for _, trial, folder in found]


def final(config, spec: str, seed: int, known: bool = True) -> Planned:
    """The run of a row with one seed, whose test metrics count; without a folder if its settings are not known."""
    if not known:
        return Planned(spec, seed, False, None)
    made = variant(config, spec, seed, "methods")
    made.protocol, made.read_test = "honest", True
    return Planned(spec, seed, False, final_folder("honest", spec, made), made)
