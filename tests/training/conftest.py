"""Runs of one configuration share one jitted scan: a module of tests traces and compiles each program once, not once a run."""

import json

import pytest

from onebp_jax.config import as_plain
from onebp_jax.training import runner

# Fields that no step depends on.
OF_THE_LOOP = ("epochs", "patience", "eval_every", "checkpoint_seconds", "steps_per_call", "refit")


@pytest.fixture(scope="module")
def shared_scan():
    """For modules that train many small runs in one process; everything but the scan stays each run's own."""
    prepare, make_scan, made = runner.prepare, runner.make_scan, {}
    with pytest.MonkeyPatch.context() as patch:

        def prepare_sharing(config, method, dataset, layout=None, init=None):
            fields = {name: value for name, value in as_plain(config).items() if name not in OF_THE_LOOP}
            key = json.dumps(fields, sort_keys=True, default=str), repr(layout)
            patch.setattr(runner, "make_scan", lambda *given: made.setdefault(key, make_scan(*given)))
            return prepare(config, method, dataset, layout, init)

        patch.setattr(runner, "prepare", prepare_sharing)
        yield
