"""What `--help` prints: the program's own text, its flags, the fields of the config in groups, the methods, and last the devices.

Lines fit into 100 columns.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from absl import flags

from onebp_jax.cli.messages import own_flags
from onebp_jax.config.fields import GROUPS
from onebp_jax.methods.build import described

WIDTH = 100
_NAME = 24  # the columns of names, with the blanks around them
_ORDER = {
    "config": 0,
    "input": 0,
    "workdir": 1,
    "data_dir": 3,
    "compilation_cache_dir": 4,
}  # the program's other flags: 2
_DEVICES = "onebp_jax.cli.devices"


def text(doc: str) -> str:
    """The help of the running program, whose own text is `doc`."""
    own = own_flags()
    devices = flags.FLAGS.flags_by_module_dict().get(_DEVICES, [])
    known = sorted(own.keys() - {flag.name for flag in devices}, key=lambda name: (_ORDER.get(name, 2), name))
    lines = _wrapped(doc)
    if known:
        lines += ["", "Flags (defaults in brackets):", *_flags(own[name] for name in known)]
    if "config" in own:
        lines += [
            "",
            "Fields of the config, set by --config.FIELD=VALUE (defaults in brackets; a config changes some):",
        ]
        for group, fields in GROUPS.items():
            lines += ["", f"{group} fields:"]
            for name, field in fields.items():
                lines += _entry(name, _with_default(field.help, field.default))
        lines += ["", "Methods, --config.method=NAME (options, --config.options.OPTION=VALUE, in brackets):", ""]
        for line in described():
            name, _, about = line.partition(": ")
            lines += _entry(name, about)
    if devices:
        lines += ["", "Devices:", *_flags(devices)]
    return "\n".join(lines)


def _flags(known: Iterable[flags.Flag]) -> list[str]:
    return [line for flag in known for line in _entry(f"--{flag.name}", _with_default(flag.help, flag.default))]


def _with_default(help: str, default: object) -> str:
    """The help of a flag or field and its default; an empty default is not shown, the help says what it means."""
    # The flags' package writes the values of an enumeration in front of its help.
    if values := re.match(r"<(.*)>:\s+", help):
        help = f"{help[values.end() :]} One of {values[1].replace('|', ', ')}."
    help = re.sub(r"\.;\s+repeat this option.*", ".", help, flags=re.DOTALL)  # it writes this after that of a list
    if isinstance(default, list | tuple):
        default = ",".join(map(str, default))
    if isinstance(default, dict):
        default = ", ".join(f"{name}={value}" for name, value in default.items())
    return help if default is None or default == "" else f"{help} [{default}]"


def _entry(name: str, about: str) -> list[str]:
    """A name and what it is, in two columns."""
    indent = " " * _NAME
    lines = textwrap.wrap(about, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    if len(name) > _NAME - 4:
        return [f"  {name}", *lines]
    return [f"  {name}".ljust(_NAME) + lines[0].lstrip(), *lines[1:]]


def _wrapped(doc: str) -> list[str]:
    """The paragraphs of a docstring; indented lines, which are commands, stay as they are."""
    lines = []
    for paragraph in doc.strip().split("\n\n"):
        kept = paragraph.startswith("  ")
        wrapped = paragraph.split("\n") if kept else textwrap.wrap(paragraph, WIDTH, break_on_hyphens=False)
        lines += [*wrapped, ""]
    return lines[:-1]
