"""Measures a finished run on a split of its data set.

    onebp evaluate --workdir=runs/ml100k
    onebp evaluate --workdir=runs/ml100k --split=validation --out=validation.json
    onebp evaluate --workdir=runs/clicks --dataset=later.csv
    onebp evaluate --workdir=runs/clicks --dataset=later.csv --mode=streaming
    onebp evaluate --workdir=runs/clicks --dataset=others.csv --mode=fold_in

--mode=streaming goes through the events of --dataset in the order of time: it ranks, scores, then observes each of them, and
compares users who are live with users as training left them.
--mode=fold_in takes the users of --dataset, splits the pairs of each by the run's own rule, and measures vectors made of the
first 1, 2, 5, .. events of their histories.
Exit status: 0 done, 2 bad flags, folder or data.
"""

from pathlib import Path

import numpy as np
from absl import flags

from onebp_jax import Recommender, serving
from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.experiments import report
from onebp_jax.parallel import processes
from onebp_jax.serving.events import events_of, known_items
from onebp_jax.serving.fold_in import fold_in, load_users
from onebp_jax.serving.prequential import by_window, p_value, prequential
from onebp_jax.serving.recommend import SPLITS
from onebp_jax.training import run_folder
from onebp_jax.training.run_data import OTHER_DATA

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_SPLIT = flags.DEFINE_enum("split", "test", SPLITS, "The part to measure on.")
_MODE = flags.DEFINE_enum(
    "mode",
    "split",
    ("split", "streaming", "fold_in"),
    "Measure a split, go through later events in time, or other users.",
)
_OUT = program.define_path("out", "Also write the metrics to this JSON file.")
program.define_run_data()
devices.define_layout()


def main() -> None:
    program.check_out(_OUT.value)
    layout = devices.layout()
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    run = run_folder.read_run(workdir)
    if _MODE.value != "split":
        processes.lead_does(lambda: {"streaming": _streaming, "fold_in": _fold_in}[_MODE.value](workdir))
        return
    dataset = program.load_run_data(workdir, run, flags.FLAGS.data_dir)
    metrics = serving.evaluate(run, dataset, _SPLIT.value, layout)
    if not processes.is_lead():
        return
    result, part = run.result, f"{run.result['dataset']}, {_SPLIT.value} split"
    if dataset.split.startswith(OTHER_DATA) and _SPLIT.value == "test":
        part = dataset.split
    print(f"{result['label']} on {part}, epoch {result['epoch']}\n")
    print(report.by_length(metrics))
    if _OUT.value:
        run_folder.write_json(Path(_OUT.value), metrics)


def _streaming(workdir: Path) -> None:
    given = flags.FLAGS.dataset
    if not given:
        raise UserError("--mode=streaming needs events after training: give --dataset=PATH")
    model = Recommender.load(workdir)
    events = known_items(events_of(model.config, given, flags.FLAGS.data_dir, in_order=True), model.item_ids, True)
    live, rows = model.live_rows(events)
    ranks = prequential(live, *rows)
    windows = by_window(ranks)
    ranked = int((ranks["live"] > 0).sum())
    print(f"{model.result['label']} on {given}: {ranked} of {len(events)} events ranked, the others repeat a pair\n")
    means = [
        (arm, [{name: sum(values) / len(values) for name, values in metrics.items()}])
        for arm, metrics in windows.items()
    ]
    print(report.table(means, list(windows["live"])))
    for name in windows["live"]:
        live_values, frozen = windows["live"][name], windows["frozen"][name]
        ahead = sum(a > b for a, b in zip(live_values, frozen, strict=True))
        p = p_value(live_values, frozen)
        print(f"{name}: live ahead of frozen in {ahead} of {len(frozen)} windows, Wilcoxon p = {p:.2g}")
    if _OUT.value:
        run_folder.write_json(Path(_OUT.value), {"ranked": ranked, "windows": windows})


def _fold_in(workdir: Path) -> None:
    given = flags.FLAGS.dataset
    if not given:
        raise UserError("--mode=fold_in needs users whom training has not seen: give --dataset=PATH")
    model = Recommender.load(workdir)
    users = load_users(model, given, flags.FLAGS.data_dir)
    rows = fold_in(model, users)
    count = len(np.unique(users.test[:, 0]))
    print(f"{model.result['label']} on {given}: {count} users, {users.split}; users are made of their first events\n")
    print(report.table([(label, [metrics]) for label, metrics in rows], ["R@20", "NDCG@20", "shorter"]))
    metrics = dict(rows)
    if "as trained" in metrics:
        share = metrics["all"]["NDCG@20"] / metrics["as trained"]["NDCG@20"]
        print(f"NDCG@20: all is {share:.4f} of as trained")
    if _OUT.value:
        run_folder.write_json(Path(_OUT.value), metrics)


if __name__ == "__main__":
    program.run(main, __doc__)
