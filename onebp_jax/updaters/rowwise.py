"""Gradient updates with optax of touched rows only: the cost of a step grows with the batch, not with the table.

The touched rows of the table and of the optimiser state are gathered, the transformation runs on them as if they were the whole
table, and the results are scattered back. It is *lazy*: a row outside the batch neither decays nor moves by its old momentum. So
this is not the same method as the dense one (`gradient`). If every row is touched, both are equal up to rounding.

Gradients of a repeated row are summed first, without a sort (`duplicates.group`). On the CPU the rows are then updated in blocks
that stay in cache, which halves the time. The buffers are no larger than the batch.
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
    """Applies an optax transformation that treats each row by itself to the rows that a batch touched.

    Args:
      tx: it works on each number, or at least on each row by itself (`adam`, `adamw`, `sgd` with momentum, `adagrad`,
        `rmsprop`, `lion`, `row_adagrad`, and chains of these with schedules).
      row_counts: each row counts its own steps, if the transformation counts steps. Then the bias correction of Adam starts
        for each row when it is first touched, and a schedule runs per row.

    Returns:
      An `Updater` that reads only gradients. Its state is `(i32[rows] scratch, optax state)`. Rows outside the batch and
      their optimiser state stay the same to the bit.

    Raises:
      ValueError: a transformation that mixes rows (global-norm clipping, LARS, LAMB, `apply_if_finite`): its result would be
        different for a part of the rows. From `init`: a transformation whose state is not one entry per row (Adafactor).

    Source: "lazy" or "sparse" Adam of the large frameworks; for the sums see `onebp_jax.updaters.duplicates`.
    """
    tx = optax.with_extra_args_support(tx)
    _check_rows_apart(tx)
    tx_init = jax.vmap(tx.init) if row_counts else tx.init

    def init(table: Array) -> tuple[Array, Tree]:
        _per_row(tx_init, table.shape)
        return jnp.zeros(table.shape[0], jnp.int32), tx_init(to_float32(table))

    def transform(grads: Array, state: Tree, params: Array, extra: dict) -> Tree:
        """`(updates [n, d], state)`; to optax itself the updates may be any tree."""
        if row_counts:
            return jax.vmap(lambda g, s, p: tx.update(g, s, p, **extra))(grads, state, params)
        return tx.update(grads, state, params, **extra)

    def update(signal: Signal, state: tuple[Array, Tree], table: Array, **extra) -> tuple[Array, tuple[Array, Tree]]:
        assert signal.grads is not None
        slots, state = state
        key = extra.pop("key", None)
        groups, slots = dup.group(signal.ids, slots)
        # Only leaders hold a sum, and only leaders write.
        grads = groups.sum(to_float32(signal.grads))
        destination = jnp.where(groups.is_leader, signal.ids, table.shape[0])
        leaves, tree = jax.tree.flatten(state)
        per_row = _per_row(tx_init, table.shape)
        count, size = signal.ids.shape[0], block_rows(table, signal.ids.shape[0])

        def one_block(number: Array | int, carry):
            table, new = carry
            start = jnp.minimum(number * size, count - size)
            ids, to, sums = (jax.lax.dynamic_slice_in_dim(x, start, size) for x in (signal.ids, destination, grads))
            # The last block overlaps the one before it, and skips the rows that the earlier one has written.
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

    # Without this jit, a call outside of a compiled step would compile the loop again each time.
    return Updater(init, jax.jit(update, inline=True), reads=("grads",))


def _per_row(tx_init, shape: tuple[int, ...]) -> list[bool]:
    """For each leaf of the optax state, whether it has one entry per row: its first axis then grows with the table."""
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
            f"rowwise: the transformation keeps an array of shape {leaf.shape} for a table of shape {shape}; this array "
            "belongs to several rows at once; use optimizer='dense' for it"
        )

    return [grows(*pair) for pair in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True)]


def _check_rows_apart(tx: optax.GradientTransformationExtraArgs) -> None:
    """Raises ValueError if a change to one row affects any other row. It tries a large number, then NaN, in one row."""
    rows, dim = 3, 2
    plain = 1 + jnp.arange(rows * dim, dtype=jnp.float32).reshape(rows, dim)

    @jax.jit
    def others(grads: Array, params: Array) -> Tree:
        """The effect of two steps on the rows after row 0; shared state may affect these rows in the second step only."""
        first, state = tx.update(grads, tx.init(params), params)
        second, state = tx.update(plain, state, plain)
        tall = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim and leaf.shape[0] == rows]
        return [leaf[1:] for leaf in jax.tree.leaves((first, second, tall))]

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
                        "its result would be different on the rows of a batch alone; use optimizer='dense' for it, or leave "
                        "that part out"
                    )
