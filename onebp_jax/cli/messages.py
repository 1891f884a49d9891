"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re
import sys

from absl import flags

from onebp_jax.config.fields import FIELDS

_ROOM = __name__.rpartition(".")[0]
# The flags of an argument that has another name; a program has one of them.
_FLAGS_OF = {"driver": ("parallel",), "spec": ("methods", "method")}
# A quoted text or a list of names, or a name: with `=`, or alone before a blank or a mark. A name in a path is none.
_NAMED = re.compile(
    r"""(?<!\w)(?:'[^']*'|"[^"]*")|(?:expected one of|the nearest:|\b(?:it|the files?) ha(?:s|ve)) [^;(]*|"""
    r"(?:^|(?<=[ (]))(?P<name>[a-z]\w*)(?P<part>\.\w+)?(?:(?P<equals>=)(?P<true>True\b)?|(?=[ ,;:)]|\.?$)(?! is ))"
)
# A name of one word is meant as one after these.
_ADVICE = re.compile(r"\b(?:set|use|lower|raise) $")


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

    It replaces only names of flags and fields that the program has. A name of one word without `=`, which may be a plain word, is
    replaced only in advice (`set encoding`) and before `must be`. What is quoted or listed stays, and so does what is said of a
    quoted row (`spec='onebp:dim=0': dim=0: ...`). A switch that is on is the plain flag: `skip_unknown=True` becomes
    `--skip_unknown`.
    """
    own = own_flags()

    def flag(found: re.Match[str]) -> str:
        name, part, equals, true = found.group("name", "part", "equals", "true")
        before, after = message[: found.start()], message[found.end() :]
        sure = (
            equals
            or ("_" in (name or "") and not part)
            or _ADVICE.search(before)
            or (not before and after.startswith(" must be "))
        )
        if not name or not sure or before.endswith(("': ", "<= ")):
            return found[0]
        for known in _FLAGS_OF.get(name, (name,)):
            if known in own and not part:
                return f"--{known}" if true and own[known].boolean else f"--{known}{equals or ''}{true or ''}"
        field = FIELDS.get(name)
        if field is None or "config" not in own or (part and not isinstance(field.default, dict)):
            return found[0]
        return f"--config.{found[0]}"

    return _NAMED.sub(flag, message)
