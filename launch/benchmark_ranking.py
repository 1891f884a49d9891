"""Times the top-k lists of all users, beside another library that makes the same lists from the same vectors.

    onebp benchmark ranking --dataset=gowalla
    onebp benchmark ranking --dataset=ml-100k --dim=32 --repeats=21 --peer=numpy --out=ranking.json

The vectors are random, and each user's training pairs are left out. Times are medians of calls in turn, without compile time;
ratio = seconds / peer_seconds. The columns: onebp_jax/benchmarks/ranking.py. --peer=implicit needs the extra `bench`.
Exit status: 0 done, 2 bad flags or data, or a peer that is not installed.
"""

import os

# These must be set before NumPy is loaded. implicit has its own threads and is slow if BLAS adds more; XLA takes all cores.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("NPROC", str(os.cpu_count()))

from pathlib import Path  # noqa: E402

from absl import flags  # noqa: E402

from onebp_jax import data  # noqa: E402
from onebp_jax.benchmarks.peers import machine  # noqa: E402
from onebp_jax.benchmarks.ranking import PEERS, benchmark_ranking  # noqa: E402
from onebp_jax.cli import devices, program  # noqa: E402
from onebp_jax.experiments import report  # noqa: E402
from onebp_jax.training import run_folder  # noqa: E402
from onebp_jax.training.versions import versions  # noqa: E402

_DATASET = program.define_path("dataset", 'A name of the catalogue, "synthetic", or a path.')
_DIM = flags.DEFINE_integer("dim", 64, "Width of the random vectors.", lower_bound=1)
_K = flags.DEFINE_integer("k", 20, "Length of the lists.", lower_bound=1)
_PEER = flags.DEFINE_enum("peer", "implicit", [*PEERS, "none"], "What to compare with.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed calls.", lower_bound=1)
_OUT = program.define_path("out", "Also write the row to this JSON file.")
program.define_data_dir()
devices.define_layout(several_processes=False)


def main() -> None:
    layout = devices.layout()
    dataset = data.load(program.need("dataset", _DATASET.value, "gowalla"), flags.FLAGS.data_dir)
    row = benchmark_ranking(dataset, _DIM.value, _K.value, _PEER.value, _REPEATS.value, layout)
    print(f"{dataset.name}: {dataset.num_users} users, {dataset.num_items} items, {len(dataset.train)} pairs left out;")
    print(f"dim {_DIM.value}, k {_K.value}, peer {_PEER.value}, {_REPEATS.value} calls each\n")
    print(report.table([(dataset.name, [row])], tuple(row), digits=4))
    if _OUT.value:
        shape = {"dataset": dataset.name, "num_users": dataset.num_users, "num_items": dataset.num_items}
        asked = {"dim": _DIM.value, "k": _K.value, "peer": _PEER.value, "repeats": _REPEATS.value}
        asked |= {"devices": layout.num_devices, "tables": flags.FLAGS.tables} if layout else {"devices": 1}
        value = [{**shape, **asked, **row, "versions": versions(), "machine": machine()}]
        run_folder.write_json(Path(_OUT.value), value)


if __name__ == "__main__":
    program.run(main, __doc__)
