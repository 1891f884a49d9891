"""The contract room: what flows between the parts, and what each part promises.

Notation: `M` users, `N` items, `d` embedding width, `b` batch rows, `k` negatives per row.

A method has four independent parts: encoder, sampler, loss, and one updater per tower. A training step asks the
sampler for negatives, the encoder for vectors, and the loss for one number per row. Then it gives each tower *one
message*, a `Signal`. The tower's `Updater` turns that message into new rows, and chooses what it reads:

    strategy    user tower               item tower
    OneBP       moving_average(beta)     gradient(adam)
    TwoBP       gradient(adam)           gradient(adam)
    user-only   gradient(adam)           moving_average(beta)

Padding is an id out of range, never a shape: a padded batch row has `user_ids == M` and `positive_ids == N`. No
part may let such a row change a table or a loss. (`-1` would wrap around to the last row: never use it.)
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
    """What a random draw is for. Every draw is a function of (seed, purpose, step), see `step_key`."""

    INIT = 0
    SHUFFLE = 1
    NEGATIVES = 2
    ROUNDING = 3
    DROPOUT = 4


def step_key(key: Array, purpose: Purpose, step: Array | int) -> Array:
    """The key for one purpose at one step: `fold_in(fold_in(key, purpose), step)`.

    No key is ever carried and split. So each draw stays the same in a resumed run, whatever the lengths of calls are.
    """
    return jax.random.fold_in(jax.random.fold_in(key, int(purpose)), step)


class Interactions(struct.PyTreeNode):
    """The training pairs, in the order of the file and sorted by user (CSR): NumPy arrays on the host, JAX ones after the upload.

    Attributes:
      user_ids, item_ids: `i32[P]`, the pairs in file order.
      row_starts, sorted_items: `i32[M+1]`, `i32[P]`; user `u` has `sorted_items[row_starts[u]:row_starts[u+1]]`, ascending.
      num_users, num_items, max_row: static ints; `max_row` is the largest number of items of one user, 0 if nobody knows what
        users touched (a stream that is too large). Then all rows are empty, and `sorted_items` is one meaningless number.
      user_features, item_features: side information, a pytree of arrays with one row per user or item; None without any.
      prepared: what the encoder's `prepare` made of all this; constant.
      item_counts: `i32[N]`, the training pairs of each item, if `sorted_items` does not tell; else None.
      ages: `i32[P]`, how many pairs of the user came after each of `sorted_items`, for `prepare` alone; None if not known.
      left_out: `bool[M]`, the users whose pairs a step treats as padding; None for nobody. See `engine/left_out.py`.
      row_limits: static ints, for an epoch that goes through histories: the largest number of items of the users that can
        stand at each place of a batch (`data.device.one_history_a_user`). `()` for other epochs.
      epoch_steps: static int, the steps of an epoch, for schedules; 0 outside of a run.
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
    ages: Array | None = None
    left_out: Array | None = None
    row_limits: tuple[int, ...] = struct.field(pytree_node=False, default=())
    epoch_steps: int = struct.field(pytree_node=False, default=0)

    @property
    def num_pairs(self) -> int:
        """`P`, the pairs that an epoch goes through."""
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
      log_q: the log of the probability of each draw, in the shape of `ids`; None if it is the same for all.
      positive_log_q: `f32[b]`, the same for each row's positive; None if positives are not corrected.
      negative_mask: `bool[b, k]`, true where a negative does not count for a row, such as the row's own positive; None if all
        negatives count.
      vectors: `f32[q, d]`, further shared negatives, given as vectors that are constants to the loss. Then `ids` is `i32[k]`, and
        `log_q [k + q]` and `negative_mask [b, k + q]` cover both. None for none.
    """

    ids: Array
    log_q: Array | None = None
    positive_log_q: Array | None = None
    negative_mask: Array | None = None
    vectors: Array | None = None


class Tables(NamedTuple):
    """What is learned: one row per user `[M, ...]`, one row per item `[N, ...]`, and the encoder's other parameters.

    `context` holds one row per item `[N, ...]` that is not learned: the encoder's `refresh` makes it at the start of an epoch.
    """

    user: Array
    item: Array
    params: Tree = ()
    context: Array | tuple = ()


class Signal(NamedTuple):
    """What one batch says about one tower.

    Attributes:
      ids: `i32[n]`, the rows that were touched. Ids may repeat. An id equal to the number of rows is padding.
      grads: `f32[n, d]`, the gradient of the mean loss with respect to each touched row, one per occurrence. None if the
        tower's updater does not read it; then this tower has no backward pass.
      targets: `f32[m, d]` with `m <= n`: for `r < m`, `ids[r]` interacted with the partner row `targets[r]`, read *after* the
        partner's own update. The rows from `m` on (negatives) have no partner. None if not read.
    """

    ids: Array
    grads: Array | None
    targets: Array | None


class InitUpdater(Protocol):
    """`init(table) -> state`: the updater's own state for a table `f32[rows, d]`; a pytree, `()` if it needs none."""

    def __call__(self, table: Array) -> Tree: ...


class UpdateRows(Protocol):
    """`update(signal, state, table, **extra) -> (table, state)`: pure; the new table has the same shape and dtype.

    The step passes three things in `extra`: `key`, a random key of this step and tower, by which a table in a narrow type is
    rounded without bias (without it, to the nearest); `old_targets`, the partner rows before their update, if the updater
    reads targets; and in a run `epoch f32[]`, the epochs done, for schedules.

    Contract: rows outside `signal.ids` change only if the updater documents it (dense optimisers do). If a signal holds
    padding alone, an updater that reads only targets changes nothing. Unknown `extra` is accepted and ignored. The result
    never depends on which of two writes to one row happens last.
    """

    def __call__(self, signal: Signal, state: Tree, table: Array, **extra: Any) -> tuple[Array, Tree]: ...


class Updater(NamedTuple):
    """A pair of pure functions, and what it reads from a `Signal`.

    `reads` names the fields that the updater looks at; the step computes no others. A tower that does not read
    `"grads"` has no backward pass. The default is to read both.
    """

    init: InitUpdater
    update: UpdateRows
    reads: tuple[str, ...] = ("grads", "targets")


@renamed_fields(whole="reads_all_rows")
class Encoder(NamedTuple):
    """Turns table rows into the vectors that are scored.

    Attributes:
      init: `init(key, data) -> Tables`. On several devices it is compiled, so that each device makes its own rows.
      encode: `encode(tables, user_ids i32[b], item_ids i32[n], data, key) -> (f32[b, d], f32[n, d])`, differentiable in
        `tables`. `tables` holds one row per given id, or all rows if the encoder `reads_all_rows`; then it picks the ids itself.
        A user may have several vectors, `f32[b, K, d]`. `key` is for dropout; None switches dropout off.
      vectors: `vectors(tables, data) -> (f32[M, e] or f32[M, K, e], f32[N, e])`: every vector, to rank by the (largest) dot
        product and to export.
      reads_all_rows: whether a vector depends on other rows than its own.
      geometry: how vectors are compared: "dot", "distance" (squared, Euclidean), or a name that a loss shares.
      prepare: `prepare(data) -> tree`, on the host, of NumPy arrays: constants, found later in `data.prepared`.
      partner: `partner(tables, tower, ids i32[b], data) -> [b, ...]`: what the other tower averages; None for the table rows.
      aggregate: for users that are made of their histories, `aggregate(items f32[p, d], item_ids i32[p], slots i32[p], b, data)
        -> (f32[b, d], f32[p, d] or None)`: the user of each slot, out of the vectors of its items, and, if it is not the same,
        the user that each item is compared with. Slot `b` is padding. Such a method's epoch unit is "history".
      refresh: `refresh(tables, data) -> [N, ...]`, the items' `context` of the next epoch, from whole tables; None for none.
      fold: `fold(data) -> onebp_jax.ops.fold.Fold`, how such a user grows event by event; None if nobody said.
    """

    init: Callable[[Array, Interactions], Tables]
    encode: Callable[..., tuple[Array, Array]]
    vectors: Callable[[Tables, Interactions], tuple[Array, Array]]
    reads_all_rows: bool = False
    geometry: str = "dot"
    prepare: Callable[[Interactions], Tree] = lambda data: None
    partner: Callable[..., Array] | None = None
    aggregate: Callable[..., tuple[Array, Array | None]] | None = None
    refresh: Callable[[Tables, Interactions], Array] | None = None
    fold: Callable[[Interactions], Any] | None = None


class ModelView(NamedTuple):
    """The model before a step, for samplers that look at scores. No gradient flows through it.

    Attributes:
      encode: `encode(user_ids i32[b], item_ids i32[n]) -> (f32[b, d] or f32[b, K, d], f32[n, d])`.
      score: `score(user, item [b, c, d] or [c, d]) -> f32[b, c]`, higher is better; the encoder's geometry.
    """

    encode: Callable[[Array, Array], tuple[Array, Array]]
    score: Callable[[Array, Array], Array]


class Sampler(NamedTuple):
    """Draws negatives inside the compiled step.

    Attributes:
      check: `check(data) -> None`, on the host, before anything is compiled; raises ValueError if a draw is impossible.
      init: `init(data, view ModelView) -> state`, on the host; what the sampler carries from step to step, `()` for nothing.
      sample: `sample(key, state, batch, data, view) -> (Negatives, state)`. Negatives of a padded row have the id `N`.
      lacking: `lacking(data) -> bool[M]`, on the host, the users who touched too many items; False: nobody.
    """

    check: Callable[[Interactions], None]
    init: Callable[..., Tree]
    sample: Callable[..., tuple[Negatives, Tree]]
    lacking: Callable[[Interactions], Any] = lambda data: False


class Loss(Protocol):
    """`loss(user [b, d], positive [b, d], negatives [b, k, d] or [k, d], **extra) -> f32[b]`: one number per row, no state.

    Negatives `[k, d]` are shared by every row. A user may have several vectors, `[b, K, d]`. The step takes the mean.

    `extra` holds the other fields of `Negatives`. A loss may ignore all but `negative_mask`: masked negatives must not affect
    the loss. It also holds `valid bool[b]`, false for padding, for losses that compare rows; `num_items`; and `inputs`, the
    table rows `(user [b, ...], positive [b, ...], negatives)` behind the vectors, for a penalty.

    If a batch holds histories, there are `p` positives of `b` users: `extra` holds `slots i32[p]`, the row of `user` that each
    positive belongs to (`b` for padding), and `paired_user f32[p, d]`, the user that it is compared with. Then the loss returns
    `f32[p]`.

    The function may have three attributes. `geometry` says what vectors it compares, "dot" or "distance"; without it the loss
    is taken to suit every encoder. `across_rows` is true if it compares the rows of a batch with each other, so that it cannot
    be computed from a part of them. `histories` is true if it knows batches of histories.
    """

    def __call__(self, user: Array, positive: Array, negatives: Array, **extra: Any) -> Array: ...


@renamed_fields(each="epoch_unit", before="pre_step")
class Method(NamedTuple):
    """A method: its four parts (one updater per tower), and three things that some methods need.

    Attributes:
      tx: the optax transformation of the encoder's parameters, if it has any.
      pre_step: a method whose step on the same tables comes first, each time.
      epoch_unit: an epoch goes through every training "pair", through every "user" once (losses over a user's whole row), or
        through every "history" once: a user with all positives, for encoders that `aggregate`.
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
      user, item, params, context: see `Tables`.
      user_opt, item_opt, params_opt: the states of the two updaters and of the optimiser of the parameters.
      sampler: the sampler's state.
      pre_step: `(user_opt, item_opt, sampler)` of the step that comes first, `()` without one.
      key, step: the run's root key (typed), constant, and `i32[]`, steps done.
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
    context: Array | tuple = ()

    @property
    def tables(self) -> Tables:
        """What is learned."""
        return Tables(self.user, self.item, self.params, self.context)


class Info(NamedTuple):
    """What a person wants to see of a step: the mean `loss f32[]` and the number of `examples i32[]`."""

    loss: Array
    examples: Array


__getattr__ = renamed_names(__name__, {"View": "ModelView", "stream": "step_key"})
