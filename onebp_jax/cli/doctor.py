"""What a report of a problem needs to say: versions, devices, data folders, extras. No part of it can make it fail."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from onebp_jax.cli.shipped import shipped

_DISTRIBUTION = "onebp-jax"
_ABSENT = "not installed"


def report() -> str:
    """The report, ready to print."""
    sections = {"Package": _package, "Needs": _needs, "Devices": _devices, "Data": _data, "Extras": _extras}
    return "\n".join(line for title, told in sections.items() for line in [f"{title}:", *_safely(told)])


def _safely(told: Callable[[], list[str]]) -> list[str]:
    try:
        return [f"  {line}" for line in told()]
    except Exception as error:  # whatever is broken here is what the report is for
        return [f"  cannot be told ({type(error).__name__}: {' '.join(str(error).split())[:200]})"]


def _package() -> list[str]:
    lines = [f"Python {platform.python_version()} on {platform.platform()}"]
    lines.append(f"{_DISTRIBUTION} {_version(_DISTRIBUTION)}, programs in {shipped('launch')}")
    return lines


def _version(name: str) -> str:
    """The version of a package, or `_ABSENT`."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return _ABSENT


def _required(package: str, extra: str = "") -> list[tuple[str, list[str]]]:
    """`(name, extras)` of each package that an extra of an installed package needs; "" is the package itself."""
    found = []
    for line in metadata.requires(package) or []:
        parts = re.match(r"([\w.-]+)\s*(?:\[([^]]*)\])?", line)
        wanted = re.search(r"extra == [\"']([\w.-]+)", line)
        if parts and (wanted[1] if wanted else "") == extra:
            found.append((parts[1], [name.strip() for name in (parts[2] or "").split(",") if name.strip()]))
    return found


def _missing(package: str, extra: str) -> list[str]:
    """The packages that an extra needs, itself and through extras of other packages, and that are not installed."""
    found = []
    for name, extras in _required(package, extra):
        if _version(name) == _ABSENT:
            found.append(name)
        else:
            found += [one for inner in extras for one in _missing(name, inner)]
    return found


def _needs() -> list[str]:
    return [f"{name} {_version(name)}" for name, _ in _required(_DISTRIBUTION)]


def _devices() -> list[str]:
    import jax

    devices = jax.devices()
    return [f"{len(devices)} {devices[0].platform} ({devices[0].device_kind}); JAX uses these by default"]


def _data() -> list[str]:
    from onebp_jax.data.catalogue import NAMES, data_folders

    lines, missing = [], [name for name in NAMES if name != "synthetic"]
    for named, folder in data_folders().items():
        there = [name for name in missing if any((folder / name).glob("train.*"))]
        missing = [name for name in missing if name not in there]
        what = ", ".join(there) or ("no sets" if folder.is_dir() else "no such folder")
        lines.append(f"{named} {_shown(folder)}: {what}")
    return [*lines, f"downloaded when first used: {', '.join(missing)}"] if missing else lines


def _shown(folder: Path) -> str:
    """The folder as text, also where its name is in no encoding."""
    return str(folder).encode(errors="backslashreplace").decode()


def _extras() -> list[str]:
    lines = []
    for extra in metadata.metadata(_DISTRIBUTION).get_all("Provides-Extra", []):
        missing = ", ".join(dict.fromkeys(_missing(_DISTRIBUTION, extra)))
        install = f"python -m pip install '{_DISTRIBUTION}[{extra}]'"
        lines.append(f"{extra}: no {missing} ({install})" if missing else f"{extra}: installed")
    return lines
