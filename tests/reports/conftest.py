"""Finished runs that the tests of reports share."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.programs import SMALL, run

ROWS = ("--methods=onebp,twobp,ease,onebp:dim=4", "--seeds=0,1", "--config.epochs=4", "--config.eval_every=1")


@pytest.fixture(scope="session")
def compared(tmp_path_factory) -> Path:
    """A folder with `runs`, as `onebp compare` makes them, and `items.csv`, the genres of their items."""
    folder = tmp_path_factory.mktemp("compared")
    made = run("compare", *SMALL, *ROWS, f"--workdir={folder / 'runs'}")
    assert made.returncode == 0, made.stderr
    items = pd.DataFrame({"item": range(90), "genres": np.resize(["Comedy", "Comedy|Drama", "War"], 90)})
    items.to_csv(folder / "items.csv", index=False)
    return folder
