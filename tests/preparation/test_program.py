"""`onebp prepare`, then training from its folder, then lists under the original ids."""

import io

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, assert_one_line, run

pytest.importorskip("ibis", reason="preparations need ibis: pip install -e '.[prepare]'")


@pytest.fixture
def log(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "userId": [f"user-{user}" for user in random.integers(0, 40, 1500)],
            "movieId": [f"film, {item}" for item in random.integers(0, 80, 1500)],
            "timestamp": random.permutation(1500),
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    return frame


def test_from_a_log_to_recommendations(log, tmp_path):
    out, workdir = tmp_path / "prepared", tmp_path / "run"
    prepared = run("prepare", f"--input={tmp_path / 'log.csv'}", f"--out={out}", "--split=time", "--min_user_items=5")
    assert prepared.returncode == 0, prepared.stderr
    assert "40 users, 80 items" in prepared.stdout
    fields = [f"--config.dataset={out}", "--config.stream_window=512", "--config.epochs=2", f"--workdir={workdir}"]
    trained = run("train", *SMALL, *fields)
    assert trained.returncode == 0, trained.stderr
    listed = run("recommend", f"--workdir={workdir}", "--users=user-7,user-8", "--k=5")
    lists = pd.read_csv(io.StringIO(listed.stdout))
    assert set(lists["user"]) == {"user-7", "user-8"} and set(lists["item"]) <= set(log["movieId"])
    known = set(zip(log["userId"], log["movieId"], strict=True))
    assert not known & set(zip(lists["user"], lists["item"], strict=True))


def test_an_error_is_one_line_with_its_flag(tmp_path):
    process = run("prepare", f"--input={tmp_path / 'nothing'}", f"--out={tmp_path / 'out'}")
    assert_one_line(process, 2, "--input", "no such file")
