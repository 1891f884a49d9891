"""Keeps pytest from importing the config files of `data/`: they are written for 0.1.0 and warn on purpose."""

collect_ignore = ["data"]
