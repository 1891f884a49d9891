"""The oracle: training steps as slow, obvious NumPy loops in float64, written from the equations, not from the library.

    scores     s_0 = <u, v_positive> / temperature,  s_k = <u, v_negative_k> / temperature
    InfoNCE    l = log(sum_k exp(s_k)) - s_0         BPR    l = mean_k log(1 + exp(s_k - s_0))
    Adam       g <- g + l2 w;  m <- .9 m + .1 g;  v <- .999 v + .001 g^2;  w <- w - rate m^ / (sqrt(v^) + 1e-8)
    average    u <- beta u + (1 - beta) v            for a row `u` that interacted with the partner row `v`, already new

Adam moves all rows of a table. A batch row whose user id is the number of users is padding: it has no loss, no gradient
and no partner.
"""

import jax.numpy as jnp
import numpy as np

from onebp_jax.types import Negatives, Sampler

RULES = ("expected", "sequential", "mean", "last")
# One set of shapes for the tests that run operation by operation: each operation is compiled once for all of them.
NUM_USERS, NUM_ITEMS, DIM, BATCH, WIDTH = 5, 9, 3, 16, 3


def row_loss(scores, kind):
    """The loss of one row and its slope in every score; the positive's score comes first."""
    if kind == "infonce":
        largest = max(scores)
        powers = [np.exp(score - largest) for score in scores]
        slopes = [power / sum(powers) for power in powers]
        slopes[0] -= 1
        return largest + np.log(sum(powers)) - scores[0], slopes
    loss, slopes, count = 0.0, [0.0] * len(scores), len(scores) - 1
    for k in range(1, len(scores)):
        gap = scores[k] - scores[0]
        loss += np.log(1 + np.exp(gap)) / count
        slopes[k] = 1 / (1 + np.exp(-gap)) / count
        slopes[0] -= slopes[k]
    return loss, slopes


def gradients(user, item, batch, kind="infonce", temperature=1.0, log_q=None):
    """Mean loss over the rows that are not padding, and its gradients with respect to both tables.

    A row may have any number of negatives. `log_q`, one number an item, is taken from the scores.
    """
    users, positives, negatives = batch
    rows = [r for r in range(len(users)) if users[r] < len(user)]
    mean, user_gradient, item_gradient = 0.0, np.zeros_like(user), np.zeros_like(item)
    for r in rows:
        u, items = users[r], [positives[r], *negatives[r]]
        offset = np.zeros(len(item)) if log_q is None else log_q
        loss, slopes = row_loss([user[u] @ item[i] / temperature - offset[i] for i in items], kind)
        mean += loss / len(rows)
        for slope, i in zip(slopes, items, strict=True):
            user_gradient[u] += slope / temperature / len(rows) * item[i]
            item_gradient[i] += slope / temperature / len(rows) * user[u]
    return mean, user_gradient, item_gradient


def average(table, ids, targets, beta, rule):
    """Moving average of every row of `ids` towards its `targets`, by one of the four rules for repeated ids."""
    new = table.copy()
    for row in {i for i in ids if i < len(table)}:
        own = [target for i, target in zip(ids, targets, strict=True) if i == row]
        moves = {
            "sequential": own,
            "expected": [sum(own) / len(own)] * len(own),
            "mean": [sum(own) / len(own)],
            "last": own[-1:],
        }
        for target in moves[rule]:
            new[row] = beta * new[row] + (1 - beta) * target
    return new


class Adam:
    """Dense Adam with coupled L2; remembers its moments from call to call."""

    def __init__(self, learning_rate, l2):
        self.learning_rate, self.l2, self.steps, self.first, self.second = learning_rate, l2, 0, 0.0, 0.0

    def __call__(self, table, gradient):
        gradient = gradient + self.l2 * table
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first, second = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        return table - self.learning_rate * first / (np.sqrt(second) + 1e-8)


def run(method, user, item, batches, user_step, item_step, beta=0.9, rule="expected", **loss):
    """Trains over `batches` of (users, positives, negatives); the tables and losses after each of them.

    Args:
      method: "onebp", "twobp" or "user_only".
      user_step, item_step: `step(table, gradient) -> table`, such as `Adam(...)`; unused by a tower that averages.
    """
    user, item, history = np.array(user, np.float64), np.array(item, np.float64), []
    for batch in batches:
        loss_value, user_gradient, item_gradient = gradients(user, item, batch, **loss)
        pairs = [(u, i) for u, i in zip(batch[0], batch[1], strict=True) if u < len(user)]
        users, items = [u for u, _ in pairs], [i for _, i in pairs]
        if method != "user_only":
            item = item_step(item, item_gradient)
        user = average(user, users, item[items], beta, rule) if method == "onebp" else user_step(user, user_gradient)
        if method == "user_only":
            item = average(item, items, user[users], beta, rule)
        history.append((user, item, loss_value))
    return history


def given_negatives(stack):
    """A sampler that draws nothing: it hands out `stack i32[steps, b, k]` step by step."""

    def sample(key, state, batch, data, view=None):
        del key, batch, data, view
        return Negatives(state[0]), jnp.roll(state, -1, axis=0)

    return Sampler(lambda data: None, lambda data, view=None: jnp.asarray(stack, jnp.int32), sample)
