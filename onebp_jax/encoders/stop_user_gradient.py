"""An encoder whose user vectors are constants for the loss."""

from __future__ import annotations

import jax

from onebp_jax.types import Array, Encoder


def stop_user_gradient(encoder: Encoder) -> Encoder:
    """The same vectors, but no gradient flows back through the user vectors: `Z_u` becomes `stop_gradient(Z_u)`.

    In a graph encoder the item vectors depend on the user table too. So a user tower that learns by gradients still gets some
    through the item vectors, but none through the user vectors of the batch. Under OneBP (`user_updater=moving_average(..)`) the
    user table is a constant anyway. There this cuts the gradients of the item table and of the encoder's parameters that flow
    through the user vectors.

    Args:
      encoder: any encoder.

    Returns:
      An `Encoder` that differs only in the backward pass of `encode`.
    """

    def encode(*arguments) -> tuple[Array, Array]:
        user, item = encoder.encode(*arguments)
        return jax.lax.stop_gradient(user), item

    return encoder._replace(encode=encode)
