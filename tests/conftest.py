"""Settings of every test: XLA on one CPU thread, which small programs are faster on (see `cpu_threads` in the config)."""

import os

os.environ.setdefault("NPROC", "1")
