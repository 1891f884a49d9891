"""What made a result: Python, the packages that compute, and the device."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform

import jax


def versions() -> dict[str, str]:
    """What made a result: Python, the packages that compute, and the device."""
    found = {}
    for name in ("onebp-jax", "jax", "jaxlib", "flax", "optax", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {"python": platform.python_version(), **found, "device": jax.devices()[0].device_kind}
