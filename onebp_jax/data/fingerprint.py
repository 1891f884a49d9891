"""The fingerprint of a data set: by it a run that goes on notices that its data changed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset

_PART = 2**24  # bytes


def fingerprint(dataset: Dataset | StreamedDataset) -> dict:
    """Sizes, checksums and, of a stream, the files: equal for equal data, as plain values for JSON."""
    if isinstance(dataset, StreamedDataset):
        return _of_stream(dataset)
    features = {}
    for tower in ("user", "item"):
        found = getattr(dataset, f"{tower}_features")
        if found is not None:
            features[f"{tower}_features_crc32"] = _crc32(found.numeric, found.tokens)
            features[f"{tower}_features"] = [*found.names, found.vocabulary]
    return features | _sizes(dataset, len(dataset.train)) | {"crc32": _crc32(dataset.train, dataset.test)}


def _of_stream(dataset: StreamedDataset) -> dict:
    stream = dataset.stream
    files = [
        [path.name, path.stat().st_size, found.num_rows]
        for path, found in zip(stream.files, stream.metadata, strict=True)
    ]
    return _sizes(dataset, stream.num_pairs) | {
        "validation_pairs": len(dataset.validation),
        "files": files,
        "columns": list(stream.columns),
        "crc32": _crc32(stream.user_ids, stream.item_ids, dataset.validation, dataset.test),
    }


def _sizes(dataset: Dataset | StreamedDataset, train_pairs: int) -> dict:
    return {
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "train_pairs": train_pairs,
        "test_pairs": len(dataset.test),
        "split": dataset.split,
    }


def _crc32(*arrays: np.ndarray) -> int:
    digest = 0
    for array in arrays:
        for part in _plain(array):
            digest = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).data, digest)
    return digest


def _plain(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array without objects: text as NumPy's text of one width, a part at a time, because few long ids make it large."""
    if array.dtype != object:
        yield array
        return
    width = max(1, *map(len, array.tolist()))
    rows = max(1, _PART // (4 * width))
    for start in range(0, len(array), rows):
        yield array[start : start + rows].astype(f"U{width}")
