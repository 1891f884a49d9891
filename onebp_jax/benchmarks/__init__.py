"""What a step, a ranking and a level of quality cost, beside other libraries. Results: results/."""
