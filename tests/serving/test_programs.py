"""`launch.recommend` and `launch.similar` on a run whose ids have commas."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with clicks.csv, movies.csv and a finished run."""
    folder = tmp_path_factory.mktemp("serving")
    random = np.random.default_rng(0)
    users, items = np.divmod(random.choice(30 * 20, 300, replace=False), 20)
    clicks = pd.DataFrame({"user": [f"Smith, {user}" for user in users], "item": [f"m {item}" for item in items]})
    clicks.to_csv(folder / "clicks.csv", index=False)
    some = clicks["item"].unique()[:8]
    pd.DataFrame({"item": [*some, "new"], "name": [f"The {one}" for one in [*some, "new"]]}).to_csv(
        folder / "movies.csv", index=False
    )
    process = run("train", *SMALL, *arguments(folder), f"--config.dataset={folder / 'clicks.csv'}", "--config.epochs=2")
    assert process.returncode == 0, process.stderr
    return folder


def arguments(folder, *more):
    return f"--workdir={folder / 'run'}", *more


def rows_of(process) -> list[dict]:
    assert process.returncode == 0, process.stderr
    return list(csv.DictReader(io.StringIO(process.stdout)))


def test_nothing_known_is_recommended_unless_it_is_asked_for(folder):
    clicks = pd.read_csv(folder / "clicks.csv")
    known = set(zip(clicks["user"], clicks["item"], strict=True))
    lists = rows_of(run("recommend", *arguments(folder, "--k=20")))
    pairs = {(line["user"], line["item"]) for line in lists}
    assert not pairs & known and len(pairs) + len(known) == clicks["user"].nunique() * clicks["item"].nunique()
    for_research = rows_of(run("recommend", *arguments(folder, "--k=20", "--exclude=train")))
    assert {(line["user"], line["item"]) for line in for_research} & known


def test_ids_with_commas_in_a_flag_and_in_a_file(folder, tmp_path):
    lists = rows_of(run("recommend", *arguments(folder, '--users="Smith, 3","Smith, 1"', "--k=2")))
    assert [line["user"] for line in lists] == ["Smith, 3"] * 2 + ["Smith, 1"] * 2
    (tmp_path / "users.txt").write_text("Smith, 3\nSmith, 1\n")
    by_file = ["recommend", *arguments(folder, f"--users_file={tmp_path / 'users.txt'}", "--k=2")]
    assert rows_of(run(*by_file)) == lists
    assert_one_line(run(*by_file, "--users=x"), 2, "--users and --users_file")
    (tmp_path / "users.txt").write_text("Smith, 3\nNew, 1\n")
    assert_one_line(
        run(*by_file), 2, "--users_file=", "users.txt: line 2: 'New, 1'", "1 of the 2", "or set --skip_unknown"
    )
    process = run(*by_file, "--skip_unknown")
    assert rows_of(process) == lists[:2] and "1 of the 2 given ids are unknown" in process.stderr


def test_items_give_candidates_and_titles(folder):
    process = run("recommend", *arguments(folder, f"--items={folder / 'movies.csv'}", "--k=3"))
    lists, movies = rows_of(process), pd.read_csv(folder / "movies.csv").set_index("item")["name"]
    assert lists and all(line["title"] == movies[line["item"]] for line in lists)
    assert "8 of the run's 20 items are in it, 1 of its rows" in process.stderr
    assert_one_line(run("recommend", *arguments(folder, "--items=no.csv")), 2, "no.csv")


def test_similar_items_and_users(folder, tmp_path):
    lists = rows_of(run("similar", *arguments(folder, "--item=m 1,m 2", "--k=3", f"--items={folder / 'movies.csv'}")))
    assert [line["item"] for line in lists] == ["m 1"] * 3 + ["m 2"] * 3
    assert all(line["similar"] != line["item"] and line["title"] == f"The {line['similar']}" for line in lists)
    out = tmp_path / "similar.JSONL"
    assert run("similar", *arguments(folder, '--user="Smith, 3"', f"--out={out}")).returncode == 0
    assert out.read_text().startswith('{"user": "Smith, 3", "similar": ["Smith, ')
    assert_one_line(run("similar", *arguments(folder)), 2, "--item or --user")
    assert_one_line(run("similar", *arguments(folder, "--item=", '--user="Smith, 3"')), 2, "--item or --user")
    assert_one_line(run("similar", *arguments(folder, "--item=")), 2, "--item=: an id is empty")
    assert_one_line(run("similar", *arguments(folder, "--item=m 99")), 2, "--item='m 99'")
    assert_one_line(run("similar", *arguments(folder, "--item=m 1", "--k=0")), 2, "--k=0")
    assert_one_line(run("similar", *arguments(folder, "--user=x", "--items=x.csv")), 2, "--items=x.csv")


def test_new_events_in_a_file_give_lists_without_training(folder, tmp_path):
    live = f"--workdir={tmp_path / 'live'}"
    made = run("train", *SMALL, live, f"--config.dataset={folder / 'clicks.csv'}", "--config.method=onebp_history")
    assert made.returncode == 0, made.stderr
    ask = ["recommend", live, f"--history={tmp_path / 'today.csv'}", "--k=20"]
    (tmp_path / "today.csv").write_text('user,item\n"New, 1",m 3\n"New, 1",m 5\n')
    lists = rows_of(run(*ask))
    assert {line["user"] for line in lists} == {"New, 1"}
    assert len({line["item"] for line in lists} & {"m 3", "m 5"}) == 0 < len(lists)
    (tmp_path / "today.csv").write_text('user,item\n"New, 1",m 3\n"New, 1",nix\n')
    assert_one_line(run(*ask), 2, "history: item='nix'", "--skip_unknown")
    assert "1 of the 2 given ids are unknown" in run(*ask, "--skip_unknown").stderr
    assert_one_line(run(*ask, "--users=x"), 2, "--history names the users itself")
    assert_one_line(run(*ask, "--exclude=train"), 2, "--exclude=train", "all or none")
