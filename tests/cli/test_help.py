"""`--help`: two columns that fit into a terminal, every field in its group, the flags of devices last."""

import re

import pytest
from support.programs import run

from onebp_jax.cli import main
from onebp_jax.config.fields import GROUPS
from onebp_jax.methods import NAMED

PROGRAMS = sorted(main.PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_has_help_that_fits(program):
    process = run("onebp", *program.split(), "--help")
    assert process.returncode == 0 and not process.stderr
    lines = process.stdout.splitlines()
    assert "repeat this option" not in process.stdout
    assert [line for line in lines if len(line) > 100 and not line.startswith("    onebp ")] == []
    # A name and what it is, in two columns; else a continued line.
    start = [place for place, line in enumerate(lines) if line.startswith("Flags (")]
    assert start or program == "doctor"
    listed = lines[start[0] :] if start else []
    assert [line for line in listed if not re.match(r"  \S+ +\S|  --\w+$| {24}\S|\S.*:$|$", line)] == []


def test_fields_come_in_groups_with_their_defaults_and_devices_last():
    printed = run("onebp", "train", "--help").stdout
    sections = [line for line in printed.splitlines() if re.fullmatch(r"\S.*:", line)]
    groups = [f"{group} fields:" for group in GROUPS]
    assert sections[0].startswith("Flags") and sections[1].startswith("Fields of the config")
    assert sections[2:-2] == groups and sections[-2].startswith("Methods") and sections[-1] == "Devices:"
    text = " ".join(printed.split())
    for group, fields in GROUPS.items():
        within = printed.partition(f"{group} fields:")[2]
        assert re.findall(r"^  (\w+)", within, re.MULTILINE)[: len(fields)] == list(fields)
    assert "The width of an embedding. [32]" in text and "The learning rate. [0.0005]" in text
    methods, _, devices = printed.partition("Methods, ")[2].partition("\nDevices:")
    assert re.findall(r"^  (\w+)", methods, re.MULTILINE) == list(NAMED)
    known = ["parallel", "num_devices", "tables", "coordinator", "num_processes", "process_id"]
    assert re.findall(r"^  --(\w+)", devices, re.MULTILINE) == known
    assert re.findall(r"^  --(\w+)", printed, re.MULTILINE)[:2] == ["config", "workdir"]
