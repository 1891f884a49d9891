"""Exports the vectors of a run: one table per tower, with the original ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from onebp_jax.data.paths import as_path, writing
from onebp_jax.errors import NEEDS_PYARROW, UserError, no_such
from onebp_jax.training.run_folder import Trained, write_atomically, write_npz

FORMATS = (".npz", ".csv", ".tsv", ".parquet")


def export(run: Trained, out: str | os.PathLike) -> list[Path]:
    """Writes the vectors of a run and returns the files written.

    Args:
      run: a finished run.
      out: its ending chooses the format. `.npz` gives one file with `user [M, d], item [N, d], user_ids, item_ids`
        (long ids: see `onebp_jax.training.text_ids`). `.csv`,
        `.tsv` and `.parquet` give two files, `STEM_user` and `STEM_item`, with one row per vector and the columns id, v0, v1, ..
        (and interest, if users have several vectors).

    Raises:
      UserError: the ending is another one, the folder does not exist, or Parquet is asked for without pyarrow.
    """
    out = as_path(out, "out")
    ending = out.suffix.lower()
    if ending not in FORMATS:
        raise UserError(f"out={out}: expected a name that ends in {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise UserError(f"out={out}: {no_such('folder', out.parent)}")
    if ending == ".npz":
        arrays = {name: getattr(run, name) for name in ("user", "item", "user_ids", "item_ids")}
        with writing("out", out):
            write_npz(out, arrays)
        return [out]
    written = []
    for name, ids, vectors in (("user", run.user_ids, run.user), ("item", run.item_ids, run.item)):
        columns = [f"v{i}" for i in range(vectors.shape[-1])]
        frame = pd.DataFrame(vectors.reshape(-1, len(columns)), columns=columns)
        if vectors.ndim == 3:
            several = vectors.shape[1]
            frame.insert(0, "interest", np.tile(np.arange(several), len(vectors)))
            ids = np.repeat(ids, several)
        frame.insert(0, "id", ids)
        path = out.with_name(f"{out.stem}_{name}{out.suffix}")
        try:
            with writing("out", path):
                write_atomically(path, lambda file, frame=frame: _write(frame, file, ending))
        except ImportError as error:
            raise UserError(f"out={out}: {NEEDS_PYARROW}, or choose another format") from error
        written.append(path)
    return written


def _write(frame: pd.DataFrame, file: IO[bytes], suffix: str) -> None:
    if suffix == ".parquet":
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
