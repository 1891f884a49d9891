"""`from_frame`: interactions in memory, a pandas DataFrame or a SciPy sparse matrix, become a `Dataset`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.assemble import Choices, Tables, assemble, check_choices
from onebp_jax.data.column_names import check_names, index_as_columns
from onebp_jax.data.columns import Roles, interactions, say_columns_not_taken
from onebp_jax.data.dataset import Dataset
from onebp_jax.errors import UserError

if TYPE_CHECKING:
    from scipy.sparse import sparray, spmatrix

    Interactions = pd.DataFrame | sparray | spmatrix


def from_frame(
    frame: Interactions,
    *,
    test: Interactions | None = None,
    name: str = "frame",
    split: str = "auto",
    test_fraction: float = 0.2,
    split_seed: int = 0,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    rating_column: str | None = None,
    min_rating: float | None = None,
    min_user_items: int = 0,
    min_item_users: int = 0,
    deduplicate: str = "first",
) -> Dataset:
    """A data set of interactions in memory; `load` makes the same of the same rows in a file.

    Args:
      frame: a DataFrame with one row per interaction; its index counts as columns if it has names. Or a SciPy sparse matrix or
        array, `[users, items]`: each stored number but 0 is an interaction, with itself as the rating, and the ids are the
        numbers of rows and columns, those without interactions too.
      test: the test part, of the same kind. Then `split="auto"` is "given".
      name: the name of the set.
      split, test_fraction, split_seed, user_column, item_column, time_column, rating_column, min_rating, min_user_items,
        min_item_users, deduplicate: as for `load`.
    Raises:
      UserError: the frame is of another kind, a column cannot be found or read, or as `load`.

    >>> dataset = from_frame(pd.DataFrame({"user": ["ann", "ann", "bob"], "item": [7, 8, 7]}), split="none")
    >>> dataset.train.tolist(), dataset.user_ids.tolist()
    ([[0, 0], [0, 1], [1, 0]], ['ann', 'bob'])
    """
    choices = Choices(split, test_fraction, split_seed, min_rating, min_user_items, min_item_users, deduplicate)
    check_choices(choices)
    roles = Roles.of(
        user_column, item_column, time_column, rating_column, rated=min_rating is not None, timed=choices.by_time
    )
    given = {name: frame} if test is None else {f"{name} (train)": frame, f"{name} (test)": test}
    matrices = [is_sparse(part) for part in given.values()]
    if all(matrices):
        _check_no_columns(name, roles)
        return assemble(name, _of_matrices(given, rated=roles.rated), choices)
    if any(matrices):
        raise UserError(f"{name}: a DataFrame and a sparse matrix, expected two of one kind; convert one of them")
    frames = []
    for source, part in given.items():
        table = _table(source, part)
        frames.append(interactions(source, table, roles, lambda row: f"row {row + 1}", is_text=False))
        if len(frames) == 1:
            say_columns_not_taken(source, list(table), roles)
    return assemble(name, Tables(frames), choices)


def is_sparse(value: object) -> bool:
    """Whether it is a SciPy sparse matrix or array; SciPy is not loaded for it."""
    scipy_sparse: Any = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and scipy_sparse.issparse(value)


def _table(source: str, frame: object) -> pd.DataFrame:
    """The columns of a DataFrame, with those of a named index."""
    if not isinstance(frame, pd.DataFrame):
        raise UserError(
            f"{source}: a {type(frame).__name__}, expected a pandas DataFrame with a user and an item column, or a SciPy "
            f"sparse matrix; {_advice(frame)}"
        )
    if not len(frame):
        raise UserError(f"{source}: the frame has no rows, expected one per interaction; check where it comes from")
    return check_names(source, index_as_columns(source, frame))


def _advice(given: object) -> str:
    """How something that is no frame becomes one."""
    if isinstance(given, str | os.PathLike):
        return "give data.load the path of a file"
    if hasattr(given, "to_pandas"):  # of pyarrow, Polars and others
        return "convert it with .to_pandas()"
    if isinstance(given, pd.Series):
        return "give the frame with both columns"
    if isinstance(given, np.ndarray):
        return "make one: pd.DataFrame(array, columns=['user', 'item']), or scipy.sparse.csr_array(array) of [users, items]"
    return "make one: pd.DataFrame(.., columns=['user', 'item'])"


def _check_no_columns(name: str, roles: Roles) -> None:
    """Raises `UserError` if columns are named."""
    for role in ("user", "item", "time", "rating"):
        if column := getattr(roles, role):
            raise UserError(
                f"{name}: a sparse matrix has no columns: leave {role}_column={column!r} out, or give a DataFrame"
            )


def _of_matrices(given: dict[str, Any], *, rated: bool) -> Tables:
    """The stored numbers of sparse matrices of one shape; says if they are other than 1 and not used (`rated`)."""
    shapes = {matrix.shape for matrix in given.values()}
    sizes = shapes.pop()
    if shapes or len(sizes) != 2:
        raise UserError(
            f"{next(iter(given))}: matrices of shapes {[m.shape for m in given.values()]}, expected one [users, items]"
        )
    frames = []
    for source, matrix in given.items():
        matrix = _checked(source, matrix)
        if matrix.dtype.kind not in "biuf":
            raise UserError(f"{source}: a matrix of type {matrix.dtype}, expected real numbers; convert it")
        there = matrix.data != 0
        if not there.all():
            logging.warning("%s: %d stored zeros are no interactions and are left out", source, (~there).sum())
        if np.isnan(matrix.data).any():
            raise UserError(f"{source}: a stored number is NaN, expected none; remove it")
        if not rated:
            _say_weights(source, matrix.data[there])
        row, column = (np.asarray(place, np.int64)[there] for place in (matrix.row, matrix.col))
        frames.append(pd.DataFrame({"user": row, "item": column, "rating": matrix.data[there].astype(np.float64)}))
    return Tables(frames, indexed=True, sizes=(int(sizes[0]), int(sizes[1])))


def _checked(source: str, matrix: Any) -> Any:
    """The matrix in coordinates. Raises `UserError` if its arrays do not fit together, with which SciPy would crash."""
    try:
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
        matrix = matrix.tocoo()
        places = [(np.asarray(place), size) for place, size in zip((matrix.row, matrix.col), matrix.shape, strict=True)]
        if any(len(place) != len(matrix.data) for place, _ in places):
            raise ValueError("as many rows and columns as numbers are needed")
        if any(len(place) and (place.min() < 0 or place.max() >= size) for place, size in places):
            raise ValueError(f"a row or column is outside {matrix.shape}")
    except (ValueError, IndexError, TypeError) as error:
        raise UserError(f"{source}: a damaged sparse matrix ({error}); make it again") from error
    return matrix


def _say_weights(source: str, numbers: np.ndarray) -> None:
    """Warns of stored numbers that say more than that there is an interaction: others than 1, negative ones."""
    weights, negative = numbers[numbers != 1], numbers[numbers < 0]
    if len(weights):
        logging.warning(
            "%s: %d of %d stored numbers are not 1, such as %g, and %d are negative%s; they are not used, each counts as one "
            "interaction; min_rating sets a threshold",
            *(source, len(weights), len(numbers), weights[0]),
            *(len(negative), f", such as {negative[0]:g}" if len(negative) else ""),
        )
