"""Named methods: which parts they are made of, what the fields of a config do to them, and the methods without training."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from onebp_jax import losses, methods
from onebp_jax.config import OPTIONS, default_config
from onebp_jax.data import Features
from onebp_jax.data.device import to_device
from onebp_jax.engine.step import make_step
from onebp_jax.errors import UserError
from onebp_jax.methods import baselines
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method, options_of
from onebp_jax.methods.factors import ials, spectral
from onebp_jax.ops.rows import NARROW
from onebp_jax.types import Batch, Method, Signal
from onebp_jax.updaters import DUPLICATE_RULES, TRANSFORMS, gradient, rowwise

DATA = to_device(np.array([[0, 1], [1, 2], [2, 0]]), 3, 9)
MANY = to_device(np.array([[0, 1], [0, 3], [1, 2], [2, 0]]), 3, 9)
AVERAGES, LEARNS = ("targets",), ("grads",)
READS = {"onebp": (AVERAGES, LEARNS), "twobp": (LEARNS, LEARNS), "user_only": (LEARNS, AVERAGES)}
UNTRAINED = ("popularity", "itemknn", "ease", "bspm", "spectral", "ials")


def config_of(method, **fields):
    config = default_config()
    config.update({"method": method, "dim": 4, **fields})
    return config


@pytest.mark.parametrize("name", READS)
def test_which_tower_learns_and_which_averages(name):
    method = build_method(config_of(name))
    assert isinstance(method, Method)
    assert (method.user_updater.reads, method.item_updater.reads) == READS[name]


def test_every_named_method_is_public_and_says_what_it_is():
    assert {*READS, *UNTRAINED} <= set(methods.NAMED)
    for name, function in methods.NAMED.items():
        assert function.__name__ == name and function.__doc__


@pytest.mark.parametrize("name", READS)
def test_dim_and_num_negatives_reach_the_parts(name):
    method = build_method(config_of(name, dim=6, num_negatives=3))
    key = jax.random.key(0)
    user, item, *_ = jax.eval_shape(lambda: method.encoder.init(key, DATA))
    assert user.shape == (3, 6) and item.shape == (9, 6)
    batch = Batch(jnp.array([0, 1]), jnp.array([1, 2]))
    negatives, _ = jax.eval_shape(lambda: method.sampler.sample(key, (), batch, DATA))
    assert negatives.ids.shape == (2, 3)


@pytest.mark.parametrize("loss", ["infonce", "bpr"])
def test_loss_and_temperature_reach_the_loss(loss):
    user, positive, negatives = (
        jnp.asarray(np.random.default_rng(0).normal(size=shape)) for shape in ((2, 4), (2, 4), (2, 5, 4))
    )
    results = {}
    for temperature in (1.0, 0.3):
        built = build_method(config_of("onebp", loss=loss, temperature=temperature)).loss
        results[temperature] = np.asarray(built(user, positive, negatives))
        np.testing.assert_array_equal(
            results[temperature], getattr(losses, loss)(temperature)(user, positive, negatives)
        )
    assert (results[1.0] != results[0.3]).all()


@pytest.mark.parametrize("tower", ["user", "item"])
@pytest.mark.parametrize("rule", DUPLICATE_RULES)
def test_beta_and_duplicates_reach_the_average(tower, rule):
    name = {"user": "onebp", "item": "user_only"}[tower]
    updater = getattr(build_method(config_of(name, beta=0.5, duplicates=rule)), f"{tower}_updater")
    table, signal = jnp.ones((2, 1)), Signal(jnp.array([0, 0, 0]), None, jnp.array([[0.0], [2.0], [4.0]]))
    moved = {"sequential": 2.625, "expected": 1.875, "mean": 1.5, "last": 2.5}[rule]
    np.testing.assert_allclose(updater.update(signal, updater.init(table), table)[0], [[moved], [1.0]], rtol=1e-6)


@pytest.mark.parametrize(
    "name, tower", [("onebp", "item"), ("twobp", "user"), ("twobp", "item"), ("user_only", "user")]
)
def test_learning_rate_and_decay_reach_the_gradient_steps(name, tower):
    updater = getattr(build_method(config_of(name, learning_rate=0.25, l2=0.1)), f"{tower}_updater")
    table, signal = jnp.array([[1.0], [1.0], [0.0]]), Signal(jnp.array([0]), jnp.array([[-5.0]]), None)
    # The first step of Adam is the rate against the sign of the gradient: row 1 has only its decay, row 2 nothing.
    moved, _ = updater.update(signal, updater.init(table), table)
    np.testing.assert_allclose(moved, [[1.25], [0.75], [0.0]], rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    "name, given, expected",
    [
        ("popularity", {}, baselines.popularity()),
        ("itemknn", {}, baselines.item_knn()),
        ("itemknn", {"num_neighbours": 1, "shrink": 3.0}, baselines.item_knn(1, 3.0)),
        ("itemknn", {"similarity": "jaccard"}, baselines.item_knn(similarity="jaccard")),
        ("ease", {}, baselines.ease()),
        ("ease", {"ease_l2": 2.0}, baselines.ease(2.0)),
        ("bspm", {}, baselines.bspm(2)),
        ("bspm", {"lowpass_weight": 1.0, "sharpening": 0.5}, baselines.bspm(2, 1.0, 0.5)),
        ("spectral", {}, spectral(2)),
        ("spectral", {"item_power": 0.25, "response": 1.0, "iterations": 1}, spectral(2, 0.25, 1.0, 1)),
        ("ials", {}, ials(2)),
        (
            "ials",
            {"ials_l2": 0.1, "unobserved_weight": 0.5, "l2_power": 0.5, "iterations": 2},
            ials(2, 0.1, 0.5, 0.5, 2),
        ),
    ],
)
def test_options_reach_the_methods_without_training(name, given, expected):
    config = config_of(name, dim=2)
    config.options.update(given)
    built = build_method(config)
    assert isinstance(built, Baseline)
    pairs = np.array([[0, 2], [1, 2], [2, 2], [0, 0], [2, 0], [1, 4], [0, 4]])
    for found, wanted in zip(built.tables(pairs, 3, 6), expected.tables(pairs, 3, 6), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["itemknn", "ease", "bspm"])
def test_the_memory_bound_reaches_the_methods_without_training(name):
    config = config_of(name)
    config.options.max_bytes = 10
    with pytest.raises(UserError, match="max_bytes=10"):
        build_method(config).tables(np.array([[0, 1]]), 3, 6)


def test_a_method_of_ones_own_needs_no_registration():
    config = config_of("onebp")
    config.method = lambda config: methods.twobp(config)._replace(loss=losses.bpr(config.temperature))
    assert build_method(config).user_updater.reads == LEARNS


def test_an_unknown_loss_is_refused_with_the_nearest_name():
    with pytest.raises(
        UserError, match=r"loss='infonse': expected one of infonce, bpr, .*, buir \(did you mean 'infonce'\?\)"
    ):
        build_method(config_of("onebp", loss="infonse"))


@pytest.mark.parametrize("optimizer", ["dense", "rowwise"])
@pytest.mark.parametrize("transform", [*TRANSFORMS, lambda config: optax.sgd(config.learning_rate)])
def test_transform_and_optimizer_reach_the_gradient_steps(optimizer, transform):
    """Both towers make the step of the part that is built by hand; so does a function of the config."""
    method = build_method(config_of("twobp", optimizer=optimizer, transform=transform, learning_rate=0.3, l2=0.1))
    tx = TRANSFORMS[transform](0.3, 0.1) if isinstance(transform, str) else optax.sgd(0.3)
    by_hand = {"dense": gradient, "rowwise": rowwise}[optimizer](tx)
    table, signal = jnp.array([[1.0], [2.0], [0.5]]), Signal(jnp.array([0, 2]), jnp.array([[-5.0], [0.1]]), None)
    expected = by_hand.update(signal, by_hand.init(table), table)[0]
    for updater in (method.user_updater, method.item_updater):
        np.testing.assert_array_equal(updater.update(signal, updater.init(table), table)[0], expected)
    assert (np.asarray(expected) != table).any()


def test_row_counts_reach_the_gradient_steps():
    shared_count, own_counts = (
        build_method(config_of("onebp", optimizer="rowwise", row_counts=own)).item_updater.init(jnp.ones((3, 1)))
        for own in (False, True)
    )
    shapes = [{leaf.shape for leaf in jax.tree.leaves(state)} for state in (shared_count, own_counts)]
    assert shapes == [{(), (3,), (3, 1)}, {(3,), (3, 1)}]


def test_normalize_and_table_dtype_reach_the_encoder():
    encoder = build_method(config_of("onebp", normalize=True, table_dtype="bfloat16")).encoder
    tables = encoder.init(jax.random.key(0), DATA)
    assert [table.dtype for table in tables[:2]] == [NARROW] * 2
    for vectors in encoder.vectors(tables, DATA):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_the_fields_of_shared_negatives_reach_the_sampler():
    config = config_of("onebp", shared_negatives=40, negative_alpha=1.0)
    batch = Batch(jnp.array([0, 1]), jnp.array([1, 2]))
    drawn = {}
    for hide in (False, True):
        config.hide_touched = hide
        sampler = build_method(config).sampler
        drawn[hide], _ = sampler.sample(jax.random.key(0), sampler.init(MANY), batch, MANY)
    assert set(drawn[False].ids.tolist()) == {0, 1, 2, 3} and drawn[False].ids.shape == (40,)
    np.testing.assert_array_equal(drawn[False].negative_mask[0], drawn[False].ids == 1)
    np.testing.assert_array_equal(drawn[True].negative_mask[0], (drawn[True].ids == 1) | (drawn[True].ids == 3))


@pytest.mark.parametrize(
    "given, message", [("adm", r"transform='adm': expected .*\(did you mean 'adam'\?\)"), (3, "=3")]
)
def test_an_unknown_transform_is_refused_with_the_nearest_name(given, message):
    with pytest.raises(UserError, match=message) as caught:
        build_method(config_of("onebp", transform=given))
    assert ", ".join(TRANSFORMS) in str(caught.value)


def test_a_transform_that_makes_no_optax_transformation_is_refused():
    with pytest.raises(UserError, match="^transform=.* returned '0.0005', which is no GradientTransformation"):
        build_method(config_of("onebp", transform=lambda config: config.learning_rate))


def test_a_transform_that_mixes_rows_is_refused_on_the_rows_of_a_batch_only():
    config = config_of("onebp", transform=lambda config: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)))
    assert isinstance(build_method(config), Method)
    config.optimizer = "rowwise"
    with pytest.raises(UserError, match="the transformation mixes rows .* use optimizer='dense'"):
        build_method(config)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"beta": 1.5}, "beta must be between 0 and 1, got 1.5"),
        ({"duplicates": "first"}, "duplicates must be one of"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number"),
        ({"num_negatives": 0}, "num_negatives must be a positive whole number"),
        ({"temperature": -1.0}, "temperature must be a positive number"),
        ({"dim": 0}, "dim must be a positive whole number"),
    ],
)
def test_a_field_that_a_part_refuses_is_the_users_error(fields, message):
    with pytest.raises(UserError, match=message):
        build_method(config_of("onebp", **fields))


TRAINED = [name for name in methods.NAMED if name not in UNTRAINED]


def test_the_options_of_the_config_are_those_of_the_methods():
    kinds = {}
    for function in methods.NAMED.values():
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert kinds.setdefault(name, type(parameter.default)) is type(parameter.default), name
    assert kinds == OPTIONS


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("optimizer", ["dense", "rowwise"])
def test_every_named_method_takes_steps_dense_and_row_wise(name, optimizer):
    """Traced only: the parts take real steps in their own tests and in the matrix."""
    config = config_of(name, optimizer=optimizer, num_negatives=2)
    config.options.update({"num_candidates": 3} if "num_candidates" in options_of(methods.NAMED[name]) else {})
    if name == "dpcml" and optimizer == "rowwise":
        with pytest.raises(UserError, match="penalty on whole tables"):
            build_method(config)
        return
    side = Features(np.ones((20, 1), np.float32), np.zeros((20, 1), np.int32), 2, ("x",))
    data = to_device(np.array([[0, 1], [1, 2], [2, 0]]), 3, 20, item_features=side)

    init, step = make_step(build_method(config))

    def two_steps(key):
        state, prepared = init(key, data)
        batch = Batch(*[jnp.zeros(4, jnp.int32)] * 2)
        return state, step(step(state, batch, prepared)[0], batch, prepared)

    before, (after, info) = jax.eval_shape(two_steps, jax.random.key(0))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), before) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), after
    )
    assert info.loss.shape == ()


def test_a_bank_beyond_memory_is_refused():
    config = config_of("cbns", batch_size=1024)
    config.options.bank_size = 2**19
    build_method(config)
    config.options.bank_size += 1
    with pytest.raises(UserError, match=r"options.bank_size=524289: .* 2.0 GB, expected at most 2"):
        build_method(config)


OPTION_OF = [(name, option) for name, function in methods.NAMED.items() for option in options_of(function)]
WRONG = {float: (-5.0, float("nan"), float("inf")), int: (-5,), str: ("none such",)}


@pytest.mark.parametrize("name, option", OPTION_OF)
def test_a_bad_value_of_an_option_is_told_under_the_name_of_the_option(name, option):
    """Of every option of every method, by name and as given. True and False are the only values of the others."""
    config, kind = config_of(name), OPTIONS[option]
    if kind is bool:
        with pytest.raises(TypeError):
            config.options[option] = "maybe"
        return
    for value in WRONG[kind]:
        config.options[option] = value
        with pytest.raises(UserError, match=rf"^options\.{option}\b") as caught:
            build_method(config)
        message = str(caught.value)
        assert str(value) in message and ("must be" in message or "expected" in message), message


@pytest.mark.parametrize(
    "name, given",
    [("dns", {"num_candidates": 9}), ("hars", {"num_candidates": 9}), ("bns", {"num_candidates": 9})]
    + [("auc_ns", {"num_candidates": 9, "extra": 1}), ("auc_ns", {"num_candidates": 1, "extra": 9})],
)
def test_what_the_data_have_no_room_for_is_told_under_the_name_of_the_option(name, given):
    config = config_of(name)
    config.options.update(given)
    option = next(option for option, value in given.items() if value == 9)
    with pytest.raises(
        UserError, match=rf"^options\.{option}=9, but .* users have fewer .* lower {option} to at most 7"
    ):
        build_method(config).sampler.check(MANY)


def test_a_default_that_a_field_makes_impossible_is_told_as_an_option():
    for name in ("dns", "hars"):
        with pytest.raises(UserError, match=r"^options.num_candidates must be at least num_negatives=20, got 10"):
            build_method(config_of(name, num_negatives=20))
    with pytest.raises(UserError, match="^num_candidates must be at least num_negatives=20"):
        build_method(config_of("onebp", sampler="dynamic", num_negatives=20))


def test_an_option_of_another_method_is_refused():
    config = config_of("onebp")
    config.options.margin = 0.5
    with pytest.raises(UserError, match=r"options.margin=0.5 has no effect on method='onebp': it has no options"):
        build_method(config)
    config = config_of("dns")
    config.options.margin = 0.5
    with pytest.raises(UserError, match="it knows num_candidates, rule"):
        build_method(config)


def test_parts_are_exchanged_by_name_and_by_function():
    config = config_of("onebp", sampler="popularity", loss="bpr", num_negatives=2)
    config.item_updater = lambda config: rowwise(optax.sgd(0.5))
    method, plain = build_method(config), build_method(config_of("onebp"))
    assert method.user_updater.reads == plain.user_updater.reads == ("targets",)
    assert method.loss.__qualname__.startswith("bpr") and plain.loss.__qualname__.startswith("infonce")
    assert "popularity" in method.sampler.sample.__qualname__ and "uniform" in plain.sampler.sample.__qualname__
    assert "rowwise" in method.item_updater.init.__qualname__
    with pytest.raises(UserError, match=r"sampler='populrity': expected one of .* \(did you mean 'popularity'\?\)"):
        build_method(config_of("onebp", sampler="populrity"))


def test_fields_without_effect_on_a_method_are_refused():
    with pytest.raises(UserError, match="draws its negatives in its own way"):
        build_method(config_of("dns", shared_negatives=4))
    with pytest.raises(UserError, match="table_dtype='bfloat16' is for methods of plain embedding tables"):
        build_method(config_of("lightgcn", table_dtype="bfloat16"))


def test_an_encoder_with_parameters_needs_a_transformation_that_fits_them():
    init, _ = make_step(build_method(config_of("ngcf", transform="row_adam")))
    with pytest.raises(ValueError, match="choose a transform that keeps no moment per row"):
        init(jax.random.key(0), DATA)
