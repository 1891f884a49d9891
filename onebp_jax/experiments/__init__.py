"""Several runs: comparisons, searches on validation, the tables of the paper, and their reports."""
