"""The names of version 0.1.0 that still work: modules that moved, and names and fields that were renamed."""
