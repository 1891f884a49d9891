"""The sources of the catalogue's sets, and the conversion of the sets to LightGCN text.

Nothing is redistributed: every file is downloaded from its public address, checked by its sha256, converted, and stored
as `train.txt.gz` and `test.txt.gz`, those of MovieLens with the ids and titles of their items (`items.csv`).
Two of the sets come in two splits:

    gowalla, yelp2018                split of LightGCN (https://arxiv.org/abs/2002.02126)
    gowalla-paper, yelp2018-paper    same pairs and ids, split of the OneBP paper (https://arxiv.org/abs/2403.18227)
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.ids import number_ids
from onebp_jax.data.movielens import items_of_ml_1m, items_of_ml_100k, items_of_package
from onebp_jax.data.pairs import pair_keys, to_pairs
from onebp_jax.data.readers import read_interactions, read_lightgcn
from onebp_jax.data.splits import per_user_ratio
from onebp_jax.errors import UserError


def fetch(url: str, sha256: str) -> bytes:
    """Downloads a file.

    Raises:
      UserError: the file is not the expected one.
      OSError, http.client.HTTPException: the file cannot be downloaded.
    """
    with urllib.request.urlopen(url, timeout=30) as response:
        data = response.read()
    logging.info("%s (%.1f MB)", url, len(data) / 1e6)
    return _checked(data, sha256, url)


def install(name: str, folder: Path, root: Path, *, download: bool = True) -> None:
    """Downloads a set of the catalogue, converts it and stores it completely or not at all.

    Args:
      name: a key of `SOURCES`.
      folder: where to store the set; this function makes it.
      root: the data root. Files in `root/raw/name`, with the names of their addresses, are used and not downloaded.
      download: whether other files may be downloaded.
    Raises:
      UserError: a file cannot be downloaded or is not the expected one, or the folder cannot be written.
    """
    with tempfile.TemporaryDirectory() as work:
        train, test, sentence, items = _obtain(name, Path(work), root, download)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as partial:
            done = Path(partial, "done")
            done.mkdir()
            _write_lightgcn(done / "train.txt.gz", train)
            _write_lightgcn(done / "test.txt.gz", test)
            (done / "split.txt").write_text(sentence + "\n")
            if items is not None:
                items.to_csv(done / "items.csv", index=False, encoding="utf-8", lineterminator="\n")
            os.replace(done, folder)
    except OSError as error:
        if not (folder / "train.txt.gz").is_file():  # else another process has stored the same files
            raise UserError(
                f"{name}: cannot be stored in {folder} ({error}); empty it, or set XDG_CACHE_HOME to a writable folder"
            ) from error


class Source(NamedTuple):
    """Where a set comes from, how it is converted, and its terms of use."""

    files: dict[str, str]  # address -> sha256
    convert: Callable[[Path], tuple[np.ndarray, np.ndarray]]  # folder of these files -> train and test pairs
    terms: str
    items: Callable[[Path], pd.DataFrame] | None = None  # folder of these files -> the table of items
    files_of_items: dict[str, str] = {}  # further files that `items` needs; a set is complete without them


class Obtained(NamedTuple):
    """Train and test pairs, the sentence that describes the split, and the table of items if there is one."""

    train: np.ndarray
    test: np.ndarray
    split: str
    items: pd.DataFrame | None = None


def _obtain(name: str, work: Path, root: Path, download: bool) -> Obtained:
    source = SOURCES[name]
    by_hand = root / "raw" / name
    logging.info("%s: terms of use: %s", name, source.terms)
    try:
        _collect(source.files, work, by_hand, download)
        train, test = source.convert(work)
        return Obtained(train, test, "given", _items(name, work, by_hand, download))
    except (OSError, HTTPException) as error:
        reason = error
    if name == "ml-100k" and download:
        with suppress(OSError, subprocess.SubprocessError):  # if this fails too, the first reason is reported
            return _ml_100k_from_package(work)
    raise UserError(
        f"{name}: not in {root / name} and cannot be downloaded ({reason}); get {' and '.join(source.files)}, put "
        f"{' and '.join(Path(url).name for url in source.files)} into {by_hand} (or finished train.txt and test.txt in "
        f"LightGCN text into {root / name}), and give data_dir={root}"
    ) from reason


def _collect(files: dict[str, str], work: Path, by_hand: Path, download: bool) -> None:
    """Puts files into the folder `work`, from the folder `by_hand` or from their addresses."""
    for url, sha256 in files.items():
        file = by_hand / Path(url).name
        if not file.is_file() and not download:
            raise FileNotFoundError("downloading is switched off")
        data = _checked(file.read_bytes(), sha256, file) if file.is_file() else fetch(url, sha256)
        (work / file.name).write_bytes(data)


def _items(name: str, work: Path, by_hand: Path, download: bool) -> pd.DataFrame | None:
    """The table of items; None, with a warning, if its files cannot be reached."""
    source = SOURCES[name]
    if source.items is None:
        return None
    try:
        _collect(source.files_of_items, work, by_hand, download)
    except (OSError, HTTPException) as error:
        logging.warning(
            "%s: without titles and MovieLens' ids, items are numbers from 0: %s cannot be downloaded (%s)",
            *(name, " and ".join(source.files_of_items), error),
        )
        return None
    return source.items(work)


def _checked(data: bytes, sha256: str, origin: str | Path) -> bytes:
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise UserError(
            f"{origin}: wrong checksum: sha256 {found}, expected {sha256}; nothing was kept, download it again"
        )
    return data


def _write_lightgcn(path: Path, pairs: np.ndarray) -> None:
    """Writes one line per user, users ascending, the items of each user in the order of the pairs."""
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    users, starts = np.unique(pairs[:, 0], return_index=True)
    rows = zip(users, np.split(pairs[:, 1], starts[1:]), strict=True)
    text = "".join(f"{user} {' '.join(map(str, items.tolist()))}\n" for user, items in rows)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _lightgcn(work: Path) -> tuple[np.ndarray, np.ndarray]:
    return read_lightgcn(work / "train.txt"), read_lightgcn(work / "test.txt")


def _paper(work: Path) -> tuple[np.ndarray, np.ndarray]:
    test = to_pairs(read_interactions(next(work.glob("*_test.csv"))))
    train = _without(np.concatenate(_lightgcn(work)), test)
    return train[np.lexsort((train[:, 1], train[:, 0]))], test  # sorted: the union of two files has no order


def _ml_100k(work: Path) -> tuple[np.ndarray, np.ndarray]:
    return to_pairs(read_interactions(work / "100k_train.csv")), to_pairs(read_interactions(work / "100k_test.csv"))


def _ml_1m(work: Path) -> tuple[np.ndarray, np.ndarray]:
    """User = raw id - 1; items are numbered by first appearance."""
    with zipfile.ZipFile(work / "ml-1m.zip") as archive:
        ratings = read_interactions(archive.extract("ml-1m/ratings.dat", work))
    pairs = np.stack([ratings["user"] - 1, pd.factorize(ratings["item"])[0]], axis=1).astype(np.int32)
    test = to_pairs(read_interactions(work / "1m1_test.csv"))
    return _without(pairs, test), test


def _ml_100k_from_package(work: Path) -> Obtained:
    """The ratings from a Python package, used if the address of the paper's split cannot be reached."""
    sentence = "per-user random 20 %, seed 0: not the paper's split"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(work), "recbole==1.2.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    wheel = work / "recbole-1.2.1-py3-none-any.whl"
    _checked(wheel.read_bytes(), "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        file = archive.extract("recbole/dataset_example/ml-100k/ml-100k.inter", work)
        (ratings,), _, rated = number_ids([read_interactions(file)], indexed=False)
        items = items_of_package(archive, rated)
    logging.warning("ml-100k: the paper's files cannot be reached; ratings from recbole 1.2.1, %s", sentence)
    train, test = per_user_ratio(to_pairs(ratings), 0.2, seed=0)
    return Obtained(train, test, sentence, items)


def _without(pairs: np.ndarray, others: np.ndarray) -> np.ndarray:
    return pairs[~np.isin(pair_keys(pairs), pair_keys(others))]


_LIGHTGCN = "https://raw.githubusercontent.com/kuandeng/LightGCN/b067ec05f16a24e0e1efe63cd82385f0c469af20/Data"
_ONEBP = "https://raw.githubusercontent.com/studentcej/OneBP/8ad479b982ebbbbdb384704d27795465be170d97/data"
_EARLY = "https://raw.githubusercontent.com/studentcej/OneBP/5dea04878fa8cafed475e85c7c52342c15a398d5/data"
_MOVIELENS = "https://files.grouplens.org/datasets/movielens"
_GROUPLENS = "GroupLens: research use, no redistribution, no commercial use without permission"
_GOWALLA = "no licence stated; research use only"
_YELP = "Yelp data agreement: academic use, no redistribution"
_GOWALLA_FILES = {
    f"{_LIGHTGCN}/gowalla/train.txt": "7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62",
    f"{_LIGHTGCN}/gowalla/test.txt": "099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
}
_YELP_FILES = {
    f"{_LIGHTGCN}/yelp2018/train.txt": "1e9568725a9e833d0ac3bae01c94cd95367f73b3bb6104fd26b5f65ea5054093",
    f"{_LIGHTGCN}/yelp2018/test.txt": "9cd9b37926cd1447a06625ffa7914527573fb097c10cb0bbdb1d1b8ded3742fe",
}
_GOWALLA_TEST = {f"{_EARLY}/gowalla_test.csv": "e44e06efc395e805507f6324760a84732af360e211c7625a3436c5b1ccf10088"}
_YELP_TEST = {f"{_EARLY}/yelp2018_test.csv": "0a524cab79ff77bf6db292b823291ea93ca38af42ce7eaa03124914d7944450b"}
_ML_100K_FILES = {
    f"{_ONEBP}/100k_train.csv": "8a3625f58b6e88fca5e70690f3d89990ff81a46b631705acbbe5c6a2e51822e8",
    f"{_ONEBP}/100k_test.csv": "39de7a693911ccae580852feab0631f2919767fdfbd4b2450a2f9352f9c6c174",
}
_ML_100K_ITEMS = {
    f"{_MOVIELENS}/ml-100k.zip": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
}
_ML_1M_FILES = {
    f"{_MOVIELENS}/ml-1m.zip": "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    f"{_ONEBP}/1m1_test.csv": "c827b5346d1e4d874da648037799e40dce781951935ccfe8b843acfdb61ba228",
}
SOURCES = {
    "ml-100k": Source(_ML_100K_FILES, _ml_100k, _GROUPLENS, items_of_ml_100k, _ML_100K_ITEMS),
    "ml-1m": Source(_ML_1M_FILES, _ml_1m, _GROUPLENS, items_of_ml_1m),
    "gowalla": Source(_GOWALLA_FILES, _lightgcn, _GOWALLA),
    "yelp2018": Source(_YELP_FILES, _lightgcn, _YELP),
    "gowalla-paper": Source(_GOWALLA_FILES | _GOWALLA_TEST, _paper, _GOWALLA),
    "yelp2018-paper": Source(_YELP_FILES | _YELP_TEST, _paper, _YELP),
}
