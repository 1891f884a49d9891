"""Names and fields that were renamed: the old name works, with a `DeprecationWarning` that gives the new one."""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


def _warn(old: str, new: str, depth: int = 3) -> None:
    warnings.warn(f"{old} is called {new} since onebp_jax 0.2.0", DeprecationWarning, stacklevel=depth)


def renamed_names(module: str, names: dict[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module in which names have changed.

    Args:
      module: its `__name__`.
      names: old name -> new name; with its module (`onebp_jax.engine.batches.batch_at`) if that is another one.
    """

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", names[name])
        place, _, new = names[name].rpartition(".")
        return getattr(importlib.import_module(place) if place else sys.modules[module], new)

    return __getattr__


def renamed_fields(**names: str) -> Callable[[Class], Class]:
    """A decorator of a `NamedTuple`: its fields can also be given, replaced and read by their old names.

    Args:
      names: old field -> new field.

    Raises:
      TypeError: later, where a field is given by both names.
    """

    def decorate(cls: Class) -> Class:
        create, replace = cls.__new__, cls._replace

        def translated(given: dict[str, Any]) -> dict[str, Any]:
            for old in names.keys() & given.keys():
                if names[old] in given:
                    raise TypeError(f"{cls.__name__} got {names[old]} and its old name {old}: give one of them")
                _warn(f"the field {old} of {cls.__name__}", names[old], depth=4)
            return {names.get(name, name): value for name, value in given.items()}

        @functools.wraps(create)
        def __new__(owner, *args, **given):
            return create(owner, *args, **translated(given))

        @functools.wraps(replace)
        def _replace(self, /, **given):
            return replace(self, **translated(given))

        def reader(old: str) -> property:
            def read(self):
                _warn(f"the field {old} of {cls.__name__}", names[old])
                return getattr(self, names[old])

            return property(read)

        cls.__new__, cls._replace = __new__, _replace
        for old in names:
            setattr(cls, old, reader(old))
        return cls

    return decorate
