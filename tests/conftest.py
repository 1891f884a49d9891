"""Settings of every test: eight CPU devices; XLA on one thread, which small programs are faster on (see `cpu_threads`); plain
machine code (`support.compile`). With --as_for_gpu all programs are traced as for a GPU, and run here.

Many tests compile the same program, each through a `jit` of its own. What was compiled lies in a folder (`support.compiled`).
"""

import gc
import os
from pathlib import Path

import pytest
from support import compiled
from support.compile import choose_plain_code

os.environ.setdefault("NPROC", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
choose_plain_code()
gc.set_threshold(50_000, 20, 20)  # JAX makes many small objects, few of them garbage


TESTS = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--as_for_gpu", action="store_true", help="trace all programs as for a GPU")


def pytest_collection_modifyitems(items):
    from onebp_jax.benchmarks.gpu import ON_GPU

    for item in items:  # those of the package are its examples
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).as_posix().startswith(ON_GPU):
            item.add_marker("gpu")


def _runs_tests(config) -> bool:
    """Whether this process runs tests, or only hands them out to others."""
    return hasattr(config, "workerinput") or config.getoption("dist", "no") == "no"


def pytest_configure(config):
    if _runs_tests(config):
        import jax

        jax.config.update("jax_num_cpu_devices", 8)  # for the tests of several; all others use the first
        for name, value in compiled.settings().items():
            jax.config.update(name, value)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Fixtures and the test itself."""
    from onebp_jax.ops.gpu import trace_for_gpu

    with trace_for_gpu(item.config.getoption("as_for_gpu") or None):
        return (yield)


def pytest_collection_finish():
    gc.freeze()


def pytest_sessionfinish(session, exitstatus):
    if _runs_tests(session.config) and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        compiled.keep()
