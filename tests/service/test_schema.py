"""Requests that are made of the API's own description, well-formed and malformed: each answer is one that it describes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from service.conftest import running

# Requests for each operation.
EXAMPLES = int(os.environ.get("ONEBP_TEST_REQUESTS", "800"))
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,unsupported_method"
)


def ask(service, folder: Path, *options: str) -> str:
    """What schemathesis says of a service; an id that fits the schema may still be unknown, so a refusal is no fault."""
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    command = [
        sys.executable,
        str(program),
        "run",
        f"{service.url}/openapi.json",
        "--seed=1",
        "--generation-deterministic",
    ]
    command += ["--suppress-health-check=all", "--no-shrink", "--no-color", f"--checks={CHECKS}"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Traceback" not in done.stdout and service.replica.broken is None
    assert service.client.get("/health/ready").status_code == 200
    return done.stdout


def test_answers_are_as_described(service, tmp_path):
    assert "generated" in ask(service, tmp_path, "--phases=fuzzing", "--max-examples=8")


@pytest.mark.study
def test_many_answers_are_as_described(run_folder, log, tmp_path):
    with running(log, run_folder) as service:
        print(ask(service, tmp_path, f"--max-examples={EXAMPLES}", "--continue-on-failure")[-1500:])
