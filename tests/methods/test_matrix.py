"""Every part with every other: each valid combination takes steps, each other one is refused with a sentence that says why.

The rules of `why_not` are the table "What does not go together" of the README. Here each pair of parts is met once: a refused
pair by itself, a pair that fits in a traced step. A loss sees only the form of the negatives, and an updater only the shape of
the tables. So a loss and a sampler that fit are met once for each form, and two updaters once for each shape. One combination
takes two real steps. The whole matrix, with real steps, is a study (`-m study`).

Named methods take real steps in `test_checkerboard.py`; the first combination here has the parts that none of them uses.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import Features
from onebp_jax.data.device import to_device
from onebp_jax.engine.backward import view_of
from onebp_jax.engine.step import make_step
from onebp_jax.methods import parts
from onebp_jax.types import Batch, Method

NUM_USERS, NUM_ITEMS, BATCH = 9, 17, 8
PLAIN = ("embedding", "uniform", "infonce", "gradient", "gradient")
KINDS = ("encoder", "sampler", "loss", "user_updater", "item_updater")
ONE_OF_EACH_SHAPE = ("embedding", "multi_interest", "buir")
SEVERAL = ("multi_interest", "euclidean_several")
AVERAGES = ("moving_average", "nearest_interest")
GEOMETRY = {
    "euclidean": "distance",
    "euclidean_several": "distance",
    "buir": "buir",
    "cml": "distance",
    "dpcml": "distance",
}
NO_NEGATIVES = ("directau", "buir")
READS_SCORES = ("dynamic", "hardest_distance", "auc_optimal", "bayesian")
KNOWS_Q = ("shared", "in_batch", "cross_batch", "mixed")


def why_not(encoder, sampler, loss, user, item):
    """Part of the sentence that refuses a combination, None for one that trains."""
    shape = {"user": "several" if encoder in SEVERAL else "two" if encoder == "buir" else "one"}
    shape["item"] = "two" if encoder == "buir" else "one"
    if user in AVERAGES and item in AVERAGES:
        return "would have to wait for the other"
    if GEOMETRY.get(encoder, "dot") != GEOMETRY.get(loss, "dot"):
        return "of one geometry"
    towers = ((user, "user", "item"), (item, "item", "user"))
    if any(updater == "with_target" and shape[own] != "two" for updater, own, _ in towers):
        return "with_target is for tables of"
    if sampler in ("cross_batch", "two_stage") and encoder == "buir":
        return "one vector per item"
    for updater, own, other in towers:
        if updater == "nearest_interest" and (shape[own], shape[other]) != ("several", "one"):
            return "nearest_interest is for several vectors"
        if updater == "moving_average" and shape[own] != shape[other]:
            return "moving_average mixes rows"
    if sampler in READS_SCORES and encoder == "buir":
        return "no score for single items"
    if sampler == "none" and loss not in (*NO_NEGATIVES, "sfcml", "sampled_softmax"):
        return "draws none"
    if loss == "sfcml" and sampler != "full_catalogue":
        return "full_catalogue"
    if loss == "sampled_softmax" and sampler not in KNOWS_Q:
        return "log_q"
    if loss == "directau" and encoder in SEVERAL:
        return "one vector per user"
    return None


def side(rows):
    random = np.random.default_rng(rows)
    return Features(
        random.normal(size=(rows, 2)).astype(np.float32), random.integers(0, 5, (rows, 3), np.int32), 4, ("a", "b")
    )


@pytest.fixture(scope="module")
def data():
    pairs = np.array([[user, item] for user in range(NUM_USERS) for item in range(NUM_ITEMS) if (user + item) % 4 == 0])
    return to_device(pairs, NUM_USERS, NUM_ITEMS, item_features=side(NUM_ITEMS))


@functools.cache
def config():
    config = default_config()
    config.update({"batch_size": BATCH, "dim": 4, "num_negatives": 2, "shared_negatives": 6, "negative_alpha": 0.5})
    return config


def method_of(names):
    known = [parts.KNOWN[kind][name](config()) for kind, name in zip(KINDS, names, strict=True)]
    return Method(*known, tx=parts.parameter_transform(config()))


def batches(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        users, items = random.integers(0, NUM_USERS, BATCH), random.integers(0, NUM_ITEMS, BATCH)
        users[-1], items[-1] = NUM_USERS, NUM_ITEMS
        yield Batch(jnp.asarray(users, jnp.int32), jnp.asarray(items, jnp.int32))


def check(names, data, real=False):
    """A step of a combination, traced, or two real ones; or its refusal."""
    reason = why_not(*names)

    def steps(key):
        init, step = make_step(method_of(names))
        (state, prepared), infos = init(key, data), []
        for batch in batches(2 if real else 1):
            state, info = step(state, batch, prepared)
            infos.append(info)
        return state.tables, infos

    if reason:
        with pytest.raises(ValueError, match=reason):
            jax.eval_shape(steps, jax.random.key(0))
        return
    key = jax.random.key(0)
    if real:
        tables, infos = jax.jit(steps).lower(key).compile()(key)
    else:
        tables, infos = jax.eval_shape(steps, key)
    shapes = jax.eval_shape(lambda: parts.KNOWN["encoder"][names[0]](config()).init(jax.random.key(0), data))
    assert [table.shape for table in tables[:2]] == [table.shape for table in shapes[:2]]
    if real:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((tables, [info.loss for info in infos])))


def completed(**given):
    """The plain method with the given parts, and what these need to have a chance of being valid."""
    names = dict(zip(KINDS, PLAIN, strict=True)) | given
    loss, sampler, encoder = (names[kind] for kind in ("loss", "sampler", "encoder"))
    if "loss" not in given:
        names["loss"] = {"distance": "dpcml", "buir": "buir"}.get(GEOMETRY.get(encoder), loss)
        if sampler == "none" and names["loss"] == "infonce":
            names["loss"] = "directau"
    if "encoder" not in given:
        names["encoder"] = {"distance": "euclidean", "buir": "buir"}.get(GEOMETRY.get(loss), encoder)
    if "sampler" not in given:
        names["sampler"] = {"sfcml": "full_catalogue", "sampled_softmax": "in_batch"}.get(names["loss"], sampler)
    return tuple(names[kind] for kind in KINDS)


def pairs_of(*kinds):
    return sorted(
        {
            completed(**dict(zip(kinds, pair, strict=True)))
            for pair in itertools.product(*(parts.KNOWN[k] for k in kinds))
        }
    )


def form_of_negatives(sampler, data):
    """What a loss sees of a sampler: which fields its negatives have, of how many dimensions, and if any."""
    encoder, sampler = parts.KNOWN["encoder"]["embedding"](config()), parts.KNOWN["sampler"][sampler](config())

    def draw(key):
        view = view_of(encoder, encoder.init(key, data), data)
        return sampler.sample(key, sampler.init(data, view), next(batches(1)), data, view)[0]

    return tuple(field and (field.ndim, field.size > 0) for field in jax.eval_shape(draw, jax.random.key(0)))


def few_that_meet_every_pair(data):
    """Combinations in which each pair of encoder, sampler and loss is met: refused pairs alone, the others as few as possible."""
    cases = [names for kinds in itertools.combinations(KINDS[:3], 2) for names in pairs_of(*kinds)]
    forms = {sampler: form_of_negatives(sampler, data) for sampler in parts.SAMPLERS}
    pairs = lambda names: {(names[0], names[1]), (names[0], names[2]), (forms[names[1]], names[2])}
    missing = set().union(*(pairs(names) for names in cases if not why_not(*names)))
    triples = itertools.product(*(parts.KNOWN[kind] for kind in KINDS[:3]))
    fitting = {names: pairs(names) for names in ((*triple, *PLAIN[3:]) for triple in triples) if not why_not(*names)}
    chosen = []
    while missing:
        chosen.append(max(fitting, key=lambda names: len(fitting[names] & missing)))
        missing -= fitting[chosen[-1]]
    return chosen + sorted({names for names in cases if why_not(*names)})


def test_every_pair_of_encoder_sampler_and_loss_fits_or_says_why_not(data):
    for names in few_that_meet_every_pair(data):
        check(names, data)


@pytest.mark.parametrize("encoder", parts.ENCODERS)
def test_every_pair_of_updaters_fits_an_encoder_or_says_why_not(encoder, data):
    for user, item in itertools.product(parts.UPDATERS, repeat=2):
        if encoder in ONE_OF_EACH_SHAPE or "gradient" in (user, item):
            check(completed(encoder=encoder, user_updater=user, item_updater=item), data)


REAL = [
    ("embedding", "shared", "sampled_softmax", "on_sphere", "moving_average"),
    ("embedding", "dynamic", "infonce", "moving_average", "gradient"),
    ("lightgcn", "popularity", "hcl", "moving_average", "on_sphere"),
    ("ngcf", "cross_batch", "sampled_softmax", "gradient", "moving_average"),
    ("multi_interest", "auc_optimal", "bpr", "nearest_interest", "gradient"),
    ("features", "mixed", "dcl", "moving_average", "gradient"),
    ("euclidean", "hardest_distance", "cml", "moving_average", "in_ball"),
    ("euclidean_several", "two_stage", "dpcml", "on_sphere", "gradient"),
    ("buir", "none", "buir", "with_target", "with_target"),
    ("embedding", "full_catalogue", "sfcml", "gradient", "on_sphere"),
    ("lightgcn", "none", "directau", "gradient", "gradient"),
    ("lightgcn", "uniform", "bpr_l2", "gradient", "gradient"),
    ("multi_interest", "bayesian", "ccl", "in_ball", "gradient"),
    ("ngcf", "shared", "catalogue_softmax", "moving_average", "gradient"),
    ("features", "in_batch", "infonce", "gradient", "moving_average"),
]


def test_the_real_steps_meet_every_part():
    for place, kind in enumerate(KINDS[:3]):
        assert {names[place] for names in REAL} | {PLAIN[place]} == set(parts.KNOWN[kind])
    assert {name for names in REAL for name in names[3:]} == set(parts.UPDATERS)


@pytest.mark.parametrize(
    "names", [REAL[0], *(pytest.param(names, marks=pytest.mark.study) for names in REAL[1:])], ids="-".join
)
def test_two_real_steps(names, data):
    assert why_not(*names) is None
    check(names, data, real=True)


@pytest.mark.study
@pytest.mark.parametrize("encoder", parts.ENCODERS)
def test_the_whole_matrix_takes_two_steps(encoder, data):
    for sampler, loss in itertools.product(parts.SAMPLERS, parts.LOSSES):
        check((encoder, sampler, loss, "gradient", "gradient"), data, real=True)
    for user, item in itertools.product(parts.UPDATERS, repeat=2):
        check(completed(encoder=encoder, user_updater=user, item_updater=item), data, real=True)
