"""How many kernels a step is: counted in the optimised program of a CPU, also of steps that are traced as for a GPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.compile import is_known
from support.configs import config_of

from onebp_jax.benchmarks.kernels import count_kernels
from onebp_jax.data.device import to_device
from onebp_jax.engine.step import make_step
from onebp_jax.methods.build import build_method
from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.training.runner import make_scan

# Of jax 0.10.2 and 0.12.0.1, the same of both. Fewer is better; more needs a reason.
MOST = {"dense": 138, "rowwise": 149}
# As programs of users are made, not the plain ones of tests; newer versions know no other way, and no flag.
FUSED = "xla_cpu_use_fusion_emitters"


def test_a_kernel_is_counted_once_and_what_is_fused_is_one():
    def turn(carry, x):
        carry = jnp.sort(jnp.sin(carry) * 2 + x)
        return carry, carry.sum()

    text = jax.jit(lambda x: jax.lax.scan(turn, x, jnp.arange(5.0))).lower(jnp.ones(7)).compile().as_text()
    found = count_kernels(text)
    assert 3 <= found <= 12  # the sine, the sort, the sum, and the loop's own counter
    doubled = jax.jit(lambda x: jax.lax.scan(lambda *given: turn(*turn(*given)), x, jnp.arange(5.0)))
    assert count_kernels(doubled.lower(jnp.ones(7)).compile().as_text()) > found


@pytest.mark.parametrize("optimizer", MOST)
def test_a_default_step_of_onebp_has_few_kernels(optimizer):
    """The step of results/gpu.md; the sizes count, because some operations are split or fused by size."""
    pairs = np.unique(np.random.default_rng(0).integers(0, 3000, (30_000, 2)), axis=0)
    config = config_of(batch_size=2048, dim=64, num_negatives=5, optimizer=optimizer)
    with trace_for_gpu():
        method = build_method(config)
        init, _ = make_step(method)
        state, data = init(jax.random.key(0), to_device(pairs, 3000, 3000))
        scan = make_scan(lambda collectives: make_step(method, collectives)[1], config.batch_size, False)
        lowered = scan.lower(state, data, length=3)
    compiled = lowered.compile(compiler_options={FUSED: True} if is_known(FUSED) else {})
    assert count_kernels(compiled.as_text()) <= MOST[optimizer]
