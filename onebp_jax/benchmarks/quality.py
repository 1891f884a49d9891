"""Wall time against test NDCG@20: our methods and the models of `implicit`, on the same cores, one after the other.

A point is a model after some seconds of preparation and training, measured on the test set by one evaluator; evaluation is not
counted, compilation is reported apart. A trained model has a point before its first epoch, one without training has one point.
These are curves, not results: the best point of each is chosen on the test set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from onebp_jax.benchmarks.peers import load_implicit, user_items
from onebp_jax.config.by_size import closed
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import popularity
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError
from onebp_jax.evaluation import evaluator
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import Layout
from onebp_jax.training import runner


class Curve(NamedTuple):
    """One model: `label`, seconds of compilation, and its points `(epochs or iterations, training seconds, test NDCG@20)`."""

    label: str
    compile_s: float
    points: list[tuple[int, float, float]]

    @property
    def best(self) -> tuple[int, float, float]:
        """The point of the highest NDCG@20, chosen on the test set."""
        return max(self.points, key=lambda point: point[2])

    def seconds_to(self, quality: float) -> float | None:
        """Training seconds until the curve first passes `quality`; None if it never does."""
        return next((seconds for _, seconds, value in self.points if value > quality), None)


def own_curve(
    config, dataset: Dataset | StreamedDataset, label: str, say: Callable[[str], None], layout: Layout | None = None
) -> Curve:
    """Trains a configuration for all its epochs on the whole training set, evaluating every `eval_every` epochs."""
    config.protocol = "paper_oracle"  # holds nothing out: every point is measured on the test set, like the peer's
    config = closed(config, dataset)
    method = build_method(config)
    if isinstance(method, Baseline):
        return _one_point(method, dataset, label, say)
    job, run = runner.prepare(config, method, dataset, layout)
    run, points = job.compile(run, runner.next_length(job, run)), []

    def measured(run, epoch: int):
        run, metrics = runner.evaluate(job, run)
        points.append((epoch, run.progress.seconds.prepare + run.progress.seconds.train, metrics[CRITERION]))
        say(f"{label}: epoch {epoch}, {points[-1][1]:.1f} s, {CRITERION} {points[-1][2]:.4f}")
        return run

    run = measured(run, 0)
    while not runner.is_done(job, run):
        run = job.advance(run, runner.next_length(job, run))
        epoch, rest = divmod(run.step, job.epoch_steps)
        if not rest and epoch % config.eval_every == 0:
            run = measured(run, epoch)
    return Curve(label, run.progress.seconds.compile, points)


def _one_point(method: Baseline, dataset: Dataset | StreamedDataset, label: str, say: Callable[[str], None]) -> Curve:
    """A method that is not trained, after its fit."""
    shape, started = (dataset.num_users, dataset.num_items), time.perf_counter()
    tables = method.tables(dataset.train, *shape)
    seconds = time.perf_counter() - started
    measure = evaluator(dataset.train, dataset.test, shape, popularity(dataset))
    value = measure(*map(jnp.asarray, tables))[CRITERION]
    say(f"{label}: {seconds:.1f} s, {CRITERION} {value:.4f}")
    return Curve(label, 0.0, [(0, seconds, value)])


def implicit_curve(
    kind: str, dataset: Dataset | StreamedDataset, every: int, say: Callable[[str], None], **settings
) -> Curve:
    """Fits implicit's `als` or `bpr` with `settings` (of its constructor), measured every `every` iterations."""
    models = load_implicit()
    shape = dataset.num_users, dataset.num_items
    measure = evaluator(dataset.train, dataset.test, shape, popularity(dataset))
    given, alpha = dict(settings), settings.pop("alpha", 1.0)
    model = {"als": models.als, "bpr": models.bpr}[kind](random_state=0, **settings)
    label = f"implicit {kind.upper()} " + " ".join(f"{name}={value:g}" for name, value in given.items())
    points, away = [], 0.0
    matrix = user_items(dataset.train, *shape) * alpha
    started = time.perf_counter()

    def note(iteration: int, *_) -> None:
        nonlocal away
        paused = time.perf_counter()
        if (iteration + 1) % every == 0:
            value = measure(jnp.asarray(model.user_factors), jnp.asarray(model.item_factors))[CRITERION]
            points.append((iteration + 1, paused - started - away, value))
            say(f"{label}: iteration {iteration + 1}, {points[-1][1]:.1f} s, {CRITERION} {value:.4f}")
        away += time.perf_counter() - paused

    try:
        model.fit(matrix, show_progress=False, callback=note)
    except (
        Exception
    ) as error:  # implicit raises errors of its own: numbers that are not finite, a rate that is too high
        raise UserError(f"{label}: {type(error).__name__}: {str(error)[:200]}; other settings may fit") from error
    return Curve(label, 0.0, points)


def plot(curves: list[Curve], title: str, path) -> None:
    """Writes the curves as a picture: seconds (logarithmic) against NDCG@20."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
    for curve in curves:
        _, seconds, values = zip(*curve.points, strict=True)
        axes.plot(
            seconds,
            values,
            marker=".",
            linestyle="--" if curve.label.startswith("implicit") else "-",
            label=curve.label,
        )
    axes.set(
        xscale="log",
        xlabel="seconds of preparation and training (compilation and evaluation apart)",
        ylabel=f"test {CRITERION}",
        title=title,
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize="small")
    figure.savefig(path, dpi=120)
    plt.close(figure)
