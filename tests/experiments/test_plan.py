"""The runs of an experiment: which they are, which stand, and which there is time for."""

import ast
from pathlib import Path

import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import RunFailed, UserError
from onebp_jax.experiments import budget as budget_module
from onebp_jax.experiments import code_version
from onebp_jax.experiments.budget import Budget, OutOfTime
from onebp_jax.experiments.plan import EXPERIMENTS, VARIED, plan, rows_of_figure
from onebp_jax.experiments.rows import run_rows


def config(**changes):
    made = default_config()
    made.update({"epochs": 40, "beta": 0.99, "num_negatives": 5, **changes})
    return made


def test_the_runs_of_figure_5_are_one_for_each_value_and_seed():
    runs = plan("fig5", config(), [0, 3])
    assert [str(run.folder) for run in runs[:3]] == [
        "honest/onebp-beta=0.9-epochs40-seed0",
        "honest/onebp-epochs40-seed0",
        "honest/onebp-beta=0.999-epochs40-seed0",
    ]
    # The value of the config itself is one run for both parts of the figure.
    points = sum(map(len, VARIED.values())) - 1
    assert len(runs) == 2 * points == len({run.folder for run in runs})
    assert [run.seed for run in runs] == [0] * points + [3] * points
    for one in runs:
        assert (
            one.config.seed == one.seed and one.config.read_test and one.config.protocol == "honest" and not one.trial
        )
        changed = [field for field in VARIED if one.config[field] != config()[field]]
        assert len(changed) == (one.row != "onebp") and all(f"{field}=" in one.row for field in changed)
    # A method without an average has no beta.
    assert rows_of_figure("fig5", config(), ["twobp"]) == [
        *(f"twobp:num_negatives={n}" if n != 5 else "twobp" for n in VARIED["num_negatives"])
    ]


def test_experiments_share_the_runs_of_one_configuration():
    folders = {
        name: {run.folder for run in plan(name, config(), [0, 1])} for name in ("curves", "fig4", "fig8", "fig3")
    }
    assert folders["curves"] == folders["fig4"] == folders["fig8"] and len(folders["curves"]) == 6
    assert len(folders["fig3"] & folders["curves"]) == 4 and len(folders["fig3"]) == 12
    # Those of a table too, once its trials have chosen the settings of the config.
    trials = [run for run in plan("table3", config(), [0], 3) if run.trial]
    of_curves = [run for run in plan("curves", config(), [0], 3) if run.trial]
    assert {run.folder for run in trials} == {run.folder for run in of_curves} and len(trials) == 9


def test_a_table_has_trials_and_then_final_runs_that_wait_for_them():
    runs = plan("table2", config(), [0, 1, 2], 4, ["onebp", "popularity"])
    assert [run.row for run in runs if run.trial] == ["onebp"] * 4 + ["popularity"]  # which has no settings to search
    assert not any(run.config.read_test for run in runs if run.trial)
    finals = [run for run in runs if not run.trial]
    assert len(finals) == 2 * 2 * 3 and all(run.folder is None for run in finals)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_plan_is_a_function_of_its_arguments(experiment):
    given = config()
    before = given.to_json()
    told = [[(run.row, run.seed, run.folder) for run in plan(experiment, given, [0], 2)] for _ in range(2)]
    assert told[0] == told[1] and told[0] and given.to_json() == before


@pytest.mark.parametrize(
    ("experiment", "methods", "words"),
    [
        ("fig6", [], "^experiment='fig6': expected one of .*, all"),
        ("curves", ["onebp", "onebp"], "^methods=onebp,onebp: expected each of them once"),
        ("curves", ["onebp:dim=0"], "^methods='onebp:dim=0': dim=0: expected at least 1"),
        ("fig3", ["ease"], "^methods='ease': Fig. 3 has one of twobp, onebp, "),
        ("table2", ["onebp:dim=8"], "^methods='onebp:dim=8': expected"),
    ],
)
def test_what_cannot_be_planned(experiment, methods, words):
    with pytest.raises(UserError, match=words):
        plan(experiment, config(), [0], 1, methods)


class Clock:
    """A `train` that takes the seconds that a method needs, and the clock that sees them pass."""

    def __init__(self, seconds):
        self.now, self.seconds, self.calls = 0.0, seconds, []

    def __call__(self):
        return self.now

    def train(self, config, dataset, folder, layout=None):
        stands = (folder / "result.json").exists()
        self.calls.append((folder.name, stands))
        spent = self.seconds[config.method]
        if spent is None:
            raise RunFailed("the loss is nan")
        if not stands:
            self.now += spent
            folder.mkdir(parents=True)
            (folder / "result.json").write_text("{}")
        return {"seconds": {"train": spent}}


@pytest.fixture
def clock(monkeypatch):
    def begin(**seconds):
        made = Clock(seconds)
        monkeypatch.setattr(budget_module, "train", made.train)
        monkeypatch.setattr(budget_module.run_folder, "has_ended", lambda folder, _: (folder / "result.json").exists())
        monkeypatch.setattr("onebp_jax.experiments.rows.check_runs", lambda *_: None)
        return made

    return begin


def rows(clock, folder, hours, seeds=(0, 1), methods=("onebp", "twobp"), say=lambda line: None):
    budget = Budget(hours, say, clock)
    done = run_rows(config(), None, folder, methods, seeds, 1, budget, say=say)
    return [(run.row, run.seed) for run in done], budget


def test_no_run_is_begun_that_would_not_fit_and_the_next_call_goes_on(clock, tmp_path):
    time = clock(onebp=1000.0, twobp=100.0)
    # An unknown method counts as the longest: 1050 are left for it. After it 950: not enough for onebp, enough for twobp.
    done, budget = rows(time, tmp_path, 2050 / 3600)
    assert done == [("onebp", 0), ("twobp", 0), ("twobp", 1)]
    assert [folder.name for folder in budget.left] == ["onebp-epochs40-seed1"] and len(budget.made) == 3
    # What stands is read back, without time, and tells how long runs take.
    said = []
    done, budget = rows(time, tmp_path, 900 / 3600, say=said.append)
    assert len(budget.stand) == 3 and not budget.made and len(budget.left) == 1 and len(done) == 3
    assert "  onebp-epochs40-seed0: stands" in said
    done, budget = rows(time, tmp_path, None)
    assert sorted(done) == [("onebp", 0), ("onebp", 1), ("twobp", 0), ("twobp", 1)]
    assert [folder.name for folder in budget.made] == ["onebp-epochs40-seed1"] and not budget.left
    assert [name for name, stands in time.calls if not stands].count("onebp-epochs40-seed1") == 1


def test_without_any_time_nothing_is_begun(clock, tmp_path):
    time = clock(onebp=1.0)
    budget = Budget(0.0, lambda line: None, time)
    with pytest.raises(OutOfTime):
        budget.train(config(), None, tmp_path / "x")
    assert not time.calls and budget.left == [tmp_path / "x"]


def test_a_run_that_fails_is_said_and_the_others_are_made(clock, tmp_path):
    said = []
    done, _ = rows(clock(onebp=None, twobp=1.0), tmp_path, None, say=said.append)
    assert done == [("twobp", 0), ("twobp", 1)]
    assert "onebp, seed 0: failed: the loss is nan" in said


def test_trials_choose_the_settings_of_a_row_on_validation(tmp_path):
    data = generate(num_users=60, num_items=40, interactions_per_user=10.0, seed=1)
    small = config(epochs=2, eval_every=1, dim=4, batch_size=64)
    done = run_rows(small, data, tmp_path, ["onebp"], [1], 3, Budget(None, lambda line: None), say=lambda line: None)
    assert len(list((tmp_path / "trials").iterdir())) == 3
    assert done[0].result["metrics"] and done[0].folder.name.startswith(done[0].spec.replace(":", "-"))


def test_the_version_of_the_code_changes_with_what_runs_alone(tmp_path, monkeypatch):
    source = '"""Doc."""\ndef f(x):\n    """Doc."""\n    return x + 1  # why\n'
    same = '"""Other."""\n\n\ndef f(x):\n    """Words."""\n    return x + 1\n'
    assert code_version._meaning(source) == code_version._meaning(same)
    assert code_version._meaning(source) != code_version._meaning(same.replace("+ 1", "+ 2"))
    assert code_version.code_version() == code_version.code_version()
    package = Path(code_version.__file__).parents[1]
    assert all((package / room).exists() for room in code_version.ROOMS)
    ast.parse(source)


def test_the_program_from_end_to_end(tmp_path):
    few = ("--config.epochs=2", "--config.eval_every=1", "--seeds=0", f"--workdir={tmp_path / 'runs'}")
    given = (*SMALL, *few, f"--out={tmp_path / 'out'}", "--experiment=curves", "--methods=onebp,twobp")
    listed = run("reproduce", *given, "--plan")
    assert listed.returncode == 0 and not (tmp_path / "runs").exists() and not (tmp_path / "out").exists()
    assert "  honest/onebp-epochs2-seed0: to do" in listed.stdout
    process = run("reproduce", *given, "--hours=0")
    assert process.returncode == 0, process.stderr
    assert "not begun within --hours=0: honest/onebp-epochs2-seed0, honest/twobp-epochs2-seed0" in process.stdout
    process = run("reproduce", *given)
    assert process.returncode == 0 and "0 runs stood, 2 were made" in process.stdout, process.stderr
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(before) == {"curves.md", "curves.csv", "curves.svg"}
    process = run("reproduce", *given)
    assert "2 runs stood, 0 were made" in process.stdout
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    # Runs of other code lie beside, and do not count.
    (folder,) = (tmp_path / "runs").iterdir()
    folder.rename(folder.with_name("code-0.2.0-00000000"))
    process = run("reproduce", *given, "--plan")
    assert "0 stand" in process.stdout
    assert "runs of other code are there and do not count: code-0.2.0-00000000" in process.stderr


def test_types_and_genres_are_shown_once_for_all_their_experiments(tmp_path):
    (tmp_path / "items.csv").write_text("item,genres\n" + "".join(f"{item},{'ab'[item % 2]}\n" for item in range(90)))
    few = ("--config.epochs=1", "--config.eval_every=1", "--seeds=0", "--methods=onebp,twobp")
    given = (*SMALL, *few, f"--workdir={tmp_path / 'runs'}", f"--out={tmp_path / 'out'}")
    process = run("reproduce", *given, "--experiment=fig8", f"--items={tmp_path / 'items.csv'}")
    assert process.returncode == 0, process.stderr
    page = (tmp_path / "out" / "analysis.md").read_text()
    assert "onebp reproduce" in page and "--experiment=fig8" in page
    assert (tmp_path / "out" / "table5.csv").exists() and (tmp_path / "out" / "fig8.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--experiment is missing, for example --experiment=fig5"),
        (["--experiment=fig6"], "--experiment=fig6: expected one of curves, table5, "),
        (["--experiment=fig5", "--seeds=0,0"], "--seeds=0,0: expected whole numbers, each of them once"),
        (["--experiment=fig5", "--trials=0"], "--trials"),
        (["--experiment=fig5", "--hours=-1"], "--hours"),
        (["--experiment=fig5", "--methods=onebpp"], "--methods='onebpp': method='onebpp': expected one of"),
        (["--experiment=all", "--methods=onebp"], "--methods=onebp: the rows of all experiments differ"),
        (["--experiment=table5"], "--items is missing: table5 needs the genres of the items of synthetic"),
        (["--experiment=table2", "--out=rows.json"], "--out=rows.json: expected a folder"),
        (["--table=2"], "unknown flag --table"),
    ],
)
def test_what_the_program_refuses_with_status_2(arguments, words, tmp_path):
    assert_one_line(run("reproduce", *SMALL, f"--workdir={tmp_path / 'runs'}", *arguments), 2, words)
    assert not (tmp_path / "runs").exists()
