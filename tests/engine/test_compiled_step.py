"""What the compiler makes of a run: no copy of a table, the state given away, one trace for a whole run."""

import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import oracle
from support.table_programs import BATCH, NUM_ITEMS, NUM_USERS, TABLE, compile_scan, table_copies

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.data.device import to_device
from onebp_jax.losses import infonce
from onebp_jax.methods.build import build_method
from onebp_jax.training import runner
from onebp_jax.training.runner import make_scan
from onebp_jax.types import Info, Updater
from onebp_jax.updaters import DUPLICATE_RULES

METHODS = {"onebp": DUPLICATE_RULES, "user_only": DUPLICATE_RULES, "twobp": ("expected",)}
VARIANTS = [{"method": method, "duplicates": rule, "dim": 32} for method, rules in METHODS.items() for rule in rules]
# A covering set: at every width, every updater, method, sampler, loss and type of table is in some program.
SHARED = {"shared_negatives": 97, "negative_alpha": 0.75, "hide_touched": True}
ROWS, HALF = {"optimizer": "rowwise"}, {"table_dtype": "bfloat16", "optimizer": "rowwise"}
PARTS = [
    {"method": "onebp", "duplicates": "last"},
    {"method": "onebp", "duplicates": "mean", **ROWS, "transform": "row_adam", "loss": "bpr", **SHARED},
    {"method": "twobp", **ROWS, **SHARED, "negative_alpha": 0.0},
    {"method": "twobp", **ROWS, "row_counts": True},
    {"method": "user_only", **ROWS, "transform": "row_adagrad", "loss": "bpr", **SHARED},
]
NARROW = {
    32: {"method": "onebp", **HALF, "transform": "row_adagrad", **SHARED},
    64: {"method": "twobp", **HALF, "row_counts": True, "normalize": True},
    1024: {"method": "user_only", **HALF, "transform": "row_adam", "loss": "bpr", **SHARED},
}
MATRIX = [{**parts, "dim": dim} for dim, narrow in NARROW.items() for parts in (*PARTS, narrow)]
MATRIX.append({"method": "onebp", "table_dtype": "bfloat16", "dim": 32})


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    pairs = np.stack([random.integers(0, NUM_USERS, 5000), random.integers(0, NUM_ITEMS, 5000)], axis=1)
    return to_device(np.unique(pairs, axis=0), NUM_USERS, NUM_ITEMS)


def table_conversions(compiled):
    """Lines that make such an array out of one of another type: inside a fusion, only what it returns is ever made."""
    text, inside, found = compiled.as_text(), "", []
    fused = set(re.findall(r"calls=%?([\w.-]+)", text))
    for line in text.splitlines():
        if line.endswith("{"):
            inside = line.removeprefix("ENTRY ").split(" ")[0].removeprefix("%")
        elif re.search(rf"{TABLE} (?:bitcast-)?convert\(", line) and (inside not in fused or "ROOT " in line):
            found.append(line)
    return found


def build(**fields):
    config = default_config()
    config.update(fields)
    return build_method(config)


def of_the_study(fields):
    """Wider tables of parts that are met with 32 numbers; and `user_only` with what each rule of `onebp` compiles to."""
    wider = fields["dim"] > 32 and "table_dtype" not in fields
    return wider or (fields in VARIANTS and fields["method"] == "user_only" and fields["duplicates"] != "expected")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            fields,
            id="-".join(map(str, fields.values())),
            marks=[pytest.mark.study] if of_the_study(fields) else [],
        )
        for fields in (*VARIANTS, *(each for each in MATRIX if each not in VARIANTS))
    ],
)
def test_no_table_is_copied_and_the_state_is_given_away(fields, data):
    built = build(**fields)
    if fields in VARIANTS:
        # A sampler reads no table: without its cipher a program compiles in half the time.
        built = built._replace(sampler=oracle.given_negatives(np.zeros((1, BATCH, 5), np.int32)))
    with warnings.catch_warnings():
        # "Some donated buffers were not usable" would be one.
        warnings.simplefilter("error")
        compiled, leaves = compile_scan(built, data)
    assert table_copies(compiled) == []
    # Dense optimisers work on whole tables, in float32.
    assert table_conversions(compiled) == [] or (fields.get("table_dtype") and "optimizer" not in fields)
    # Every array of the state that goes in comes out in the same memory.
    aliases = re.search(r"input_output_alias=\{ (.*?) \}, entry", compiled.as_text()).group(1)
    pairs = re.findall(r"\{(\d+)\}: \((\d+), \{\}, (?:may|must)-alias\)", aliases)
    assert [(int(out), int(into)) for out, into in pairs] == [(leaf, leaf) for leaf in range(leaves)]


def test_a_copy_would_be_seen(data):
    """The two ways to lose: a state that is kept, and an old table that is still needed after its update."""

    def kept(build, batch_size, drop_last):
        return jax.jit(make_scan(build, batch_size, drop_last).__wrapped__, static_argnames="length")

    def late(step):
        def with_a_late_look(state, batch, data):
            new, info = step(state, batch, data)
            # Which old rows are looked at is known only once the new table is: both have to exist.
            ids = jnp.argmax(new.user[batch.user_ids], axis=1)
            return new, Info(info.loss + state.user[ids].sum(), info.examples)

        return with_a_late_look

    for arguments in ({"scan_of": kept}, {"wrap": late}):
        compiled, _ = compile_scan(build(method="onebp"), data, **arguments)
        assert table_copies(compiled)


@pytest.mark.skipif(
    jax.__version_info__ >= (0, 11), reason="newer XLA:CPU reads and writes rows of bfloat16 as they are"
)
def test_a_conversion_would_be_seen(data):
    """Tables of bfloat16 kept as they are, not as bits: XLA:CPU converts the whole table to float32 and back."""

    def write(signal, state, table, **extra):
        del extra
        return table.at[signal.ids].set(signal.targets.astype(table.dtype), mode="drop"), state

    plain = Updater(lambda table: (), write, reads=("targets",))
    method = build(method="onebp", optimizer="rowwise", transform="sgd")
    init = lambda key, data: jax.tree.map(lambda table: table.astype(jnp.bfloat16), method.encoder.init(key, data))
    stored = method.encoder._replace(init=init)
    compiled, _ = compile_scan(method._replace(user_updater=plain, encoder=stored), data)
    assert len(table_conversions(compiled)) >= 2


def test_a_whole_run_is_traced_once_for_each_length():
    """Epochs of 5 steps in calls of 2, 2 and 1, evaluations in between: two lengths, two compilations."""
    traces = []

    def counted(*arrays, **extra):
        traces.append(None)
        return infonce()(*arrays, **extra)

    config = default_config()
    config.update({"batch_size": 50, "dim": 4, "num_negatives": 2, "steps_per_call": 2, "epochs": 4})
    dataset = generate(num_users=40, num_items=40, interactions_per_user=8, seed=1)
    job, run = runner.prepare(config, build_method(config)._replace(loss=counted), dataset)
    assert job.epoch_steps == 5
    lengths, compile_seconds = [], []
    while not runner.is_done(job, run):
        lengths.append(runner.next_length(job, run))
        run = job.advance(run, lengths[-1])
        compile_seconds.append(run.progress.seconds.compile)
        if run.step % 5 == 0:
            run, metrics = runner.evaluate(job, run)
            assert np.isfinite(metrics["NDCG@20"])
    assert lengths == [2, 2, 1] * 4
    # And one look at whether the parts fit.
    assert len(traces) == 3
    # The clock of compilation stands still but for the first call of each length.
    assert [now > before for before, now in zip([0, *compile_seconds], compile_seconds, strict=False)] == [
        call in (0, 2) for call in range(12)
    ]
