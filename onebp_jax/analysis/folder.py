"""The folder of an analysis: its numbers (CSV), its pictures (SVG) and its page (Markdown)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.analysis import latent_types, page, pictures
from onebp_jax.analysis.frames import rows_of
from onebp_jax.analysis.latent_types import FORMS
from onebp_jax.analysis.published import OVERALL
from onebp_jax.analysis.study import SHOWN_K, Study
from onebp_jax.training.files import write_atomically


def write(found: Study, out: Path, command: str, names: Sequence[str] = ()) -> None:
    """Writes the numbers (CSV), the pictures (SVG) and the page `analysis.md` to a folder; maps are made here.

    Args:
      command: what made them, for the page. names: in the order of their colours; by default those of the models.
    """
    colours = pictures.colours_of(found.names, names)
    for name in ("table5", "fig4", "fig7", "fig8"):
        frame: pd.DataFrame = getattr(found, name)
        write_atomically(
            out / f"{name}.csv", lambda file, frame=frame: frame.to_csv(file, index=False, float_format="%.6g")
        )
    overall = rows_of(found.table5, genre=OVERALL, own=True)
    pictures.probe(overall, colours, found.published, out / "table5.svg")
    first = found.models[0].seed
    shown = [model for model in found.models if model.seed == first]
    history = found.dataset.train[found.dataset.train[:, 0] == found.user, 1]
    logging.info("maps of the items of %d models, two of each: a minute or more", len(shown))
    for form in FORMS:
        panels = []
        for model in shown:
            vectors = np.concatenate([model.item, model.user[found.user : found.user + 1]])
            places = latent_types.map_of(latent_types.unit(vectors) if form == "unit" else vectors, found.seed)
            panels.append((model.name, places, found.own[model.name, model.seed, form]))
        pictures.maps(panels, history, found.types, out / f"fig4_{form}.svg")
    one = rows_of(found.fig7, seed=first, types="own")
    pictures.one_user(one, [model.name for model in shown], out / "fig7.svg")
    pictures.all_users(found.fig8, colours, min(SHOWN_K, int(found.fig8["k"].to_numpy().max())), out / "fig8.svg")
    write_atomically(out / "analysis.md", lambda file: file.write(page.markdown(found, command).encode()))
