"""The skeletons of WORKSPACE.md: short, and each a part that trains in place of the one it would replace."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.compile import fast_compile_jit
from support.programs import ROOT

from onebp_jax import losses
from onebp_jax.data import generate
from onebp_jax.data.device import batch_at, to_device
from onebp_jax.encoders import embedding
from onebp_jax.engine.step import make_step
from onebp_jax.samplers import uniform
from onebp_jax.types import Method
from onebp_jax.updaters import adam, gradient, moving_average

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "WORKSPACE.md").read_text(), re.DOTALL)
PARTS = {"sign_descent": "item_updater", "sharper_of_two": "sampler", "hinge": "loss", "rotated": "encoder"}
ARGUMENTS = {"sign_descent": 0.01, "sharper_of_two": 3, "hinge": 1.0, "rotated": 4}


def test_there_is_a_skeleton_of_every_kind():
    assert len(BLOCKS) == len(PARTS)
    for name, block in zip(PARTS, BLOCKS, strict=True):
        assert f"def {name}(" in block
        assert len(block.splitlines()) <= 30


@pytest.mark.parametrize("name", PARTS)
def test_a_skeleton_trains_in_a_method(name):
    found = {}
    exec(compile(next(block for block in BLOCKS if f"def {name}(" in block), "WORKSPACE.md", "exec"), found)
    method = Method(embedding(4), uniform(3), losses.infonce(), moving_average(0.9), gradient(adam(0.01)))
    method = method._replace(**{PARTS[name]: found[name](ARGUMENTS[name])})
    dataset = generate(num_users=40, num_items=30, interactions_per_user=8, seed=1)
    data = to_device(dataset.train, dataset.num_users, dataset.num_items)
    init, step = make_step(method._replace(tx=optax.adam(0.01)))
    state, data = init(jax.random.key(0), data)
    first = state
    step, history = fast_compile_jit(step), []
    for _ in range(40):
        state, info = step(state, batch_at(state.key, state.step, data, batch_size=64), data)
        history.append(float(info.loss))
    assert np.isfinite(history).all() and np.mean(history[-5:]) < np.mean(history[:5])
    assert all(bool(jnp.any(one != two)) for one, two in zip(first.tables[:2], state.tables[:2], strict=True))
