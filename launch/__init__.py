"""The programs of `onebp`; in a checkout also `python -m launch.NAME`. They parse flags and call the library."""
