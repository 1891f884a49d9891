"""Protocols: which evaluation is chosen, and what the oracle keeps."""

import math

from onebp_jax.evaluation import protocols


def recorded(evaluations, start=None):
    """The selection after `evaluations`, a list of (epoch, metrics), and the epochs that were the best so far."""
    selection, chosen = start or protocols.start(), []
    for epoch, metrics in evaluations:
        selection, better = protocols.record(selection, epoch, metrics)
        if better:
            chosen.append(epoch)
    return selection, chosen


def by_criterion(values, first_epoch=1):
    return [(epoch, {"NDCG@20": value}) for epoch, value in enumerate(values, first_epoch)]


def test_the_best_epoch_is_kept():
    selection, chosen = recorded(by_criterion([0.1, 0.3, 0.2]))
    assert (selection.epoch, selection.value) == (2, 0.3)
    assert chosen == [1, 2]


def test_the_first_of_equal_epochs_is_kept():
    selection, chosen = recorded(by_criterion([0.2, 0.3, 0.3, 0.3]))
    assert (selection.epoch, selection.oracle["NDCG@20"]) == (2, [0.3, 2])
    assert chosen == [1, 2]


def test_since_counts_evaluations_without_a_better_one():
    counts = [recorded(by_criterion([0.1, 0.3, 0.2, 0.3, 0.4, 0.1][:length]))[0].since for length in range(1, 7)]
    assert counts == [0, 0, 1, 2, 0, 1]


def test_an_epoch_of_value_zero_counts_as_the_first():
    selection, chosen = recorded(by_criterion([0.0, 0.0]))
    assert (selection.epoch, selection.value, selection.since) == (1, 0.0, 1)
    assert chosen == [1]


def test_the_oracle_keeps_each_metric_at_its_own_epoch():
    evaluations = [
        (5, {"NDCG@20": 0.3, "P@5": 0.1, "MRR@10": 0.5, "Gini@5": 0.9, "AvgPop@5": 7.0}),
        (10, {"NDCG@20": 0.2, "P@5": 0.4, "MRR@10": 0.5, "Gini@5": 0.95, "AvgPop@5": 9.0}),
        (15, {"NDCG@20": 0.1, "P@5": 0.4, "MRR@10": 0.6, "Gini@5": 0.99, "AvgPop@5": 11.0}),
    ]
    selection, _ = recorded(evaluations)
    assert selection.oracle == {"NDCG@20": [0.3, 5], "P@5": [0.4, 10], "MRR@10": [0.6, 15]}
    assert selection.epoch == 5


def test_nan_is_never_chosen():
    nan = math.nan
    for values in ([nan, 0.1, 0.2], [0.1, nan, 0.2], [0.1, 0.2, nan]):
        selection, _ = recorded(by_criterion(values))
        best = values.index(0.2) + 1
        assert (selection.epoch, selection.value) == (best, 0.2)
        assert selection.oracle["NDCG@20"] == [0.2, best]
    assert recorded(by_criterion([nan, nan]))[0] == protocols.Selection(epoch=0, value=None, since=2, oracle={})


def test_infinity_is_never_chosen():
    selection, chosen = recorded(by_criterion([math.inf, 0.1]))
    assert (selection.epoch, selection.value, selection.oracle["NDCG@20"]) == (2, 0.1, [0.1, 2])
    assert chosen == [2]


def test_recording_leaves_the_selection_before_it_alone():
    before, _ = recorded(by_criterion([0.1]))
    kept = {"epoch": before.epoch, "oracle": {name: list(pair) for name, pair in before.oracle.items()}}
    recorded(by_criterion([0.5], first_epoch=2), before)
    assert {"epoch": before.epoch, "oracle": before.oracle} == kept
