"""Modules that moved in 0.2.0: `import onebp_jax.parts` gives the names of `onebp_jax.methods.parts` and a warning.

Config files and run folders of 0.1.0 name the old modules. `install` makes the old imports work. `current_id` translates the
functions that a `config.json` names.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import re
import sys
import types
import warnings
from collections.abc import Sequence

# Old module -> the modules that now hold its names. If two hold the same name, the first counts. All below `onebp_jax.`.
MOVED = {
    "backward": ("engine.backward",),
    "baselines": ("methods.baselines",),
    "benchmark": ("benchmarks.step",),
    "benchmark_devices": ("benchmarks.devices",),
    "benchmark_quality": ("benchmarks.quality",),
    "benchmark_ranking": ("benchmarks.ranking",),
    "building": ("methods.build",),
    "checkpoint": ("training.checkpoint",),
    "cli_layout": ("cli.devices",),
    "compare": ("experiments.compare",),
    "encoders.detached": ("encoders.stop_user_gradient",),
    "geometry": ("ops.geometry",),
    "own_functions": ("config.callables",),
    "parallel.placement": ("training.placement",),
    "parts": ("methods.parts",),
    "peers": ("benchmarks.peers",),
    "progress": ("training.progress",),
    "published": ("experiments.published",),
    "report": ("experiments.report",),
    "reproduce": ("experiments.reproduce", "experiments.spaces"),
    "reproduce_report": ("experiments.report",),
    "rows": ("ops.rows",),
    "run_folder": ("training.run_folder",),
    "runner": ("training.runner",),
    "samplers.without_new": ("samplers.exclude_cold_items",),
    "search_space": ("experiments.search_space",),
    "signals": ("training.signals", "parallel.processes"),
    "sources": ("training.feed", "data.evaluation_pairs", "data.fingerprint"),
    "spread": ("engine.collectives",),
    "step": ("engine.step",),
    "sweep": ("experiments.sweep",),
    "train": ("training.train", "training.versions", "evaluation.measure"),
}
# Old name in a moved module -> new name.
RENAMED = {
    "ALONE": "SINGLE_DEVICE",
    "Spread": "Collectives",
    "build": "build_method",
    "detached": "stop_user_gradient",
    "faults_named": "user_error_context",
    "made": "call_user_function",
    "wide": "to_float32",
    "without_effect": "unused_fields",
    "without_new": "exclude_cold_items",
    "written": "callable_id",
}
# Modules that became rooms, and the module of the room that holds what a config file could name.
_ROOMS = {"config": "config.fields", "methods": "methods.named"}
_ROOT = "onebp_jax."
_ID = re.compile(r"\bonebp_jax\.([\w.]+):(\w*)")


def current_id(text: str) -> str:
    """A callable id (see `onebp_jax.config.callables.callable_id`) of 0.1.0 with the modules and names of today.

    >>> current_id("onebp_jax.parts:average")
    'onebp_jax.methods.parts:average'
    """

    def translated(found: re.Match[str]) -> str:
        module, name = found[1], found[2]
        if module in MOVED:
            return f"{_ROOT}{MOVED[module][0]}:{RENAMED.get(name, name)}"
        return f"{_ROOT}{_ROOMS.get(module, module)}:{name}"

    return _ID.sub(translated, text)


class _OldModule(types.ModuleType):
    """Holds the names of a module that moved.

    Python makes an imported module an attribute of its package, so that after `import onebp_jax.samplers.without_new` the
    name `samplers.without_new` means the module, no longer the function. Therefore the module can be called like its function.
    """

    def __call__(self, *args, **kwargs):
        return vars(self)[self.__name__.rpartition(".")[2]](*args, **kwargs)


class _OldModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads the old modules; asked only for modules that Python itself does not find."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None):
        if fullname.startswith(_ROOT) and fullname.removeprefix(_ROOT) in MOVED:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        places = [_ROOT + place for place in MOVED[module.__name__.removeprefix(_ROOT)]]
        warnings.warn(f"{module.__name__} has moved to {' and '.join(places)}", DeprecationWarning, stacklevel=2)
        names = vars(module)
        for place in places:
            now = vars(importlib.import_module(place))
            old = {name: now[new] for name, new in RENAMED.items() if new in now}
            for name, value in (old | now).items():
                names.setdefault(name, value)


def install() -> None:
    """Makes imports of the old modules work; does nothing the second time."""
    if not any(isinstance(finder, _OldModules) for finder in sys.meta_path):
        sys.meta_path.append(_OldModules())
