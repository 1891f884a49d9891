"""`onebp doctor` tells what is installed, and nothing that is broken makes it fail."""

import subprocess
import sys
from importlib import metadata

import pytest
from support.programs import ROOT, run

from onebp_jax.cli import doctor


def test_it_tells_versions_devices_data_and_extras(tmp_path):
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "train.txt.gz").write_bytes(b"")
    process = run("onebp", "doctor", ONEBP_DATA_DIR=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "none"))
    assert process.returncode == 0 and not process.stderr
    for words in (
        f"jax {metadata.version('jax')}",
        " cpu (cpu)",
        f"$ONEBP_DATA_DIR {tmp_path}: ml-100k\n",
        f"cache {tmp_path / 'none' / 'onebp_jax'}: no such folder",
        "downloaded when first used: ml-1m, gowalla",
        "\n  test: ",
        f"programs in {ROOT / 'launch'}",
    ):
        assert words in process.stdout, (words, process.stdout)


def test_an_extra_that_is_missing_says_how_to_get_it(monkeypatch):
    needs = {
        "onebp-jax": ["jax>=1", 'one>=2 ; extra == "serving"', "two[fast]>=1; extra == 'gpu'", 'here; extra == "test"'],
        "two": ["other", 'quick>=3; extra == "fast"'],
    }
    monkeypatch.setattr(doctor.metadata, "requires", needs.get)
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name in ("jax", "two", "here") else "not installed")
    assert doctor._needs() == ["jax 1.0"]
    assert doctor._missing("onebp-jax", "serving") == ["one"]
    assert doctor._missing("onebp-jax", "gpu") == ["quick"]
    assert doctor._missing("onebp-jax", "test") == []


def test_what_cannot_be_told_is_one_line(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: 1 / 0)
    monkeypatch.setattr(doctor.platform, "platform", lambda: 1 / 0)
    lines = doctor.report().splitlines()
    assert lines[:2] == ["Package:", "  cannot be told (ZeroDivisionError: division by zero)"]
    assert lines[lines.index("Needs:") + 1] == "  cannot be told (ZeroDivisionError: division by zero)"


@pytest.mark.parametrize("broken", ["jax", "pandas", "absl"])
def test_a_package_that_cannot_be_imported(broken, tmp_path):
    (tmp_path / f"{broken}.py").write_text("raise ImportError('broken here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from onebp_jax.cli.main import main; main()"
    process = subprocess.run([sys.executable, "-c", code, "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Package:" in process.stdout and "broken here" in process.stdout
