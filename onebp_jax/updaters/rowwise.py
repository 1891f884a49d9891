"""Gradient updates through optax on touched rows only: a step costs what its batch is large, not what the table is.

Rows of the table and of every optimiser slot are gathered, the transformation runs on them as if they were the table, and the
results are scattered back. It is *lazy*: a row outside the batch neither decays nor moves on old momentum, so this is another
method than the dense one (`gradient`); where every row is touched the two are equal to rounding.

Gradients of a repeated row are summed first, without a sort (`duplicates.group`). On the CPU the rows are then updated in blocks
that stay in cache, which halves the time. The only buffers are of the size of the batch.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from onebp_jax.ops.rows import block_rows, take, to_float32
from onebp_jax.types import Array, Signal, Tree, Updater
from onebp_jax.updaters import duplicates as dup
from onebp_jax.updaters.rounding import to_storage


def rowwise(tx: optax.GradientTransformation, row_counts: bool = False) -> Updater:
    """Any optax transformation that treats the rows of a table apart, on the rows that a batch touched.

    Args:
      tx: elementwise, or at least free of numbers that belong to several rows (`adam`, `adamw`, `sgd` with momentum,
        `adagrad`, `rmsprop`, `lion`, `row_adagrad`, chains of them with schedules).
      row_counts: every row counts its own steps, where a transformation counts at all: the correction of Adam's moments
        then starts anew for a row that is touched for the first time late (and a schedule runs by row).

    Returns:
      An `Updater` that reads gradients only. Its state is `(i32[rows] scratch, optax state)`. Rows outside the batch, and
      their slots, are bit-identical afterwards.

    Raises:
      ValueError: a transformation that mixes rows (global-norm clipping, LARS, LAMB, `apply_if_finite`): on a part of the rows it
        would compute something else. So says `init` of one that keeps other arrays than one entry a row (Adafactor).

    Source: "lazy" or "sparse" Adam of the large frameworks; sums by slots: `onebp_jax.updaters.duplicates`.
    """
    tx = optax.with_extra_args_support(tx)
    _check_rows_apart(tx)
    tx_init = jax.vmap(tx.init) if row_counts else tx.init

    def init(table: Array) -> tuple[Array, Tree]:
        _per_row(tx_init, table.shape)
        return jnp.zeros(table.shape[0], jnp.int32), tx_init(to_float32(table))

    def transform(grads: Array, state: Tree, params: Array, extra: dict) -> tuple[Array, Tree]:
        if row_counts:
            return jax.vmap(lambda g, s, p: tx.update(g, s, p, **extra))(grads, state, params)
        return tx.update(grads, state, params, **extra)

    def update(signal: Signal, state: tuple[Array, Tree], table: Array, **extra) -> tuple[Array, tuple[Array, Tree]]:
        slots, state = state
        key = extra.pop("key", None)
        groups, slots = dup.group(signal.ids, slots)
        # Only leaders hold a sum, and only they write.
        grads = groups.sum(to_float32(signal.grads))
        destination = jnp.where(groups.is_leader, signal.ids, table.shape[0])
        leaves, tree = jax.tree.flatten(state)
        per_row = _per_row(tx_init, table.shape)
        count, size = signal.ids.shape[0], block_rows(table, signal.ids.shape[0])

        def one_block(number: Array | int, carry):
            table, new = carry
            start = jnp.minimum(number * size, count - size)
            ids, to, sums = (jax.lax.dynamic_slice_in_dim(x, start, size) for x in (signal.ids, destination, grads))
            # The last block overlaps the one before: what that has written is left alone.
            to = jnp.where(start + jnp.arange(size) >= number * size, to, table.shape[0])
            own = [take(leaf, ids) if rows else old for leaf, old, rows in zip(new, leaves, per_row, strict=True)]
            params = take(table, ids)
            updates, own = transform(sums, jax.tree.unflatten(tree, own), params, extra)
            new = [
                leaf.at[to].set(rows, mode="drop") if is_rows else rows
                for leaf, rows, is_rows in zip(new, jax.tree.leaves(own), per_row, strict=True)
            ]
            rounding = None if key is None else jax.random.fold_in(key, number)
            new_rows = to_storage(params + updates, table.dtype, rounding)
            return table.at[to].set(new_rows, mode="drop"), new

        table, leaves = jax.lax.fori_loop(0, -(-count // size), one_block, (table, list(leaves)))
        return table, (slots, jax.tree.unflatten(tree, leaves))

    # Outside of a compiled step too it is compiled once, and not again at every call for the loop in it.
    return Updater(init, jax.jit(update, inline=True), reads=("grads",))


def _per_row(tx_init, shape: tuple[int, int]) -> list[bool]:
    """For each leaf of the optax state, in order, whether it has one entry a row: its first axis grows when the table does."""
    small, large = (
        jax.eval_shape(tx_init, jax.ShapeDtypeStruct((rows, shape[1]), jnp.float32))
        for rows in (shape[0], shape[0] + 1)
    )

    def grows(leaf, other) -> bool:
        if leaf.shape == other.shape and leaf.ndim == 0:
            return False
        if leaf.ndim and other.shape == (leaf.shape[0] + 1, *leaf.shape[1:]) and leaf.shape[0] == shape[0]:
            return True
        raise ValueError(
            f"rowwise: the transformation keeps an array of shape {leaf.shape} for a table of shape {shape}, which belongs to "
            f"several rows at once; use optimizer='dense' for it"
        )

    return [grows(*pair) for pair in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True)]


def _check_rows_apart(tx: optax.GradientTransformationExtraArgs) -> None:
    """Raises ValueError if one row's gradient or parameters reach anything but that row: one row is made large, then NaN."""
    rows, dim = 3, 2
    plain = 1 + jnp.arange(rows * dim, dtype=jnp.float32).reshape(rows, dim)

    @jax.jit
    def others(grads: Array, params: Array) -> Tree:
        """What two steps do to the rows beside row 0: a number of several rows may be felt in the second one only."""
        first, state = tx.update(grads, tx.init(params), params)
        second, state = tx.update(plain, state, plain)
        tall = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim and leaf.shape[0] == rows]
        return [leaf[1:] for leaf in (first, second, *tall)]

    def same(one: Array, two: Array) -> bool:
        return bool(jnp.all((one == two) | ((one != one) & (two != two))))

    with jax.ensure_compile_time_eval():
        expected = others(plain, plain)
        for changed in ("gradient", "parameters"):
            for value in (1e9, jnp.nan):
                row = plain.at[0].set(value)
                found = others(row, plain) if changed == "gradient" else others(plain, row)
                if not jax.tree.all(jax.tree.map(same, expected, found)):
                    raise ValueError(
                        f"rowwise: the transformation mixes rows (the {changed} of one row changes the update of another), so "
                        "that on the rows of a batch it would compute something else; use optimizer='dense' for it, or leave "
                        "that part out"
                    )
