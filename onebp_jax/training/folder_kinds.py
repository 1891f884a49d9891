"""Whose folder is it: the runs of different programs are kept apart."""

from __future__ import annotations

from pathlib import Path

from onebp_jax.errors import UserError

# What a folder is the folder of -> a pattern of a file that only such a folder has.
_MARKS = {
    "one run": "config.json",
    "a comparison": "*-seed[0-9]*/config.json",
    "a sweep": "sweep.json",
    "a reproduction": "trials/*/config.json",
}


def check_kind(workdir: Path, kind: str) -> None:
    """Raises `UserError` for a folder that is not of this kind ("one run", "a comparison", ..) but of another one."""
    marks = {known: next(workdir.glob(pattern), None) for known, pattern in _MARKS.items()}
    other, mark = next(((known, mark) for known, mark in marks.items() if mark), (None, None))
    if mark and not marks[kind]:
        raise UserError(
            f"workdir={workdir}: it is the folder of {other} (it holds {mark.relative_to(workdir)}); nothing was touched, use "
            "another folder"
        )
