"""What a person reads of a run: `report.md`, and the learning curve `curves.svg`."""

from __future__ import annotations

import json
from pathlib import Path

import ml_collections

from onebp_jax.config import as_plain, default_config
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.evaluation.tables import aligned, by_length
from onebp_jax.training.checked import check_evaluation, damaged
from onebp_jax.training.curves import BLUE, ORANGE, Line, svg
from onebp_jax.training.files import write_atomically
from onebp_jax.training.progress import duration


def write_report(workdir: Path, config: ml_collections.ConfigDict, result: dict) -> None:
    """Writes `report.md` and, of a method that is trained, `curves.svg`, out of the result and the evaluations of a run."""
    lines = {part: evaluations(workdir / part / "metrics.jsonl") for part in ("", "refit")}
    picture = _curves(lines, result)
    for name, text in (("curves.svg", picture), ("report.md", _report(config, result, bool(picture)))):
        if text:
            write_atomically(workdir / name, lambda file, text=text: file.write(text.encode()))


def evaluations(path: Path) -> list[dict]:
    """The lines of a `metrics.jsonl`, one per evaluation; none of a method without training, which has no such file.

    Raises:
      UserError: a line is something else.
    """
    found = []
    for number, text in enumerate(path.read_text(errors="replace").splitlines() if path.exists() else (), 1):
        try:
            line = json.loads(text)
        except ValueError as error:
            raise damaged(path, f"line {number} is no JSON ({error})") from error
        check_evaluation(path, number, line)
        found.append(line)
    return found


def _curves(lines: dict[str, list[dict]], result: dict) -> str:
    points = lambda part, value: [(line["epoch"], value(line)) for line in lines[part]]
    if not lines[""]:
        return ""
    loss = [Line("honest run" if lines["refit"] else "loss", points("", lambda line: line["loss"]), BLUE)]
    if lines["refit"]:
        loss.append(Line("refit", points("refit", lambda line: line["loss"]), ORANGE))
    panels = [("loss of the epoch", loss)]
    if split := lines[""][0]["split"]:
        measured = points("", lambda line: line["metrics"][CRITERION])
        panels.append((f"{CRITERION} on {split}", [Line(split, measured)]))
    return svg(panels, result["epoch"])


def _report(config: ml_collections.ConfigDict, result: dict, pictured: bool) -> str:
    clocks, plain, default = result["seconds"], as_plain(config), as_plain(default_config())
    times = ", ".join(f"{name} {duration(clocks[name])}" for name in ("train", "eval", "compile"))
    facts = {
        "data": f"{result['dataset']}, {result['num_users']} users, {result['num_items']} items; split: {result['split']}",
        "epoch": f"{result['epoch']} of {result['epochs_done']} done, at most {result['epochs']}",
        "chosen by": f"{result['selection']} (protocol {result['protocol']})",
        "refit": result.get("refit", {}).get("says", ""),
        "seed": str(result["seed"]),
        "vectors": f"{result['dim']} numbers each",
        "time": times,
        "made with": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
    }
    if not result["epochs_done"]:
        facts["epoch"] = "nothing was trained"
    changed = [f"{name}={value!r}" for name, value in plain.items() if value != default[name]]
    settings = "\n".join(f"    {text}" for text in changed) or "    (all are defaults)"
    where, metrics = ("test", result["metrics"]) if result["metrics"] else ("validation", result["validation"])
    measured = (
        by_length(metrics) if any(value is not None for value in metrics.values()) else "None: nothing was held out."
    )
    parts = [
        f"# {result['label']} on {result['dataset']}\n",
        aligned(["", ""], [[name, text.replace("|", "/")] for name, text in facts.items() if text]),
        f"\n## Metrics ({where})\n",
        measured,
        *(["\n## Learning curve\n", "![loss and validation by epoch](curves.svg)"] if pictured else []),
        "\n## Settings other than the defaults\n",
        settings,
    ]
    return "\n".join(parts) + "\n"
