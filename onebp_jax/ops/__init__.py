"""What the parts share: rows of a table, how vectors are compared, random words, pairs sorted by user, range checks."""
