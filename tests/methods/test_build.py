"""Settings that a method never looks at are found, and only these."""

import pytest

from onebp_jax.config import default_config
from onebp_jax.methods.build import unused_fields

CASES = {
    "onebp": set(),
    "twobp": {"beta"},
    "cml": {"beta", "normalize", "temperature"},
    "in_batch": {"beta", "num_negatives"},
    "directau": {"beta", "normalize", "temperature", "num_negatives"},
    "ials": {"beta", "normalize", "temperature", "num_negatives", "l2"},
    "spectral": {"beta", "normalize", "temperature", "num_negatives", "l2"},
    "ease": {"beta", "normalize", "temperature", "num_negatives", "l2"},
}


@pytest.mark.parametrize("method", CASES)
def test_changed_fields_that_nothing_reads(method):
    config = default_config()
    config.method = method
    assert unused_fields(config) == []
    config.update(beta=0.5, normalize=True, temperature=0.2, num_negatives=7, l2=0.5, seed=3)
    assert set(unused_fields(config)) == CASES[method]


def test_fields_that_are_asked_for():
    config = default_config()
    config.method = "twobp"
    assert unused_fields(config, ["beta", "l2", "epochs", "options.gamma"]) == ["beta"]
    config.method = "popularity"
    assert unused_fields(config, ["epochs", "l2", "options.gamma"]) == ["epochs", "l2"]


def test_nothing_is_said_of_a_method_of_ones_own():
    config = default_config()
    config.method = lambda config: None
    config.beta = 0.5
    assert unused_fields(config) == []
