"""The folders `launch/` and `configs/`, in an installed package and in a checkout."""

from __future__ import annotations

from pathlib import Path

import onebp_jax


def shipped(folder: str) -> Path:
    """`launch` or `configs`: in an installed package inside of it, in a checkout beside it."""
    package = Path(onebp_jax.__file__).parent
    return package / folder if (package / folder).is_dir() else package.parent / folder
