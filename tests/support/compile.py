"""Machine code of the plainest kind for all tests and the programs that they start: it takes two fifths less time to make.

The programs in `jax.jit` stay what they are; only their last translation differs. A value of `$XLA_FLAGS` that the caller has set
stays: `XLA_FLAGS= python3 -m pytest` tests the machine code that users get.
"""

from __future__ import annotations

import mmap
import os
from importlib.util import find_spec
from pathlib import Path

PLAIN = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_use_fusion_emitters": "false",
}


def choose_plain_code() -> None:
    """Sets `$XLA_FLAGS`; must come before JAX makes its CPU client. An unknown flag would end the process, so it is left out."""
    if "XLA_FLAGS" not in os.environ:
        os.environ["XLA_FLAGS"] = " ".join(f"--{name}={value}" for name, value in PLAIN.items() if is_known(name))


def is_known(flag: str) -> bool:
    """Whether the installed jaxlib has the flag: its name, between zeros, stands in the library."""
    spec = find_spec("jaxlib")
    assert spec is not None and spec.origin is not None
    for path in Path(spec.origin).parent.glob("*.so*"):
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(b"\0" + flag.encode() + b"\0") >= 0:
                return True
    return False
