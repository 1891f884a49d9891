"""All analyses of some runs: their numbers as frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.analysis import latent_types, shares
from onebp_jax.analysis.frames import with_columns
from onebp_jax.analysis.genres import CLOSENESS, Genres, probe
from onebp_jax.analysis.latent_types import FORMS
from onebp_jax.analysis.models import Model
from onebp_jax.analysis.published import OVERALL, genres
from onebp_jax.data.dataset import Dataset

# Lengths of lists in Fig. 8, and the one of Fig. 7.
KS, SHOWN_K = (5, 10, 20, 50, 100), 20
# What tables call the types of a model's own items, by the form of the vectors that are clustered.
OWN = {"raw": "own", "unit": "own, unit"}
# The method whose types also serve for the lists of all others; without a run of it, the first method.
REFERENCE = "twobp"


class Study(NamedTuple):
    """The numbers of all analyses.

    Attributes:
      dataset: the data of the runs. models: they and the vectors that they began with. types, seed: of the clusters.
      user: the row of the user in Figs. 4 and 7.
      table5, fig4, fig7, fig8: frames in long form, with the columns model and seed; what else is in them, see `probe`,
        `latent_types.numbers` and `shares`. The column types says which types: `OWN`, of one method, of the genres.
      own: `(model, seed, form)` -> types of its items. published: whether the paper has numbers for these data.
    """

    dataset: Dataset
    models: list[Model]
    types: int
    seed: int
    user: int
    table5: pd.DataFrame
    fig4: pd.DataFrame
    fig7: pd.DataFrame
    fig8: pd.DataFrame
    own: dict[tuple[str, int, str], np.ndarray]
    published: bool

    @property
    def names(self) -> list[str]:
        """The names of the models, `start` first."""
        return list(dict.fromkeys(model.name for model in self.models))


def study(dataset: Dataset, models: Sequence[Model], labels: Genres, types: int = 6, seed: int = 0) -> Study:
    """Makes all numbers.

    Args:
      dataset, models: of `models.read_models`. labels: the genres of the items. types: how many clusters. seed: of KMeans,
        shuffles and maps.

    Raises:
      UserError: too few items for so many types, or scikit-learn is missing.
    """
    own = {
        (model.name, model.seed, form): latent_types.types_of(model, form, types, seed)
        for model in models
        for form in FORMS
    }
    user = latent_types.example_user(dataset.train, dataset.test, dataset.num_users)
    by_genres = latent_types.genre_types(labels, types, seed)
    reference = next((model for model in models if model.name == REFERENCE), models[-1]).name
    any_seed = next(of_item for key, of_item in own.items() if key[::2] == (reference, "raw"))
    tables: dict[str, list[pd.DataFrame]] = {"table5": [], "fig4": [], "fig7": [], "fig8": []}
    for model in models:
        logging.info("%s, seed %d: %s", model.name, model.seed, model.made)
        kinds = {
            **{OWN[form]: own[model.name, model.seed, form] for form in FORMS},
            f"of {reference}": own.get((reference, model.seed, "raw"), any_seed),
            "genres": by_genres,
        }
        made = _of_model(dataset, model, labels, kinds, types, seed, user)
        for name, frames in made.items():
            tables[name] += [with_columns(frame, model=model.name, seed=model.seed) for frame in frames]
    joined = {name: pd.concat(frames, ignore_index=True) for name, frames in tables.items()}
    known = dataset.name == "ml-100k" and set(labels.names) == set(genres()) - {OVERALL}
    return Study(dataset, list(models), types, seed, user, **joined, own=own, published=known)


def _of_model(
    dataset: Dataset,
    model: Model,
    labels: Genres,
    kinds: dict[str, np.ndarray],
    types: int,
    seed: int,
    user: int,
) -> dict[str, list[pd.DataFrame]]:
    """The rows of one model in each table."""
    train, test = dataset.train, dataset.test
    known, wanted = (pairs[pairs[:, 0] == user, 1] for pairs in (train, test))
    ks = [k for k in KS if k <= model.lists.shape[1]]
    shown, list_of_user = min(SHOWN_K, ks[-1]), model.lists[user]
    return {
        "table5": [
            with_columns(probe(model.item, labels, closeness, own=own), closeness=closeness, own=own)
            for closeness in CLOSENESS
            for own in (True, False)
        ],
        "fig4": [
            with_columns(
                pd.DataFrame(
                    latent_types.numbers(model, "unit" if kind == OWN["unit"] else "raw", of_item, train, seed).items(),
                    columns=["metric", "value"],
                ),
                types=kind,
            )
            for kind, of_item in kinds.items()
        ],
        "fig7": [
            with_columns(shares.of_one_user(list_of_user[:shown], known, wanted, of_item, types), types=kind, k=shown)
            for kind, of_item in kinds.items()
        ],
        "fig8": [
            with_columns(shares.of_all_users(model.lists, train, test, of_item, types, ks), types=kind)
            for kind, of_item in kinds.items()
        ],
    }
