"""Programs in whose text an array of a table can be told from all others: the compiled scan of a method, and copies of tables."""

import re

import jax

from onebp_jax.engine.step import make_step
from onebp_jax.training.runner import make_scan

# Primes, so that nothing else in a program has the shape of a table.
NUM_USERS, NUM_ITEMS, BATCH, LENGTH = 1511, 2011, 61, 3


def compile_scan(method, data, wrap=lambda step: step, scan_of=make_scan):
    """The compiled scan of a method over `LENGTH` steps, and how many arrays its state has."""
    init, step = make_step(method)
    state = jax.eval_shape(lambda key: init(key, data)[0], jax.random.key(0))
    lowered = scan_of(lambda spread: wrap(step), BATCH, False).lower(state, data, length=LENGTH)
    return lowered.compile(), len(jax.tree.leaves(state))


TABLE = rf"= \(?\w+\[(?:{NUM_USERS}|{NUM_ITEMS})(?:,\d+)?\]\S*"


def table_copies(compiled):
    """Lines of the program that copy an array with as many rows as a table has."""
    return re.findall(rf"^.* {TABLE} copy(?:-start)?\(.*$", compiled.as_text(), re.MULTILINE)
