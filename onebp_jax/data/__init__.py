"""From files to arrays of (user, item) pairs: readers, splits, the catalogue of data sets, a synthetic generator.

All of it but `device` runs on the host with NumPy and pandas. Start with `load`:

    dataset = load("gowalla")                            # a set of the catalogue, downloaded once
    dataset = load("my.csv", split="time")               # your own file
    dataset = load("my.csv", item_features="items.csv")  # and side information about its items
    dataset = from_frame(frame)                          # a pandas DataFrame, or a SciPy sparse matrix

Data that do not fit in memory stay in a folder of Parquet files. `load_streamed` opens the folder with its validation and test
part; `open_stream` opens training pairs alone, and `epoch_batches` gives them in shuffled batches.
"""

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.data.catalogue import load
from onebp_jax.data.dataset import Dataset, Features, check
from onebp_jax.data.features import parse_columns, to_features
from onebp_jax.data.frames import from_frame
from onebp_jax.data.readers import read_interactions, read_lightgcn
from onebp_jax.data.splits import hold_out_validation, leave_one_out, one_cut, per_user_ratio
from onebp_jax.data.stream import epoch_batches, train_csr
from onebp_jax.data.stream_index import Stream, open_stream
from onebp_jax.data.streamed import StreamedDataset, load_streamed
from onebp_jax.data.synthetic import generate

__all__ = [
    "Dataset",
    "Features",
    "Stream",
    "StreamedDataset",
    "epoch_batches",
    "check",
    "from_frame",
    "generate",
    "hold_out_validation",
    "leave_one_out",
    "load",
    "load_streamed",
    "one_cut",
    "open_stream",
    "parse_columns",
    "per_user_ratio",
    "read_interactions",
    "read_lightgcn",
    "to_features",
    "train_csr",
]

__getattr__ = renamed_names(__name__, {"Streamed": "StreamedDataset", "blocks": "epoch_batches"})
