"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re
import sys

from absl import flags

from onebp_jax.config.fields import FIELDS

_ROOM = __name__.rpartition(".")[0]
# The flags of an argument that has another name; a program has one of them.
_FLAGS_OF = {"driver": ("parallel",), "spec": ("methods", "method")}
# The beginning of a message, and what it advises. Elsewhere a message may quote text that only looks like a flag.
_NAMED = re.compile(r"(^|\b(?:use|or|give|set|expected) )([a-z_]\w*)((?:\.\w+)?=)(True\b)?")


def own_flags(room: str = _ROOM) -> dict[str, flags.Flag]:
    """Name -> flag, of the flags that the program itself and the modules of a room define."""
    return {
        flag.name: flag
        for module, defined in flags.FLAGS.flags_by_module_dict().items()
        if module in ("__main__", sys.argv[0]) or f"{module}.".startswith(f"{room}.")
        for flag in defined
    }


def with_flags(message: str) -> str:
    """The message with flags in place of names: `k=0: ...` becomes `--k=0: ...`, and `dim=0: ...` `--config.dim=0: ...`.

    It replaces only names of flags and fields that the program has, at the beginning and in advice (`use tables=replicated`).
    A switch that is on is the plain flag: `set skip_unknown=True` becomes `set --skip_unknown`.
    """
    own = own_flags()

    def flag(found: re.Match[str]) -> str:
        before, name, rest, true = found.groups("")
        for known in _FLAGS_OF.get(name, (name,)):
            if known in own and not rest.startswith("."):
                return f"{before}--{known}" + ("" if true and own[known].boolean else rest + true)
        return f"{before}--config.{name}{rest}{true}" if name in FIELDS and "config" in own else found[0]

    return _NAMED.sub(flag, message)
