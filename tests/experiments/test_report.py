"""Tables for a person: aligned, with mean and standard deviation, blank where there is nothing to say."""

import pytest

from onebp_jax.experiments import report


def cells(text):
    """The cells of a Markdown table, without its rule."""
    head, _, *rest = text.splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [head, *rest]]


def test_a_table_as_it_is_written():
    text = report.table([("onebp", [{"P@5": 0.5, "R@5": 0.25}]), ("a longer name", [{"P@5": 1.0}])], ("P@5", "R@5"))
    assert text.splitlines() == [
        "|               | P@5    | R@5    |",
        "|---------------|--------|--------|",
        "| onebp         | 0.5000 | 0.2500 |",
        "| a longer name | 1.0000 |        |",
    ]


def test_all_lines_are_of_one_width_with_bars_below_each_other():
    rows = [("one", [{"a": 0.1, "b": 12345.678}]), ("three seeds", [{"a": 0.1}, {"a": 0.2}, {"a": 0.4}]), ("none", [])]
    lines = report.table(rows, ("a", "b", "a name longer than any value")).splitlines()
    bars = [[place for place, letter in enumerate(line) if letter == "|"] for line in lines]
    assert len(set(map(len, lines))) == 1
    assert all(places == bars[0] for places in bars)


def test_mean_and_sample_standard_deviation():
    runs = [{"P@5": 0.1}, {"P@5": 0.2}, {"P@5": 0.6}]
    assert cells(report.table([("x", runs)], ("P@5",)))[1] == ["x", "0.3000 ±0.2646"]
    assert cells(report.table([("x", runs)], ("P@5",), digits=1))[1] == ["x", "0.3 ±0.3"]


def test_one_run_has_no_standard_deviation():
    assert cells(report.table([("x", [{"P@5": 0.1}])], ("P@5",)))[1] == ["x", "0.1000"]


def test_equal_runs_have_a_standard_deviation_of_zero():
    assert cells(report.table([("x", [{"P@5": 0.1}] * 2)], ("P@5",)))[1] == ["x", "0.1000 ±0.0000"]


def test_what_a_row_lacks_is_blank():
    rows = [("x", [{"P@5": 0.1}, {"R@5": 0.2}]), ("y", [])]
    assert cells(report.table(rows, ("P@5", "R@5", "Gini@5")))[1:] == [["x", "0.1000", "0.2000", ""], ["y", "", "", ""]]


def test_the_default_columns_are_those_of_the_paper():
    expected = ["", *(f"{name}@{k}" for k in (5, 10, 20) for name in ("P", "R", "F1", "NDCG"))]
    assert cells(report.table([("x", [{}])]))[0] == expected


def test_without_rows_only_the_head_is_left():
    assert cells(report.table([], ("P@5",))) == [["", "P@5"]]


def test_by_length():
    metrics = {"P@5": 0.5, "R@5": 0.25, "P@10": 0.125, "R@10": 1.0, "P@20": 0.0, "R@20": 0.75}
    assert cells(report.by_length(metrics)) == [
        ["", "P", "R"],
        ["@5", "0.5000", "0.2500"],
        ["@10", "0.1250", "1.0000"],
        ["@20", "0.0000", "0.7500"],
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_shown(value):
    assert cells(report.table([("x", [{"P@5": value}])], ("P@5",)))[1] == ["x", str(value)]
