"""Programs: `python -m launch.NAME --help`. They parse flags and call the library; they hold no logic of their own."""
