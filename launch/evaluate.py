"""Measures a finished run on a split of its data set.

    onebp evaluate --workdir=runs/ml100k
    onebp evaluate --workdir=runs/ml100k --split=validation --out=validation.json
    onebp evaluate --workdir=runs/clicks --dataset=later.csv
    onebp evaluate --workdir=runs/clicks --dataset=later.csv --mode=streaming
    onebp evaluate --workdir=runs/clicks --dataset=others.csv --mode=fold_in

--mode=streaming goes through the events of --dataset in the order of time: it ranks, scores, then observes each of them, and
compares users who are live with users as training left them, with popular items, and with the arms of --arms.
--mode=fold_in takes the users of --dataset, splits the pairs of each by the run's own rule, and measures vectors made of the
first 1, 2, 5, .. events of their histories.
Exit status: 0 done, 2 bad flags, folder or data.
"""

from pathlib import Path

import numpy as np
from absl import flags

from onebp_jax import Recommender, serving
from onebp_jax.benchmarks.als_arm import Als
from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError
from onebp_jax.experiments import report
from onebp_jax.parallel import processes
from onebp_jax.serving.arms import Arm, Frozen, ItemKNN, Live, Popular
from onebp_jax.serving.events import events_of
from onebp_jax.serving.fold_in import fold_in, load_users
from onebp_jax.serving.learning import Learning
from onebp_jax.serving.live import LiveUsers
from onebp_jax.serving.prequential import Events, by_window, events_in_rows, p_value, prequential
from onebp_jax.serving.recommend import SPLITS
from onebp_jax.training import run_folder
from onebp_jax.training.fold_file import read_fold
from onebp_jax.training.run_data import OTHER_DATA

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_SPLIT = flags.DEFINE_enum("split", "test", SPLITS, "The part to measure on.")
_MODE = flags.DEFINE_enum(
    "mode",
    "split",
    ("split", "streaming", "fold_in"),
    "Measure a split, go through later events in time, or other users.",
)
_ARMS = flags.DEFINE_multi_enum(
    "arms",
    [],
    ("itemknn", "als", "learning"),
    "In --mode=streaming, what else to compare with; repeat it for more.",
)
_REFIT_HOURS = flags.DEFINE_float("refit_hours", 1.0, "--arms=als: hours of the events' clock from refit to refit.", 0)
_ALS_FACTORS = flags.DEFINE_integer("als_factors", 64, "--arms=als: the width of the vectors.", 1)
_RATE = flags.DEFINE_float("rate", 0.01, "--arms=learning: the learning rate of the items.", 0)
_OUT = program.define_path("out", "Also write the metrics to this JSON file.")
program.define_run_data()
devices.define_layout()


def main() -> None:
    program.check_out(_OUT.value)
    if _MODE.value != "split" and flags.FLAGS["split"].present:
        raise UserError(f"--split={_SPLIT.value} has no effect on --mode={_MODE.value}: leave it out")
    if _ARMS.value and _MODE.value != "streaming":
        raise UserError(f"--arms={_ARMS.value[0]} is for --mode=streaming, and the mode is {_MODE.value}")
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
    live, events = events_in_rows(model, events_of(model.config, given, flags.FLAGS.data_dir, in_order=True))
    ranks = prequential(live, events, _arms(model, live, events))
    windows = by_window(ranks)
    ranked, new = int((ranks["live"] > 0).sum()), events.items >= len(model.item_ids)
    print(
        f"{model.result['label']} on {given}: {ranked} of {len(events.items)} events ranked; the others repeat a pair, or are"
    )
    print(
        f"the first of one of the {len(np.unique(events.items[new]))} items that training did not know ({new.sum()} events)\n"
    )
    print(_beside_live(windows))
    if _OUT.value:
        run_folder.write_json(Path(_OUT.value), {"ranked": ranked, "windows": windows})


def _arms(model: Recommender, live: LiveUsers, events: Events) -> dict[str, Arm]:
    """The arms that are always there, and those of `--arms`."""
    run, fold, pairs = model.run, read_fold(model.workdir, model.run.item.shape), model.dataset.train
    shape, num_items = (events.num_users, events.num_items), events.num_items
    assert fold is not None  # else there are no live users
    more = {
        "itemknn": lambda: ItemKNN(pairs, num_items, fold.recency),
        "als": lambda: Als(pairs, shape, 3600 * _REFIT_HOURS.value, fold.recency, factors=_ALS_FACTORS.value),
        "learning": lambda: Learning(run, fold, num_items, _RATE.value),
    }
    arms: dict[str, Arm] = {
        "popular": Popular(live.popularity(), num_items),
        "frozen": Frozen(run.user, run.item, num_items),
        "live": Live(live, num_items),
    }
    return arms | {name: more[name]() for name in _ARMS.value}


def _beside_live(windows: dict[str, dict[str, list[float]]]) -> str:
    """A row for each arm: the means, and in how many windows live is ahead of it, with the p-value of Wilcoxon's test."""
    rows = []
    for arm, metrics in windows.items():
        cells = [f"{sum(values) / len(values):.4f}" for values in metrics.values()]
        for name, values in metrics.items():
            own = windows["live"][name]
            ahead = sum(a > b for a, b in zip(own, values, strict=True))
            cells.append("" if arm == "live" else f"{ahead} of {len(own)}, p = {p_value(own, values):.2g}")
        rows.append([arm, *cells])
    names = list(windows["live"])
    return report.aligned(["", *names, *(f"live ahead, {name}" for name in names)], rows)


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
