"""Names of earlier versions that still work: modules that moved, and names and fields that were renamed."""
