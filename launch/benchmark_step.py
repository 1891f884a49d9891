"""Times one compiled training step, and compares it with the time that moving its data alone takes.

    onebp benchmark step --dataset=gowalla --optimizer=dense,rowwise --method=onebp,twobp
    onebp benchmark step --dataset=gowalla --optimizer=rowwise:row_adagrad --shared_negatives=256,512 --peer=implicit
    onebp benchmark step --num_users=30000 --num_items=40000,4000000 --num_pairs=1000000 --optimizer=rowwise
    onebp benchmark step --config=ml100k --method=onebp,onebp:duplicates=last,twobp
    onebp benchmark step --num_users=30000 --optimizer=rowwise --num_devices=1,2,4,8 --tables=replicated,sharded

Flags that take lists make one row per combination. Without --config: batch 2048, dim 64, 5 negatives, all cores. One process
times one row after the other; times are medians, without compile time. The columns: onebp_jax/benchmarks/step.py. Floor and
bytes count tables and optimiser slots only: a method with a graph or with parameters of an encoder must move more. With
--peer=implicit a last row times an epoch of implicit's BPR on the same data and cores (extra `bench`). --unroll=4 compiles a
loop of four steps a turn. With --num_devices there is one row per number, with other columns: onebp_jax/benchmarks/devices.py.
A CPU simulates the devices on its cores.
Exit status: 0 done, 2 bad flags, config or data.
"""

import itertools
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit advises; must come before NumPy is loaded

from pathlib import Path

import jax
import ml_collections
from absl import flags

from onebp_jax.benchmarks.devices import benchmark_devices, shared_cores, with_scaling
from onebp_jax.benchmarks.peers import implicit_bpr_rate, load_implicit, machine
from onebp_jax.benchmarks.step import benchmark_step
from onebp_jax.cli import program
from onebp_jax.config import as_plain, default_config, nearest
from onebp_jax.config.by_size import closed, examples
from onebp_jax.errors import UserError
from onebp_jax.experiments import report
from onebp_jax.experiments.compare import variant
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import DRIVERS, TABLES, make_layout
from onebp_jax.training import run_folder
from onebp_jax.training.versions import versions

_METHOD = flags.DEFINE_list("method", "onebp", "Methods: NAME or NAME:FIELD=VALUE.")
_DATASET = program.define_path("dataset", "A set of the catalogue or a path; else the config's.")
_OPTIMIZER = flags.DEFINE_list("optimizer", [], "dense, rowwise, or with a transformation: rowwise:row_adagrad.")
_LISTS = {
    field: flags.DEFINE_list(field, [], f"Values of the config field {field}.")
    for field in ("dim", "batch_size", "num_negatives", "shared_negatives", "table_dtype")
}
_USERS = flags.DEFINE_integer(
    "num_users", None, "Users of a synthetic set; 30000 if only items are given.", lower_bound=1
)
_ITEMS = flags.DEFINE_list(
    "num_items", [], "Items of the synthetic set, comma separated; 40000 if only users are given."
)
_PAIRS = flags.DEFINE_integer(
    "num_pairs", None, "Approximate number of pairs of the synthetic set; a million if not given.", lower_bound=1
)
_PEER = flags.DEFINE_enum("peer", "none", ["implicit", "none"], "Also time implicit's BPR on the same data.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed calls per row, of up to 100 steps each.", lower_bound=1)
_UNROLL = flags.DEFINE_integer("unroll", 1, "Steps in a turn of the compiled loop.", lower_bound=1)
_OUT = program.define_path("out", "Also write the rows to this JSON file.")
_DEVICES = flags.DEFINE_list(
    "num_devices", [], "Numbers of devices, one row per number; the first devices of this process are used."
)
_PARALLEL = flags.DEFINE_list("parallel", ["pmap"], f"What drives a step on several devices: {', '.join(DRIVERS)}.")
_TABLES = flags.DEFINE_list("tables", [TABLES[0]], f"Tables on several devices: {', '.join(TABLES)}.")
program.define_config()

# The fields of the configuration that a row of the JSON file holds.
_FIELDS = (
    *("method", "optimizer", "transform", "batch_size", "dim", "num_negatives", "shared_negatives", "normalize"),
    *("table_dtype", "cpu_threads"),
)


def _base():
    """The configuration that the lists of the flags change."""
    if flags.FLAGS["config"].present:
        config = program.read_config()
    else:
        config = default_config()
        config.update({"dataset": "gowalla", "batch_size": 2048, "dim": 64, "l2": 0.0, "cpu_threads": 0})
    if _DATASET.value and (_USERS.value or _ITEMS.value):
        raise UserError("--dataset and --num_users / --num_items exclude each other")
    if _PAIRS.value and not (_USERS.value or _ITEMS.value):
        raise UserError("--num_pairs is for a synthetic set: give --num_users or --num_items too")
    if _DATASET.value:
        config.dataset = _DATASET.value
    return config


def _configs(base):
    """`(label, config)` of every combination of the lists."""
    methods = [[method] for method in _METHOD.value]
    optimizers = [
        [f"optimizer={kind}", *([f"transform={name}"] if name else [])]
        for kind, _, name in (value.partition(":") for value in _OPTIMIZER.value)
    ]
    fields = [[[f"{field}={value}"] for value in flag.value] for field, flag in _LISTS.items()]
    for parts in itertools.product(methods, *(choices or [[]] for choices in (optimizers, *fields))):
        spec = ":".join(itertools.chain(*parts))
        config = variant(base, spec, base.seed)
        if isinstance(build_method(examples(config)[0]), Baseline):
            raise UserError(
                f"--method={parts[0][0]}: it is not trained, there is no training step to time; give another one"
            )
        yield spec, config


def _datasets(base):
    """The data sets, one for each number of items where sizes are given."""
    if not (_USERS.value or _ITEMS.value):
        yield program.load_data(base, flags.FLAGS.data_dir)
        return
    for items in _ITEMS.value or ["40000"]:
        if not items.isdecimal():
            raise UserError(f"--num_items={items}: expected positive whole numbers, comma separated")
        users = _USERS.value or 30_000
        sizes = {
            "num_users": users,
            "num_items": int(items),
            "interactions_per_user": (_PAIRS.value or 1_000_000) / users,
        }
        base.dataset = "synthetic"
        base.synthetic = ml_collections.ConfigDict(base.synthetic.to_dict() | sizes)
        yield program.load_data(base, None)


def _layouts():
    """`(words, [layouts])` for each driver and placement of tables, with one layout per number of devices."""
    for flag, known in ((_PARALLEL, DRIVERS), (_TABLES, TABLES)):
        wrong = [value for value in flag.value if value not in known]
        if wrong or not flag.value:
            expected = f"expected one or more of {', '.join(known)}, comma separated"
            raise UserError(f"--{flag.name}={','.join(flag.value)}: {expected}{nearest(''.join(wrong[:1]), known)}")
    if not all(count.isdecimal() and int(count) for count in _DEVICES.value):
        raise UserError(f"--num_devices={','.join(_DEVICES.value)}: expected positive whole numbers, comma separated")
    if _DEVICES.value and _PEER.value != "none":
        raise UserError("--num_devices and --peer exclude each other: the peer knows no devices")
    if _DEVICES.value and _UNROLL.value > 1:
        raise UserError("--num_devices and --unroll exclude each other")
    counts = [int(count) for count in _DEVICES.value]
    if not counts:
        return []
    # Must come before the first computation. It affects only a CPU.
    jax.config.update("jax_num_cpu_devices", max(counts))
    found = jax.devices()
    if max(counts) > len(found):
        raise UserError(f"--num_devices={max(counts)}: there are {len(found)} ({found[0].device_kind})")
    return [
        (f"{how}, {tables}", [make_layout(how, found[:count], tables) for count in counts])
        for how, tables in itertools.product(_PARALLEL.value, _TABLES.value)
    ]


def _rows(label, config, dataset, layouts):
    """`[(label, row)]` of one configuration: one row, or one per layout."""
    if not layouts:
        return [(label, benchmark_step(config, dataset, _REPEATS.value, _UNROLL.value))]
    found = []
    for words, several in layouts:
        rows = [benchmark_devices(config, dataset, layout, _REPEATS.value) for layout in several]
        found += [(f"{label}, {words}", row) for row in with_scaling(rows)]
    return found


def main() -> None:
    program.check_out(_OUT.value)
    if _PEER.value == "implicit":
        load_implicit()
    base, rows = _base(), []
    layouts = _layouts()
    configs = list(_configs(base))
    if layouts and shared_cores(found := jax.devices()):
        print(
            f"{len(found)} simulated devices share {os.cpu_count()} cores: times and scaling do not hold for real devices\n"
        )
    for dataset in _datasets(base):
        print(
            f"{dataset.name}: {dataset.num_users} users, {dataset.num_items} items, {len(dataset.train)} training pairs"
        )
        sizes = {"dataset": dataset.name, "num_users": dataset.num_users, "num_items": dataset.num_items}
        sizes |= {"train_pairs": len(dataset.train), "repeats": _REPEATS.value, "unroll": _UNROLL.value}
        found = []
        for label, config in ((label, closed(config, dataset)) for label, config in configs):
            asked = {field: as_plain(config)[field] for field in _FIELDS}
            found += [(name, row, asked) for name, row in _rows(label, config, dataset, layouts)]
        if _PEER.value == "implicit":
            found.append(("implicit BPR", implicit_bpr_rate(dataset, found[0][2]["dim"]), {}))
        text = report.table([(label, [row]) for label, row, _ in found], tuple(found[0][1]), digits=3)
        print(text + "\n", flush=True)
        rows += [{"row": label, **sizes, **asked, **row} for label, row, asked in found]
    if _OUT.value:
        made_by = {"versions": versions(), "machine": machine()}
        run_folder.write_json(Path(_OUT.value), [row | made_by for row in rows])


if __name__ == "__main__":
    program.run(main, __doc__)
