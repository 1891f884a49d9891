"""What the parts share: reading table rows, comparing vectors, random words, pairs sorted by user, checks of arguments."""
