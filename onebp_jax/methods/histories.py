"""Methods whose users are made of their histories, composed of a configuration."""

from __future__ import annotations

import math

import numpy as np

from onebp_jax import losses, samplers
from onebp_jax.errors import UserError, one_of
from onebp_jax.methods.parts import by_gradient, own_or_shared
from onebp_jax.ops.fold import Fold, Part, Recency
from onebp_jax.types import Encoder, Interactions, Method
from onebp_jax.updaters import chain

ROW_LOSSES = ("infonce", "ccl")


def histories(config, encoder: Encoder, loss: str = "infonce", margin: float = 0.8, weight: float = 300.0) -> Method:
    """A method of an encoder that aggregates histories: users have no updater, a batch shares its negatives.

    Args:
      loss: "infonce" or "ccl", which has a margin and a weight. Without `shared_negatives` the negatives are the whole catalogue.
    """
    if loss not in ROW_LOSSES:
        raise UserError(f"options.row_loss={loss!r}: expected {one_of(loss, ROW_LOSSES)}")
    known = {"infonce": losses.catalogue_softmax(config.temperature), "ccl": losses.ccl(margin, weight)}
    sampler = own_or_shared(config) if config.shared_negatives else samplers.full_catalogue()
    return Method(encoder, sampler, known[loss], chain(), by_gradient(config), epoch_unit="history")


def event_by_event(config, method: Method) -> Method:
    """The method, with what `Encoder.fold` says of users who are moving averages of plain rows, in the order of their events.

    There is none if `normalize` scores other vectors than are averaged, or `beta` is 0 or 1.
    """
    beta, dim = config.beta, config.dim
    if config.normalize or not 0 < beta < 1:
        return method

    def fold(data: Interactions) -> Fold:
        weight = np.full(data.num_items, 1 - beta, np.float32)
        return Fold((Part(weight, np.ones(dim, np.float32)),), Recency(half_life=-1 / math.log2(beta)))

    return method._replace(encoder=method.encoder._replace(fold=fold))
