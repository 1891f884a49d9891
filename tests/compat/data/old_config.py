"""A config file as a user wrote it for 0.1.0. Do not edit it: the run folders beside it hold checksums of its functions."""

import functools

import optax
from onebp_jax.samplers.without_new import without_new

from onebp_jax import losses, methods, parts, samplers
from onebp_jax.config import default_config


def uniform_without_new(count, config):
    """Uniform negatives, none of them an item without training pairs."""
    return without_new(samplers.uniform(count))


def adam(config, rate):
    """Adam with a step size of its own."""
    return optax.adam(rate)


def own_loss(user, positive, negatives, **extra):
    """InfoNCE, with the mask under the name that 0.1.0 gave it."""
    assert "hidden" in extra
    return losses.infonce(0.5)(user, positive, negatives, **extra)


def get_config():
    """A tiny run on `clicks.csv`."""
    config = default_config()
    config.dataset = "tests/compat/data/clicks.csv"
    config.split = "time"
    config.dim, config.epochs, config.batch_size, config.steps_per_call = 4, 2, 32, 3
    config.method, config.beta = methods.onebp, 0.8
    config.user_updater = parts.average
    config.sampler = functools.partial(uniform_without_new, 3)
    config.transform = functools.partial(adam, rate=5e-2)
    config.loss = own_loss
    return config
