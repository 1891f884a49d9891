"""Whose folder is it: the runs of different programs are kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onebp_jax.errors import UserError

# What a folder is the folder of -> a pattern of a file that only such a folder has.
_MARKS = {
    "one run": "config.json",
    "a comparison": "*-seed[0-9]*/config.json",
    "a sweep": "sweep.json",
    "a reproduction": "trials/*/config.json",
    "experiments": "code-*/*/*/config.json",
}
# What a run writes beside its config.json; `items.csv` is that of `Recommender.fit(items=)`.
OURS = (
    *(
        "metrics.jsonl",
        "checkpoints",
        "result.json",
        "embeddings.npz",
        "fold.npz",
        "interactions.npz",
        "refit",
        "report.md",
    ),
    *("curves.svg", "items.csv"),
)


def check_kind(workdir: Path, kind: str, argument: str = "workdir") -> None:
    """Raises `UserError` for a folder that is not of this kind ("one run", "a comparison", ..) but of another one."""
    marks = {known: next(workdir.glob(pattern), None) for known, pattern in _MARKS.items()}
    other, mark = next(((known, mark) for known, mark in marks.items() if mark), (None, None))
    if mark and not marks[kind]:
        raise UserError(
            f"{argument}={workdir}: it is the folder of {other} (it holds {mark.relative_to(workdir)}); nothing was touched, "
            "use another folder"
        )


def check_no_run(folder: Path, argument: str) -> None:
    """Raises `UserError` for a folder that holds a run or a file with the name of one of a run's. Other files may lie there."""
    check_kind(folder, "one run", argument)
    if found := [name for name in ("config.json", *OURS) if (folder / name).exists()]:
        raise UserError(
            f"{argument}={folder}: it holds {found[0]}, as a run does; nothing was touched, use another folder"
        )


def folders_of_runs(folders: Sequence[str]) -> list[str]:
    """Folders of runs as they are; in place of a folder that only holds run folders, as `onebp compare` makes it, these."""
    found = []
    for folder in folders:
        runs = sorted(str(path.parent) for path in Path(folder).glob("*/config.json"))
        found += [folder] if (Path(folder) / "config.json").exists() or not runs else runs
    return found
