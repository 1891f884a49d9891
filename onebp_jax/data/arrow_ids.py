"""Ids in columns of Parquet: int64 or text, by the same check as ids in pandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from onebp_jax.data.blanks import BLANKS
from onebp_jax.data.ids import clean_ids, id_kind
from onebp_jax.data.whole_numbers import whole_numbers
from onebp_jax.data.written_ids import say_beyond, say_floats
from onebp_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def kind_of(path: Path, field: pa.Field) -> str:
    """ "numbers" or "text": what a column holds, encoded as a dictionary or not."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    found = str(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        found = "integer"  # the values are looked at when they are read
    elif _is_text(kind):
        found = "string"
    return id_kind(f"{path}: the ids in column {field.name}", found)


def plain(what: str, column: pa.ChunkedArray) -> pa.Array:
    """A column as int64 or text, without a dictionary; raises `UserError` for a missing value or a number that is not whole."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if column.null_count:
        raise UserError(
            f"{what}: missing values: {column.null_count} of {len(column)}, expected none; remove or fill these rows"
        )
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        return _whole(what, column.cast(kind).combine_chunks())
    return column.cast(pa.int64() if pa.types.is_integer(kind) else pa.large_string()).combine_chunks()


def _whole(what: str, column: pa.Array) -> pa.Array:
    """Floats, decimals and unsigned numbers as int64, or as text if some are beyond 64 bits."""
    import pyarrow as pa

    encoded = column.dictionary_encode()
    distinct = encoded.dictionary.to_pandas()
    found = whole_numbers(what, distinct, lambda wrong: ("", distinct.loc[wrong].iloc[0]))
    return pa.array(found, pa.int64() if found.dtype.kind == "i" else pa.large_string()).take(encoded.indices)


def bare(column: pa.Array) -> pa.Array:
    """Text without blanks around it, as `clean_ids` makes it."""
    import pyarrow.compute as pc

    return pc.utf8_trim(column, characters=BLANKS)  # type: ignore[attr-defined]


def of_one_type(parts: list[pa.Array]) -> list[pa.Array]:
    """The parts of a column, all as text if some are: numbers beyond 64 bits are."""
    import pyarrow as pa

    return [part.cast(pa.large_string()) for part in parts] if len({part.type for part in parts}) > 1 else parts


def distinct_ids(what: str, found: pa.Array, stored: set[pa.DataType]) -> np.ndarray | pd.api.extensions.ExtensionArray:
    """The distinct ids of a column, checked; `stored` are its types in the files."""
    import pyarrow as pa

    stored = {kind.value_type if pa.types.is_dictionary(kind) else kind for kind in stored}
    if any(map(pa.types.is_floating, stored)):
        say_floats(what)
    ids = found.to_pandas()
    if pa.types.is_large_string(found.type) and not any(map(_is_text, stored)):
        say_beyond(what, ids)
        return ids.to_numpy(object)
    return clean_ids(what, ids)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
