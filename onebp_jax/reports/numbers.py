"""All numbers of a report, as frames: what is written as CSV, and what tables and pictures are made of."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from onebp_jax.analysis.genres import Genres
from onebp_jax.reports import accuracy, listed, making
from onebp_jax.reports.runs import Runs


class Numbers(NamedTuple):
    """Frames in long form, see the functions that make them.

    Attributes:
      best: protocol -> the best method by the criterion on the test set. metrics, published, differences, histories: of
        `accuracy`. lists, popularity, concentration: of `listed`. curves, speed: of `making`.
    """

    best: dict[str, str]
    metrics: pd.DataFrame
    published: pd.DataFrame
    differences: pd.DataFrame
    histories: pd.DataFrame
    lists: pd.DataFrame
    popularity: pd.DataFrame
    concentration: pd.DataFrame
    curves: pd.DataFrame
    speed: pd.DataFrame

    def frames(self) -> dict[str, pd.DataFrame]:
        """Those with rows, by name."""
        return {name: frame for name, frame in self._asdict().items() if isinstance(frame, pd.DataFrame) and len(frame)}


def numbers(found: Runs, genres: Genres | None) -> Numbers:
    """Makes all of them. Without genres some measures of lists are left out."""
    users = accuracy.of_users(found)
    return Numbers(
        best=accuracy.best(found, users),
        metrics=accuracy.of_runs(found),
        published=accuracy.printed(found),
        differences=accuracy.differences(found, users),
        histories=accuracy.by_history(found, users),
        lists=listed.of_runs(found, genres),
        popularity=listed.by_popularity(found),
        concentration=listed.concentration(found),
        curves=making.curves(found),
        speed=making.speed(found),
    )
