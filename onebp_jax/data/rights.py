"""Files and folders that are there but may not be read."""

from __future__ import annotations

import os
from pathlib import Path

from onebp_jax.errors import UserError


def check_rights(path: Path) -> None:
    """Raises `UserError` if the file or folder may not be read, or lies in a folder that may not be entered."""
    try:
        path.stat()
        allowed = os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)
    except PermissionError:
        allowed = False
    except OSError:  # a missing file has its own message
        return
    if not allowed:
        raise UserError(
            f"{path}: no right to read it; ask its owner, or change its rights or those of its folder (chmod)"
        )
