"""Exported vectors: one row per vector, with the original ids and the exact numbers."""

import numpy as np
import pandas as pd
import pytest
from support.programs import ROOT

from onebp_jax.errors import UserError
from onebp_jax.serving import export, recommend, write_lists
from onebp_jax.training.run_folder import Trained

MANUAL = (ROOT / "docs" / "programs.md").read_text()
RANDOM = np.random.default_rng(0)
ITEM = RANDOM.normal(size=(4, 2)).astype(np.float32)
IDS = np.array(["x", "y", "z"]), np.array([10, 20, 30, 40])


@pytest.mark.parametrize("several", [False, True])
def test_one_row_per_vector(several, tmp_path):
    user = RANDOM.normal(size=(3, 2, 2) if several else (3, 2)).astype(np.float32)
    written = export(Trained(None, {}, user, ITEM, *IDS), tmp_path / "v.csv")
    users, items = (pd.read_csv(path) for path in written)
    assert items["id"].tolist() == IDS[1].tolist() and list(items) == ["id", "v0", "v1"]
    np.testing.assert_array_equal(items[["v0", "v1"]].to_numpy(np.float32), ITEM)
    np.testing.assert_array_equal(users[["v0", "v1"]].to_numpy(np.float32), user.reshape(-1, 2))
    assert users["id"].tolist() == (["x", "x", "y", "y", "z", "z"] if several else ["x", "y", "z"])
    assert not several or users["interest"].tolist() == [0, 1] * 3


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_a_path_may_be_text(ending, tmp_path):
    run = Trained(None, {}, ITEM[:3], ITEM, *IDS)
    written = export(run, str(tmp_path / f"text.{ending}"))
    again = export(run, tmp_path / f"path.{ending}")
    assert [a.read_bytes() for a in written] == [b.read_bytes() for b in again]


def test_parquet_without_pyarrow_says_how_to_install_it_as_the_manual_does(monkeypatch, tmp_path):
    def missing(*args, **kwargs):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", missing)
    run = Trained(None, {}, RANDOM.normal(size=(3, 2)).astype(np.float32), ITEM, *IDS)
    for write in (lambda path: export(run, path), lambda path: write_lists(recommend(run, None, 2, None), path)):
        with pytest.raises(UserError) as caught:
            write(tmp_path / "v.parquet")
        assert "v.parquet: Parquet needs pyarrow" in str(caught.value)
        install = "-m pip install 'onebp-jax[serving]'"
        assert install in str(caught.value) and install in MANUAL
    assert not list(tmp_path.iterdir())
