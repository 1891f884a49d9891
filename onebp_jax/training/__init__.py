"""A run: its loop, its checkpoints, the files of its folder. Modules are imported one by one, so that serving loads no loop."""
