"""An encoder whose user vectors are constants to the loss."""

from __future__ import annotations

import jax

from onebp_jax.types import Array, Encoder


def stop_user_gradient(encoder: Encoder) -> Encoder:
    """The same vectors, but no gradient flows back through the users' ones: `Z_u` becomes `stop_gradient(Z_u)`.

    With message passing the item vectors depend on the user table too, so a user tower that learns by gradients still gets some
    through them; it gets none from the rows of the batch itself. In front of OneBP (`user_updater=moving_average(..)`) the user
    table is a constant anyway, and this cuts in addition what the item table and the encoder's parameters would learn through
    the users' vectors.

    Args:
      encoder: any.

    Returns:
      An `Encoder`, equal but for the backward pass of `encode`.
    """

    def encode(*arguments) -> tuple[Array, Array]:
        user, item = encoder.encode(*arguments)
        return jax.lax.stop_gradient(user), item

    return encoder._replace(encode=encode)
