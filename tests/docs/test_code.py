"""The code of the pages runs: every Python block, every skeleton of a part in a method, and the notebook."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import notebook
from support.pages import NOTEBOOK, PAGES, python_blocks
from support.programs import ROOT

from onebp_jax import losses
from onebp_jax.data import generate
from onebp_jax.data.device import on_host
from onebp_jax.encoders import embedding
from onebp_jax.engine.batches import batch_at
from onebp_jax.engine.step import make_step
from onebp_jax.samplers import uniform
from onebp_jax.types import Method
from onebp_jax.updaters import adam, gradient, moving_average

WITH_CODE = [path for path in PAGES if path.suffix == ".md" and python_blocks(path)]
# The skeletons of docs/write_an_updater.md and docs/write_a_part.md: the part that each replaces, and its arguments.
SKELETONS = {
    "sign_descent": ("item_updater", (0.01,)),
    "bounded_average": ("user_updater", (0.9, 2.0)),
    "sharper_of_two": ("sampler", (3,)),
    "hinge": ("loss", (1.0,)),
    "rotated": ("encoder", (4,)),
}


def test_the_pages_with_code_are_those():
    assert {"README.md", "methods.md", "write_an_updater.md", "write_a_part.md"} <= {path.name for path in WITH_CODE}


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.name)
def test_the_python_of_a_page_runs(path):
    names: dict = {"__name__": path.stem}
    for block in python_blocks(path):
        exec(compile(block, path.name, "exec"), names)


def skeleton(name):
    """The part that a page defines under a name."""
    pages = [ROOT / "docs" / page for page in ("write_an_updater.md", "write_a_part.md")]
    (block,) = [block for page in pages for block in python_blocks(page) if f"def {name}(" in block]
    assert len(block.splitlines()) <= 30
    found: dict = {}
    exec(compile(block, name, "exec"), found)
    return found[name]


@pytest.mark.parametrize("name", SKELETONS)
def test_a_skeleton_trains_in_a_method(name):
    part, arguments = SKELETONS[name]
    method = Method(embedding(4), uniform(3), losses.infonce(), moving_average(0.9), gradient(adam(0.01)))
    method = method._replace(**{part: skeleton(name)(*arguments)}, tx=optax.adam(0.01))
    dataset = generate(num_users=40, num_items=30, interactions_per_user=8, seed=1)
    init, step = make_step(method)
    state, data = init(jax.random.key(0), on_host(dataset.train, dataset.num_users, dataset.num_items))
    advance = jax.jit(lambda state, data: step(state, batch_at(state.key, state.step, data, batch_size=64), data))
    first, history = state, []
    for _ in range(40):
        state, info = advance(state, data)
        history.append(float(info.loss))
    assert np.isfinite(history).all() and np.mean(history[-5:]) < np.mean(history[:5])
    assert all(bool(jnp.any(one != two)) for one, two in zip(first.tables[:2], state.tables[:2], strict=True))


def test_the_notebook_runs_and_prints_what_it_holds():
    # Versions of JAX differ in the last digits, and these in the order of near equals: compared are the words, not the numbers.
    words = lambda text: re.sub(r"[\d.]+|\s+", " ", text).split()
    for cell, printed in notebook.run(NOTEBOOK):
        stored = "".join(line for output in cell["outputs"] for line in output["text"])
        assert words(printed) == words(stored)


def test_the_notebook_is_one_that_jupyter_reads():
    book = json.loads(NOTEBOOK.read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
