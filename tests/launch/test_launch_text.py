"""What the programs print and where they write: ids in any script, and `~` in paths."""

import json

import pytest
from support.programs import SMALL, assert_one_line, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run whose ids are in Chinese."""
    folder = tmp_path_factory.mktemp("text")
    pairs = [f"用户{user},电影{item}" for user in range(9) for item in range(12) if (user + item) % 3]
    (folder / "own.csv").write_text("\n".join(["user,item", *pairs]), encoding="utf-8")
    arguments = (*SMALL, f"--workdir={folder / 'run'}", f"--config.dataset={folder / 'own.csv'}")
    assert run("train", *arguments, "--config.method=popularity").returncode == 0
    return folder / "run"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_ids_of_any_script_are_printed_as_utf8(trained, encoding):
    process = run("recommend", f"--workdir={trained}", "--users=用户3", "--k=2", PYTHONIOENCODING=encoding)
    assert process.returncode == 0, process.stderr
    rows = [line.split(",") for line in process.stdout.splitlines()]
    assert rows[0][:2] == ["user", "rank"] and [row[0] for row in rows[1:]] == ["用户3"] * 2
    assert all(row[2].startswith("电影") for row in rows[1:])


def test_an_error_about_such_an_id_is_one_line(trained):
    process = run("recommend", f"--workdir={trained}", "--users=没有", PYTHONIOENCODING="ascii")
    assert_one_line(process, 2, "\\u6ca1\\u6709")


def test_the_home_folder_in_paths(trained, tmp_path):
    (tmp_path / "runs").symlink_to(trained.parent)
    for program, out in (("recommend", "lists.csv"), ("evaluate", "metrics.json"), ("export", "vectors.npz")):
        process = run(program, "--workdir=~/runs/run", f"--out=~/{out}", HOME=str(tmp_path))
        assert process.returncode == 0, process.stderr
        assert (tmp_path / out).exists()
    process = run("train", *SMALL, "--config.method=popularity", "--workdir=~/new", HOME=str(tmp_path))
    assert process.returncode == 0, process.stderr
    assert json.loads((tmp_path / "new" / "result.json").read_text())["method"] == "popularity"


def test_every_path_flag_knows_the_home_folder():
    """A flag whose help speaks of a file or folder is a path flag."""
    from support.programs import ROOT

    for path in (ROOT / "launch").glob("[a-z]*.py"):
        text = path.read_text()
        for name in ("workdir", "out", "plot", "init", "items", "users_file", "dataset", "temp_dir", "later"):
            assert f'DEFINE_string("{name}"' not in "".join(text.split()), f"{path.name}: --{name}"


@pytest.mark.parametrize(
    ("program", "more"),
    [("compare", ()), ("sweep", ("--methods=onebp", "--trials=1")), ("reproduce", ("--experiment=table2",))],
)
def test_the_folder_of_a_run_is_not_taken_for_several(trained, program, more):
    before = sorted(trained.iterdir())
    process = run(program, *SMALL, *more, f"--workdir={trained}")
    assert_one_line(process, 2, f"--workdir={trained}: it is the folder of one run")
    assert sorted(trained.iterdir()) == before


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("compare", ["--methods=onebp:dim=0"], "--methods='onebp:dim=0': dim=0: expected at least 1"),
        ("compare", ["--methods=onebp:dim=x"], "--methods='onebp:dim=x': dim=x is of another type"),
        ("compare", ["--methods=onebp:dm=3"], "--methods='onebp:dm=3': 'dm=3' is not FIELD=VALUE"),
        ("sweep", ["--methods=onebp:dim=0"], "--methods='onebp:dim=0': dim=0: expected at least 1"),
        ("sweep", ["--space=dim=a|b", "--trials=3"], "--space='onebp:dim=a': dim=a is of another type"),
        (
            "sweep",
            ["--space=dm=3|4"],
            "--space='dm=3|4': 'dm' is no field of the config, expected one of 97 names, the nearest: dim, ",
        ),
        ("benchmark_step", ["--method=onebp:dim=0"], "--method='onebp:dim=0': dim=0: expected at least 1"),
    ],
)
def test_errors_of_rows_and_spaces_name_the_flag(program, arguments, words, tmp_path):
    workdir = [] if program == "benchmark_step" else [f"--workdir={tmp_path / 'new'}"]
    assert_one_line(run(program, *SMALL, *workdir, *arguments), 2, words)


@pytest.mark.parametrize(
    ("program", "arguments", "line"),
    [
        ("export", ["--users=3"], "error: unknown flag --users; --help lists them"),
        ("benchmark_ranking", ["--workdir=x"], "error: unknown flag --workdir; --help lists them"),
        (
            "train",
            [*SMALL, "--config.dataset=nope"],
            "--config.dataset='nope': no known set, expected one of ml-100k, ",
        ),
    ],
)
def test_only_what_is_near_is_suggested(program, arguments, line, tmp_path):
    workdir = [f"--workdir={tmp_path / 'new'}"] if program == "train" else []
    assert_one_line(run(program, *arguments, *workdir), 2, line)


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("train", ["--config.method=nope"], "--config.method='nope': expected one of"),
        ("train", ["--config.method=twobp", "--config.transform=adma"], "--config.transform='adma': expected one of"),
        ("train", ["--config.duplicates=men"], "duplicates must be one of"),
        ("train", ["--config.options.beta=2"], "--config.options.beta"),
        ("train", ["--config.split=times"], "--config.split='times': expected one of"),
        ("compare", ["--methods=own:transform=adma"], "transform='adma': expected one of"),
        ("compare", ["--methods=nope"], "--methods='nope': method='nope': expected one of"),
        ("sweep", ["--methods=nope"], "--methods='nope': method='nope': expected one of"),
        (
            "reproduce",
            ["--experiment=table2", "--methods=onebp", "--config.transform=adma"],
            "transform='adma': expected one of",
        ),
        ("sweep", ["--search=rand"], "--search=rand: expected one of random, grid (did you mean 'random'?)"),
        ("train", ["--data_dir=no"], "--data_dir=no: no such folder; the nearest in "),
    ],
)
def test_what_is_wrong_for_all_data_is_said_before_they_are_read(program, arguments, words, tmp_path):
    (tmp_path / "own.csv").write_text("user,item,rating\n1,5,3\n")  # a warning: ratings are not used
    process = run(
        program, *SMALL, f"--config.dataset={tmp_path / 'own.csv'}", f"--workdir={tmp_path / 'x'}", *arguments
    )
    assert_one_line(process, 2, words)
    assert "WARNING" not in process.stderr, process.stderr


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        ("recommend", ["--exclude=al"], "--exclude=al: expected one of all, train, none (did you mean 'all'?)"),
        ("evaluate", ["--split=tst"], "--split=tst: expected one of test, validation, train (did you mean 'test'?)"),
        ("recommend", ["--data_dir=no"], "--data_dir=no: no such folder; the nearest in "),
    ],
)
def test_choices_and_folders_of_flags(trained, program, arguments, words):
    assert_one_line(run(program, f"--workdir={trained}", *arguments), 2, words)
