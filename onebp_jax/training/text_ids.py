"""Original ids of text in npz files, without pickle.

In memory, ids of text are Python strings in an array of objects, each as long as it is. An npz file holds them as
NumPy's text of one width, which any program reads: `user_ids`. Where few long ids would make that large, it holds instead

    user_ids_utf8   uint8[bytes], the ids one after another in UTF-8
    user_ids_ends   int64[M], where each id ends
"""

from __future__ import annotations

import numpy as np

_WIDE = 2**24  # bytes of text of one width
_UTF8, _ENDS = "_utf8", "_ends"


def to_file(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as an npz file holds them: without objects."""
    stored = {}
    for name, array in arrays.items():
        if array.dtype != object:
            stored[name] = array
            continue
        lengths = np.array([len(text) for text in array.tolist()], np.int64)
        width = lengths.max(initial=1)
        if 4 * width * len(array) <= _WIDE or width <= 8 * lengths.mean():
            stored[name] = array.astype(np.str_)
            continue
        texts = [text.encode("utf-8", "surrogatepass") for text in array.tolist()]
        stored[name + _UTF8] = np.frombuffer(b"".join(texts), np.uint8)
        stored[name + _ENDS] = np.cumsum([len(text) for text in texts])
    return stored


def from_file(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of `to_file`: text, of whatever form, is an array of Python strings."""
    arrays = {}
    for name, array in stored.items():
        if name.endswith(_UTF8):
            name, ends = name.removesuffix(_UTF8), stored[name.removesuffix(_UTF8) + _ENDS].tolist()
            data, starts = array.tobytes(), [0, *ends[:-1]]
            texts = [data[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=True)]
            array = np.array(texts, object)
        if not name.endswith(_ENDS):
            arrays[name] = array.astype(object) if array.dtype.kind == "U" else array
    return arrays
