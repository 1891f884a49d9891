"""Times of a step, of a ranking and to a level of quality, beside other libraries. Results: results/."""
