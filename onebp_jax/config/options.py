"""The options that only some methods have."""

from __future__ import annotations

from onebp_jax.errors import UserError

# Name -> type: all keyword-only arguments of the functions in `onebp_jax.methods`.
OPTIONS = {
    "alpha": float,
    "bank_size": int,
    "correct_positive": bool,
    "correction": str,
    "cosine": bool,
    "covariance": float,
    "damping": float,
    "diversity": float,
    "dropout": float,
    "ease_l2": float,
    "extra": int,
    "form": str,
    "gamma": float,
    "half_life": float,
    "hardest": bool,
    "hardness": float,
    "hidden": str,
    "ials_l2": float,
    "ids": bool,
    "item_power": float,
    "iterations": int,
    "l2_power": float,
    "lasting": float,
    "leave_one_out": bool,
    "lowpass_weight": float,
    "margin": float,
    "mask_known": bool,
    "max_bytes": int,
    "num_candidates": int,
    "num_interests": int,
    "num_layers": int,
    "num_neighbours": int,
    "num_uniform": int,
    "prior": float,
    "rank_weight": bool,
    "reading": str,
    "repel": float,
    "response": float,
    "rho": float,
    "row_loss": str,
    "rule": str,
    "sharpening": float,
    "shrink": float,
    "similarity": str,
    "smoothing": float,
    "spectral_dim": int,
    "spectral_weight": float,
    "tau_plus": float,
    "through": bool,
    "towers": str,
    "unobserved_weight": float,
    "usage_bonus": float,
    "user_damping": float,
    "warmup": int,
    "weight": float,
}


def check_options(options) -> None:
    """Raises `UserError` for an option whose value is of another type; None means the method's own default."""
    for name, value in options.items():
        kind = OPTIONS.get(name, object)
        # A whole number is also a real number, but True is no number.
        fits = isinstance(value, int | float if kind is float else kind) and (kind is bool or value is not True)
        if value is not None and not fits:
            raise UserError(f"options.{name}={value!r}: expected a value of type {kind.__name__}")
