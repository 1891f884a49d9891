"""Runs of different programs do not mix in one folder."""

import itertools

import pytest
from support.programs import SMALL, assert_one_line, run

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.experiments import sweep
from onebp_jax.experiments.compare import compare
from onebp_jax.experiments.reproduce import reproduce
from onebp_jax.training.train import train

DATA = generate(num_users=60, num_items=40, interactions_per_user=8, seed=1)


def untrained():
    config = default_config()
    config.update({"method": "popularity"})
    return config


PROGRAMS = {
    "one run": lambda folder: train(untrained(), DATA, folder),
    "a comparison": lambda folder: compare(untrained(), DATA, folder, ["popularity"], [0]),
    "a sweep": lambda folder: sweep.sweep(untrained(), DATA, folder, ["popularity"], {}, 1),
    "a reproduction": lambda folder: reproduce(
        untrained(), DATA, folder, 2, {"Pop": "popularity"}, 1, [0], folder / "table2.json"
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {kind: tmp_path_factory.mktemp("runs") / "folder" for kind in PROGRAMS}
    for kind, make in PROGRAMS.items():
        make(made[kind])
    return made


@pytest.mark.parametrize(("kind", "other"), list(itertools.permutations(PROGRAMS, 2)))
def test_the_folder_of_another_program_is_refused_and_left_alone(folders, kind, other):
    before = sorted(folders[other].rglob("*"))
    with pytest.raises(UserError, match=f"^workdir=.*: it is the folder of {other} .*use another folder"):
        PROGRAMS[kind](folders[other])
    assert sorted(folders[other].rglob("*")) == before


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_folder_is_known_before_its_first_run_has_ended(kind, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("onebp_jax.training.train.test_metrics", killed)
        with pytest.raises(KeyboardInterrupt):
            PROGRAMS[kind](tmp_path / "folder")
    for other in PROGRAMS.keys() - {kind}:
        with pytest.raises(UserError, match=f"it is the folder of {kind} "):
            PROGRAMS[other](tmp_path / "folder")
    PROGRAMS[kind](tmp_path / "folder")


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_folder_that_became_mixed_in_an_older_version_goes_on(folders, kind, tmp_path):
    for made in folders.values():
        for path in made.rglob("*"):
            copy = tmp_path / path.relative_to(made)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                copy.write_bytes(path.read_bytes())
    PROGRAMS[kind](tmp_path)


def test_the_program_says_so(folders):
    process = run("train", *SMALL, f"--workdir={folders['a sweep']}")
    assert_one_line(process, 2, f"--workdir={folders['a sweep']}: it is the folder of a sweep", "sweep.json")
