"""`jit` for tests of what a program computes: machine code of the plainest kind, which takes a third less time to make.

Tests of how a program is compiled, of its bits beside another one's, and of whole runs use `jax.jit` as it is.
"""

from __future__ import annotations

import functools

import jax

PLAINEST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
fast_compile_jit = functools.partial(jax.jit, compiler_options=PLAINEST)
