"""Settings of every test: eight CPU devices; XLA on one thread, which small programs are faster on (see `cpu_threads`).

Many tests compile the same program, each through a `jit` of its own: a folder that lives as long as the process keeps what it
has compiled. No two processes share one, because JAX does not write its entries in one piece.
"""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("NPROC", "1")

import jax  # noqa: E402 (it reads NPROC)

_COMPILED = tempfile.mkdtemp(prefix="onebp-tests-")
atexit.register(shutil.rmtree, _COMPILED, ignore_errors=True)
jax.config.update("jax_num_cpu_devices", 8)  # for the tests of several; all others use the first
jax.config.update("jax_compilation_cache_dir", _COMPILED)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
