"""What the compiler makes of a run: no copy of a table, the state given away, one trace for a whole run."""

import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from onebp_jax import methods, runner
from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.data.device import to_device
from onebp_jax.losses import infonce
from onebp_jax.runner import make_scan
from onebp_jax.step import make_step
from onebp_jax.types import Info
from onebp_jax.updaters import DUPLICATE_RULES

# Primes, so that nothing else in a program has the shape of a table.
NUM_USERS, NUM_ITEMS, BATCH, LENGTH = 1511, 2011, 61, 3
VARIANTS = [
    (method, rule, dim)
    for dim in (32, 64)
    for method, rules in (("onebp", DUPLICATE_RULES), ("user_only", DUPLICATE_RULES), ("twobp", ("expected",)))
    for rule in rules
]
# A program is not made other by this, only the machine code of its parts: compiling takes half as long.
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    pairs = np.stack([random.integers(0, NUM_USERS, 5000), random.integers(0, NUM_ITEMS, 5000)], axis=1)
    return to_device(np.unique(pairs, axis=0), NUM_USERS, NUM_ITEMS)


def compile_scan(method, data, wrap=lambda step: step, scan_of=make_scan):
    """The compiled scan of a method over `LENGTH` steps, and how many arrays its state has."""
    init, step = make_step(method)
    state = jax.eval_shape(lambda key: init(key, data)._replace(data=None), jax.random.key(0))
    lowered = scan_of(wrap(step), BATCH, False).lower(state, data, length=LENGTH)
    return lowered.compile(compiler_options=QUICK), len(jax.tree.leaves(state))


def table_copies(compiled):
    """Lines of the program that copy an array with as many rows as a table has."""
    line = rf"^.* = \(?\w+\[(?:{NUM_USERS}|{NUM_ITEMS})(?:,\d+)?\]\S* copy(?:-start)?\(.*$"
    return re.findall(line, compiled.as_text(), re.MULTILINE)


def build(name, rule="expected", dim=32):
    config = default_config()
    config.update({"method": name, "duplicates": rule, "dim": dim})
    return methods.build(config)


@pytest.mark.parametrize("method, rule, dim", VARIANTS)
def test_no_table_is_copied_and_the_state_is_given_away(method, rule, dim, data):
    built = build(method, rule, dim)
    if dim == 32:
        # A sampler reads no table: without its cipher a program compiles in half the time.
        built = built._replace(sampler=oracle.given_negatives(np.zeros((1, BATCH, 5), np.int32)))
    with warnings.catch_warnings():
        # "Some donated buffers were not usable" would be one.
        warnings.simplefilter("error")
        compiled, leaves = compile_scan(built, data)
    assert table_copies(compiled) == []
    # Every array of the state that goes in comes out in the same memory.
    aliases = re.search(r"input_output_alias=\{ (.*?) \}, entry", compiled.as_text()).group(1)
    pairs = re.findall(r"\{(\d+)\}: \((\d+), \{\}, (?:may|must)-alias\)", aliases)
    assert [(int(out), int(into)) for out, into in pairs] == [(leaf, leaf) for leaf in range(leaves)]


def test_a_copy_would_be_seen(data):
    """The two ways to lose: a state that is kept, and an old table that is still needed after its update."""

    def kept(step, batch_size, drop_last):
        return jax.jit(make_scan(step, batch_size, drop_last).__wrapped__, static_argnames="length")

    def late(step):
        def with_a_late_look(state, batch):
            new, info = step(state, batch)
            # Which old rows are looked at is known only once the new table is: both have to exist.
            ids = jnp.argmax(new.user[batch.user_ids], axis=1)
            return new, Info(info.loss + state.user[ids].sum(), info.examples)

        return with_a_late_look

    for arguments in ({"scan_of": kept}, {"wrap": late}):
        compiled, _ = compile_scan(build("onebp"), data, **arguments)
        assert table_copies(compiled)


def test_a_whole_run_is_traced_once_for_each_length():
    """Epochs of 5 steps in calls of 2, 2 and 1, evaluations in between: two lengths, two compilations."""
    traces = []

    def counted(*arrays, **extra):
        traces.append(None)
        return infonce()(*arrays, **extra)

    config = default_config()
    config.update({"batch_size": 50, "dim": 4, "num_negatives": 2, "steps_per_call": 2, "epochs": 4})
    dataset = generate(num_users=40, num_items=40, interactions_per_user=8, seed=1)
    job, run = runner.prepare(config, methods.build(config)._replace(loss=counted), dataset)
    assert job.epoch_steps == 5
    lengths, compile_seconds = [], []
    while not runner.is_done(job, run):
        lengths.append(runner.next_length(job, run))
        run = job.advance(run, lengths[-1])
        compile_seconds.append(run.progress["seconds"]["compile"])
        if run.step % 5 == 0:
            run, metrics = runner.evaluate(job, run)
            assert np.isfinite(metrics["NDCG@20"])
    assert lengths == [2, 2, 1] * 4
    assert len(traces) == 2
    # The clock of compilation stands still but for the first call of each length.
    assert [now > before for before, now in zip([0, *compile_seconds], compile_seconds, strict=False)] == [
        call in (0, 2) for call in range(12)
    ]
