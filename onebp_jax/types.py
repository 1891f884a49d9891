"""The contract room: what flows between the parts, and what each part promises.

Notation: `M` users, `N` items, `d` embedding width, `b` batch rows, `k` negatives per row.

A method is four independent parts (encoder, sampler, loss, one updater per tower). A training step asks the
sampler for negatives, the encoder for vectors, the loss for one number a row, and then tells each tower *one
message*, a `Signal`. The tower's `Updater` turns that message into new rows and chooses what it reads:

    strategy    user tower               item tower
    OneBP       moving_average(beta)     gradient(adam)
    TwoBP       gradient(adam)           gradient(adam)
    user-only   gradient(adam)           moving_average(beta)

Padding is by out-of-range id, never by shape: a padded batch row has `user_ids == M`, `positive_ids == N`. No
part may let such a row change a table or a loss. (`-1` would wrap around to the last row: never use it.)

This module imports nothing of ours but the old names (`onebp_jax.compat`); every other room imports it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from flax import struct

from onebp_jax.compat.renamed import renamed_fields, renamed_names

Array = jax.Array
Tree = Any  # a pytree of arrays


class Purpose(enum.IntEnum):
    """What a random draw is for. Every draw is a function of (seed, purpose, step), see `stream`."""

    INIT = 0
    SHUFFLE = 1
    NEGATIVES = 2
    ROUNDING = 3
    DROPOUT = 4


def step_key(key: Array, purpose: Purpose, step: Array | int) -> Array:
    """The key for one purpose at one step: `fold_in(fold_in(key, purpose), step)`.

    No key is ever carried and split, so that resuming, another `steps_per_call` or another evaluation cadence
    leaves every draw as it was.
    """
    return jax.random.fold_in(jax.random.fold_in(key, int(purpose)), step)


@struct.dataclass
class Interactions:
    """The training pairs on the device, in the order of the file and sorted by user.

    Attributes:
      user_ids, item_ids: `i32[P]`, the pairs in file order.
      row_starts: `i32[M+1]`; the items of user `u` are `sorted_items[row_starts[u]:row_starts[u+1]]`, ascending.
      sorted_items: `i32[P]`.
      num_users, num_items, max_row: static ints; `max_row` is the largest number of items of one user. Where it is 0, what users
        touched is not known (a stream too large for it): all rows are empty, `sorted_items` holds one number of no meaning.
      user_features, item_features: side information, a pytree of arrays with a row a user or item; None without any.
      prepared: what the encoder's `prepare` made of all this; constant.
      item_counts: `i32[N]`, the training pairs of each item, where `sorted_items` does not tell; else None.
    """

    user_ids: Array
    item_ids: Array
    row_starts: Array
    sorted_items: Array
    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)
    max_row: int = struct.field(pytree_node=False)
    user_features: Tree = None
    item_features: Tree = None
    prepared: Tree = None
    item_counts: Array | None = None

    @property
    def num_pairs(self) -> int:
        return self.user_ids.shape[-1]


class Batch(NamedTuple):
    """One mini-batch of interactions: `user_ids i32[b]`, `positive_ids i32[b]`; padded rows hold `M` and `N`."""

    user_ids: Array
    positive_ids: Array


@renamed_fields(hidden="negative_mask")
class Negatives(NamedTuple):
    """What a sampler drew.

    Attributes:
      ids: `i32[b, k]`, each row's own negatives, or `i32[k]`, the same negatives for every row (shared).
      log_q: the log of the probability with which each was drawn, of the shape of `ids`; None where it is the same for all.
      positive_log_q: `f32[b]`, that of each row's positive; None where that is not to be corrected.
      negative_mask: `bool[b, k]`, true where a negative does not count for a row (it is the row's own positive, say); None for
        nowhere.
      vectors: `f32[q, d]`, further shared negatives as vectors, constants to the loss; then `ids` is `i32[k]`, and `log_q
        [k + q]` and `negative_mask [b, k + q]` speak of both. None for none.
    """

    ids: Array
    log_q: Array | None = None
    positive_log_q: Array | None = None
    negative_mask: Array | None = None
    vectors: Array | None = None


class Tables(NamedTuple):
    """What is learned: a row a user `[M, ...]`, a row an item `[N, ...]`, and an encoder's other parameters."""

    user: Array
    item: Array
    params: Tree = ()


class Signal(NamedTuple):
    """What one batch says about one tower.

    Attributes:
      ids: `i32[n]`, the rows that were touched; ids may repeat; an id equal to the number of rows is padding.
      grads: `f32[n, d]`, the gradient of the mean loss with respect to each touched row, one per occurrence, or
        None when the tower's updater does not read it (then no backward pass for this tower exists).
      targets: `f32[m, d]` with `m <= n`: `ids[r]`, `r < m`, interacted with the partner row `targets[r]`, read
        *after* the partner's own update. The rows from `m` on (negatives) have no partner. None when not read.
    """

    ids: Array
    grads: Array | None
    targets: Array | None


class InitUpdater(Protocol):
    """`init(table) -> state`: the updater's own state for a table `f32[rows, d]`; a pytree, `()` when it needs none."""

    def __call__(self, table: Array) -> Tree: ...


class UpdateRows(Protocol):
    """`update(signal, state, table, **extra) -> (table, state)`: pure; new table of the same shape and dtype.

    The step passes `key`, a random key of this step and tower, which an updater of a table in a narrow type needs to
    round without bias (without it the updater rounds to the nearest), and to one that reads targets `old_targets`, the
    same partner rows before their update.

    Contract: rows outside `signal.ids` change only if the updater documents it (dense optimisers do); a signal of
    padding alone is the identity for an updater that reads only targets; unknown `extra` is accepted and ignored;
    the result never depends on which of two writes to one row happens last.
    """

    def __call__(self, signal: Signal, state: Tree, table: Array, **extra: Any) -> tuple[Array, Tree]: ...


class Updater(NamedTuple):
    """A pair of pure functions, and what it reads from a `Signal`.

    `reads` names the fields that the updater looks at; a step computes no others. A tower that does not read
    `"grads"` has no backward pass. Left alone, an updater is taken to read both.
    """

    init: InitUpdater
    update: UpdateRows
    reads: tuple[str, ...] = ("grads", "targets")


@renamed_fields(whole="reads_all_rows")
class Encoder(NamedTuple):
    """Turns table rows into the vectors that are scored.

    Attributes:
      init: `init(key, data) -> Tables`; on several devices it is compiled, so that each makes its own rows.
      encode: `encode(tables, user_ids i32[b], item_ids i32[n], data, key) -> (f32[b, d], f32[n, d])`, differentiable in
        `tables`, which holds the rows of these ids, or, for an encoder that reads `whole` tables (a graph's), all rows. A user
        may have several vectors, `f32[b, K, d]`. `key` is for dropout; None switches that off.
      vectors: `vectors(tables, data) -> (f32[M, e] or f32[M, K, e], f32[N, e])`: every vector, to rank by the (largest) dot
        product and to export.
      reads_all_rows: whether a vector depends on other rows than its own.
      geometry: how its vectors are compared: "dot", "distance" (squared, Euclidean), or a name that a loss shares.
      prepare: `prepare(data) -> tree`, on the host: constants that it will find in `data.prepared`.
      partner: `partner(tables, tower, ids i32[b], data) -> [b, ...]`: what the updater of the other tower averages, "user" or
        "item" rows; None for the table rows themselves.
    """

    init: Callable[[Array, Interactions], Tables]
    encode: Callable[..., tuple[Array, Array]]
    vectors: Callable[[Tables, Interactions], tuple[Array, Array]]
    reads_all_rows: bool = False
    geometry: str = "dot"
    prepare: Callable[[Interactions], Tree] = lambda data: None
    partner: Callable[..., Array] | None = None


class ModelView(NamedTuple):
    """The model as it stands before a step, for samplers that look at scores; no gradient flows back.

    Attributes:
      encode: `encode(user_ids i32[b], item_ids i32[n]) -> (f32[b, d] or f32[b, K, d], f32[n, d])`.
      score: `score(user, item [b, c, d] or [c, d]) -> f32[b, c]`, higher is better; the encoder's geometry.
    """

    encode: Callable[[Array, Array], tuple[Array, Array]]
    score: Callable[[Array, Array], Array]


class Sampler(NamedTuple):
    """Draws negatives inside the compiled step.

    Attributes:
      check: `check(data) -> None`, on the host, before anything is compiled: raises when a draw is impossible.
      init: `init(data, view) -> state`, on the host; what it carries from step to step (`()` for a stateless one).
      sample: `sample(key, state, batch, data, view) -> (Negatives, state)`; negatives of a padded row have the id `N`.
    """

    check: Callable[[Interactions], None]
    init: Callable[[Interactions, ModelView], Tree]
    sample: Callable[[Array, Tree, Batch, Interactions, ModelView], tuple[Negatives, Tree]]


class Loss(Protocol):
    """`loss(user [b, d], positive [b, d], negatives [b, k, d] or [k, d], **extra) -> f32[b]`, one number a row, no state.

    Negatives `[k, d]` are shared by every row; a user may have several vectors, `[b, K, d]`. The step takes the mean.
    `extra` holds the other fields of `Negatives`, which a loss may ignore but for `negative_mask`:
    masked negatives must not affect the loss;
    `valid bool[b]`, false for padding, for losses that compare rows; `num_items`; and `inputs`, the table rows `(user [b,
    ...], positive [b, ...], negatives)` behind the vectors, for a penalty. An attribute `geometry` of the function says what
    vectors it compares, "dot" or "distance"; without one it is taken to suit every encoder. One that compares rows of the
    batch with one another says so by an attribute `across_rows`: it cannot be computed from a part of them.
    """

    def __call__(self, user: Array, positive: Array, negatives: Array, **extra: Any) -> Array: ...


@renamed_fields(each="epoch_unit", before="pre_step")
class Method(NamedTuple):
    """A named method: four parts (an updater a tower), and where it needs them three things more.

    Attributes:
      tx: the optax transformation of the encoder's parameters; needed where it has any.
      pre_step: a method whose step on the same tables comes first, each time.
      epoch_unit: what an epoch goes through: every training "pair", or every "user" once (for losses over a user's whole row).
    """

    encoder: Encoder
    sampler: Sampler
    loss: Loss
    user_updater: Updater
    item_updater: Updater
    tx: Any = None
    pre_step: Method | None = None
    epoch_unit: str = "pair"


class State(NamedTuple):
    """All that the next step needs, and nothing else.

    Attributes:
      user, item, params: what is learned, see `Tables`.
      user_opt, item_opt, params_opt: the states of the two updaters and of the optimiser of the parameters.
      sampler: the sampler's state.
      pre_step: `(user_opt, item_opt, sampler)` of the step that comes first, `()` without one.
      key: the run's root key (typed); constant.
      step: `i32[]`, steps done.
    """

    user: Array
    item: Array
    user_opt: Tree
    item_opt: Tree
    sampler: Tree
    key: Array
    step: Array
    params: Tree = ()
    params_opt: Tree = ()
    pre_step: Tree = ()

    @property
    def tables(self) -> Tables:
        return Tables(self.user, self.item, self.params)


class Info(NamedTuple):
    """What a person wants to see of a step: the mean `loss f32[]` and the number of `examples i32[]` in it."""

    loss: Array
    examples: Array


__getattr__ = renamed_names(__name__, {"View": "ModelView", "stream": "step_key"})
