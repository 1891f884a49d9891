"""Reproduces a table or a figure of the paper on one data set: plans its runs, makes those that are missing, then shows them.

    onebp reproduce --experiment=fig5 --workdir=runs/paper --out=runs/paper/shown
    onebp reproduce --experiment=table2 --config=ml1m_table --workdir=runs/table2 --trials=5 --methods=onebp,twobp,ease
    onebp reproduce --experiment=all --workdir=runs/paper --hours=2

Experiments: curves (learning curves of OneBP, TwoBP and user-only); table5, fig4, fig7 and fig8 (genres and types in their
vectors, one page for all four, as onebp analyse writes it); fig5 (beta, negatives); fig3 (encoders with and without OneBP);
table3 and table2.
A table runs both protocols: `honest`, and `paper_oracle` to compare with the paper's numbers (on the paper's own split only).
Everything else is honest: one epoch chosen on validation, test read once.

All runs are folders below --workdir, in one folder for each version of the code. Experiments share them. A run stands if the same
configuration and the same code made it; the same command goes on after a stop. With --hours, no run is begun that would not end
in time by what earlier runs took. Pages, pictures and numbers are written to --out. Exit status as for onebp train.
"""

import re
import shlex
import sys
from pathlib import Path

from absl import flags, logging

from onebp_jax.analysis import models, pictures
from onebp_jax.analysis.figures import write_figure
from onebp_jax.analysis.folder import write
from onebp_jax.analysis.study import KS, study
from onebp_jax.cli import devices, program
from onebp_jax.errors import UserError, one_of
from onebp_jax.experiments.budget import Budget
from onebp_jax.experiments.code_version import code_version
from onebp_jax.experiments.plan import ANALYSES, EXPERIMENTS, TABLES, Planned, plan, rows_of_figure
from onebp_jax.experiments.report import markdown
from onebp_jax.experiments.reproduce import reproduce, rows_of
from onebp_jax.experiments.rows import run_rows
from onebp_jax.serving.genres import genres_of_run
from onebp_jax.serving.items import catalogue_items
from onebp_jax.training import run_folder
from onebp_jax.training.folder_kinds import check_kind

_CONFIG, _GIVEN = "ml100k_table", sys.argv[1:]
program.define_config()
devices.define_layout()
_EXPERIMENT = flags.DEFINE_string("experiment", None, f"One of {', '.join(EXPERIMENTS)}, all.")
_WORKDIR = program.define_path("workdir", "Folder of the runs; made if missing.")
_METHODS = flags.DEFINE_list(
    "methods", "", "The rows: METHOD, or in figures METHOD:FIELD=VALUE; empty for those of the experiment."
)
_TRIALS = flags.DEFINE_integer(
    "trials", None, "Trials of each row on validation, the first as the config; by default 9 in tables, else 1.", 1
)
_SEEDS = flags.DEFINE_list("seeds", "0,1,2", "Seeds of the final runs.")
_HOURS = flags.DEFINE_float("hours", None, "Begin no run that would not end within so many hours.", 0.0)
_PLAN = flags.DEFINE_bool("plan", False, "List the runs and say which stand, and do nothing.")
_OUT = program.define_path("out", "The folder of tables and pictures; if not given, --workdir.")
_ITEMS = program.define_path("items", "A file with an id and the genres of each item, for table5, fig4, fig7 and fig8.")


def main() -> None:
    experiment = program.need("experiment", _EXPERIMENT.value, "fig5")
    if experiment not in (*EXPERIMENTS, "all"):
        raise UserError(f"--experiment={experiment}: expected {one_of(experiment, (*EXPERIMENTS, 'all'))}")
    config, given = program.read_config(), _METHODS.value
    workdir = Path(program.need("workdir", _WORKDIR.value, "runs/paper"))
    out = _out(workdir)
    seeds = _seeds()
    if experiment == "all" and given:
        raise UserError(f"--methods={','.join(given)}: the rows of all experiments differ; give one experiment")
    names = list(EXPERIMENTS) if experiment == "all" else [experiment]
    if set(names) & set(ANALYSES) and not (_ITEMS.value or catalogue_items(config, flags.FLAGS.data_dir)):
        if experiment != "all":
            raise UserError(f"--items is missing: {experiment} needs the genres of the items of {config.dataset}")
        logging.warning("%s: no genres of its items are known, so %s are left out", config.dataset, ", ".join(ANALYSES))
        names = [name for name in names if name not in ANALYSES]
    planned = {name: plan(name, config, seeds, _trials(name), given) for name in names}
    check_kind(workdir, "experiments")
    root = workdir / f"code-{code_version()}"
    _say_what_stands(planned, workdir, root)
    if _PLAN.value:
        return
    if set(names) - set(TABLES):
        pictures.plotting()  # without the extra, this is said before any work
    layout = devices.layout()
    dataset, budget = program.load_data(config, flags.FLAGS.data_dir), Budget(_HOURS.value)
    out.mkdir(parents=True, exist_ok=True)
    command, analysed = shlex.join(["onebp", "reproduce", *_GIVEN]), False
    for name in names:
        if name in ANALYSES and analysed:
            continue
        print(f"{name}:", flush=True)
        if name in TABLES:
            _table(name, config, dataset, root, out, seeds, budget, layout)
            continue
        rows = rows_of_figure(name, config, given)
        trials = _trials(name) if name != "fig5" else 1
        done = run_rows(config, dataset, root, rows, seeds, trials, budget, layout)
        if not done:
            logging.warning("%s: no run has ended, so there is nothing to show", name)
        elif name in ANALYSES:
            analysed = True
            folders = [str(run.folder) for run in done]
            if (labels := genres_of_run(folders[0], _ITEMS.value, flags.FLAGS.data_dir)) is None:
                raise UserError(f"{name}: the items of {config.dataset} have no genres: give items=FILE")
            write(study(*models.read_models(folders, max(KS)), labels), out, command)
            print(f"{out / 'analysis.md'}")
        else:
            print(write_figure(name, config, given, done, seeds, out, command))
    _say_end(budget)


def _table(name: str, config, dataset, root: Path, out: Path, seeds: list[int], budget: Budget, layout) -> None:
    number = TABLES[name]
    rows, missing = rows_of(number, _METHODS.value)
    if missing:
        logging.warning("this version has no methods for these rows: %s", ", ".join(missing))
    path = out / f"{name}.json"
    done = reproduce(config, dataset, root, number, rows, _trials(name), seeds, path, layout, run=budget.train)
    text = markdown(done, number, config.dataset)
    run_folder.write_atomically(path.with_suffix(".md"), lambda file: file.write(text.encode()))
    print(f"\n{text}\nrows in {path}")


def _trials(name: str) -> int:
    return _TRIALS.value or (9 if name in TABLES else 1)


def _seeds() -> list[int]:
    given = _SEEDS.value
    if not given or not all(seed.isdigit() for seed in given) or len(set(map(int, given))) < len(given):
        raise UserError(f"--seeds={','.join(given)}: expected whole numbers, each of them once, comma separated")
    return [int(seed) for seed in given]


def _out(workdir: Path) -> Path:
    out = Path(_OUT.value or workdir)
    if out.is_file() or out.suffix in (".json", ".md", ".csv", ".svg"):
        raise UserError(f"--out={out}: expected a folder, in which each experiment has its files")
    return out


def _say_what_stands(planned: dict[str, list[Planned]], workdir: Path, root: Path) -> None:
    """What is planned, and what of it stands."""
    others = sorted(path.name for path in workdir.glob("code-*") if path != root)
    if others:
        logging.warning("%s: runs of other code are there and do not count: %s", workdir, ", ".join(others))
    for name, runs in planned.items():
        stand = [run for run in runs if run.folder and run_folder.has_ended(root / run.folder, run.config)]
        open_ = sum(run.folder is None for run in runs)
        later = f", {open_} with settings that the trials choose" if open_ else ""
        print(f"{name}: {len(runs)} runs{later}; {len(stand)} stand in {root}")
        for run in runs if _PLAN.value else ():
            what = "stands" if run in stand else "to do"
            print(f"  {run.folder or f'{run.row}, seed {run.seed}, as the trials choose'}: {what}")


def _say_end(budget: Budget) -> None:
    print(f"{len(budget.stand)} runs stood, {len(budget.made)} were made")
    if budget.left:
        names = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in dict.fromkeys(budget.left))
        print(
            f"not begun within --hours={_HOURS.value:g}: {names}; the same command goes on with them and what follows"
        )


def _with_config(arguments: list[str]) -> list[str]:
    """The arguments with the config that is the default of this program, if they have none."""
    given = any(re.match("--?config(=|$)", argument) for argument in arguments)
    return arguments if given else [arguments[0], f"--config={_CONFIG}", *arguments[1:]]


if __name__ == "__main__":
    sys.argv[:] = _with_config(sys.argv)
    program.run(main, __doc__)
