"""Modules that moved in 0.2.0: `import onebp_jax.parts` gives `onebp_jax.methods.parts` and a `DeprecationWarning`.

Config files and run folders of 0.1.0 name the old modules. `install` makes the old imports work, one at a time and only when
they are asked for. `current_id` translates the functions that a `config.json` names.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types
import warnings
from collections.abc import Sequence

# Old module -> the modules that now hold its names, the first one found wins. Below `onebp_jax.`.
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
    "reproduce": ("experiments.reproduce",),
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
# Old name of a moved module -> new name, in the modules above.
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
_ROOT = "onebp_jax."
_ID = re.compile(r"\bonebp_jax\.([\w.]+):(\w+)")


def current_id(text: str) -> str:
    """A callable id (see `onebp_jax.config.callables.callable_id`) with the modules and names of today.

    >>> current_id("onebp_jax.parts:average")
    'onebp_jax.methods.parts:average'
    """

    def today(found: re.Match) -> str:
        module, name = found[1], found[2]
        module = {"methods": ("methods.named",), "config": ("config.fields",), **MOVED}.get(module, (module,))[0]
        return f"{_ROOT}{module}:{RENAMED.get(name, name)}"

    return _ID.sub(today, text)


class _OldModule(types.ModuleType):
    """Stands for a module that moved: every name is looked up where it is now."""

    def __getattr__(self, name: str):
        for module in MOVED[self.__name__.removeprefix(_ROOT)]:
            found = importlib.import_module(_ROOT + module)
            for known in (name, RENAMED.get(name, name)):
                if hasattr(found, known):
                    return getattr(found, known)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the old modules, after Python's own finders have not."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: object = None):
        del path, target
        if fullname.startswith(_ROOT) and fullname.removeprefix(_ROOT) in MOVED:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        new = " and ".join(_ROOT + module for module in MOVED[spec.name.removeprefix(_ROOT)])
        warnings.warn(f"{spec.name} has moved to {new}", DeprecationWarning, stacklevel=2)
        return _OldModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        del module


def install() -> None:
    """Makes imports of the old modules work; does nothing the second time."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
