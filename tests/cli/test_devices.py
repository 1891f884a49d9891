"""What programs set before JAX looks for devices."""

import os
from types import SimpleNamespace

import pytest

from onebp_jax.cli import devices

ZERO = "--xla_gpu_autotune_level=0"


@pytest.mark.parametrize(
    "plugin, given, expected",
    [
        ("xla_cuda12", "", ZERO),
        ("xla_cuda13", "--xla_dump_to=x", f"--xla_dump_to=x {ZERO}"),
        ("xla_cuda12", "--xla_gpu_autotune_level=4", "--xla_gpu_autotune_level=4"),
        ("tpu", "", ""),
        (None, "", ""),
    ],
)
def test_matrix_products_are_not_timed_where_there_may_be_a_gpu(plugin, given, expected, monkeypatch):
    found = [SimpleNamespace(name=plugin)] if plugin else []
    monkeypatch.setattr(devices, "entry_points", lambda group: found if group == "jax_plugins" else [])
    monkeypatch.setenv("XLA_FLAGS", given)
    devices._choose_products()
    assert os.environ["XLA_FLAGS"] == expected
