"""Times one compiled training step, and how near it is to the memory traffic it cannot avoid.

    python -m launch.benchmark_step --config=configs/ml100k.py --methods=onebp,twobp,user_only
    python -m launch.benchmark_step --config=configs/ml100k.py --config.dim=128 --methods=onebp:duplicates=last --out=step.json

One process, one method after the other, medians; compile time apart. What the columns mean: onebp_jax/benchmark.py.
Exit status: 0 done, 2 bad flags, config or data.
"""

from pathlib import Path

from absl import flags

from onebp_jax import cli, report, run_folder
from onebp_jax.benchmark import benchmark_step
from onebp_jax.compare import variant
from onebp_jax.train import versions

_METHODS = flags.DEFINE_list("methods", "onebp,twobp", "Rows: METHOD or METHOD:FIELD=VALUE, comma separated.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed calls a row, of up to 100 steps each.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Also write the rows to this JSON file.")
cli.define_config()


def main() -> None:
    config = cli.read_config()
    dataset = cli.load_data(config, flags.FLAGS.data_dir)
    configs = [(spec, variant(config, spec, config.seed)) for spec in _METHODS.value]
    rows = [(spec, benchmark_step(one, dataset, _REPEATS.value)) for spec, one in configs]
    print(f"{config.dataset}: {dataset.num_users} users, {dataset.num_items} items, {len(dataset.train)} pairs; batch")
    print(f"{config.batch_size}, dim {config.dim}, {config.num_negatives} negatives, optimizer {config.optimizer}\n")
    print(report.table([(spec, [row]) for spec, row in rows], tuple(rows[0][1]), digits=3))
    if _OUT.value:
        shape = {name: config[name] for name in ("dataset", "batch_size", "dim", "num_negatives", "optimizer")}
        value = [{"method": spec, **shape, **row, "versions": versions()} for spec, row in rows]
        run_folder.write_json(Path(_OUT.value), value)


if __name__ == "__main__":
    cli.run(main, __doc__)
