"""Functions of a user's own: two that differ are written differently, and a wrong one is told in one line."""

import functools
import importlib.util

import optax
import pytest

from onebp_jax import losses, methods, samplers, updaters
from onebp_jax.benchmarks import step as step_benchmark
from onebp_jax.config import default_config
from onebp_jax.config.callables import callable_id, watched_loss
from onebp_jax.data import generate
from onebp_jax.errors import UserError
from onebp_jax.methods.build import build_method
from onebp_jax.training import runner


def load(path, text):
    """The module of a file with this text."""
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_edited_function_is_another_one(tmp_path):
    first = callable_id(load(tmp_path / "a.py", "def mine(config):\n    return 1\n").mine)
    again = callable_id(load(tmp_path / "a.py", "x = 5\n\ndef mine(config):\n    return 1\n").mine)
    (tmp_path / "b").mkdir()
    edited = callable_id(load(tmp_path / "b" / "a.py", "def mine(config):\n    return 2\n").mine)
    assert first.startswith("a:mine#")
    assert first == again != edited


def test_what_a_factory_was_given_is_part_of_the_name():
    def make(width, tx=optax.sgd):
        def mine(config):
            return tx(width)

        return mine

    assert callable_id(make(3)) == callable_id(make(3)) != callable_id(make(4))
    assert callable_id(make(3)) != callable_id(make(3, optax.adam))
    assert "width=3" in callable_id(make(3))


def test_functions_of_packages_are_known_by_name_alone():
    assert callable_id(optax.adam) == f"{optax.adam.__module__}:adam"
    assert callable_id(functools.partial(losses.infonce, 0.5)) == "onebp_jax.losses.infonce:infonce(0.5)"


def three(config):
    return 3


def without_arguments():
    return 3


def raising(config):
    return {}["x"]


def narrower(config):
    def update(signal, state, table, **extra):
        return table[:, :3], state

    return updaters.moving_average(0.9)._replace(update=update)


def without_extra(config):
    def update(signal, state, table):
        return table, state

    return updaters.moving_average(0.9)._replace(update=update)


def with_a_function_as_sampler(config):
    return methods.twobp(config)._replace(sampler=lambda *given: 1)


def one_number(user, positive, negatives, **extra):
    return losses.infonce()(user, positive, negatives, **extra).mean()


def nothing(user, positive, negatives, **extra):
    losses.infonce()(user, positive, negatives, **extra)


def with_a_loss_of_nothing(config):
    return methods.twobp(config)._replace(loss=nothing)


def two_things(user, positive, negatives, **extra):
    return losses.infonce()(user, positive, negatives, **extra), 1


def wrong_inside(user, positive, negatives, **extra):
    return user.no_such_attribute


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("encoder", three, r"^encoder=.*:three#\w+ returned '3', which is no Encoder$"),
        (
            "sampler",
            samplers.uniform(5),
            "^sampler is a Sampler: expected one of uniform, .*, or a function of the config",
        ),
        ("encoder", 5, "^encoder=5: expected one of embedding, .*, or a function of the config that returns it"),
        (
            "item_updater",
            updaters.moving_average(0.9),
            r"^item_updater is a Updater: .*config.item_updater = lambda config",
        ),
        ("loss", None, "^loss=None: expected one of infonce, .*, or a function that is the loss$"),
        (
            "transform",
            optax.sgd(1e-3),
            "^transform is a GradientTransformation.*: expected one of adam, .*, or a function",
        ),
        (
            "method",
            methods.onebp(default_config()),
            "^method is a Method: expected a name such as 'onebp', or a function",
        ),
        ("sampler", without_arguments, r"^sampler=.*: TypeError: without_arguments\(\) takes 0"),
        ("user_updater", raising, r"^user_updater=.*: KeyError: 'x' \(.*test_callables.py, line \d+\)$"),
        ("item_updater", three, "which is no Updater$"),
        ("transform", three, "which is no GradientTransformation$"),
        ("method", three, "which is no Method or Baseline$"),
        (
            "method",
            with_a_function_as_sampler,
            "^method='with_a_function_as_sampler': its sampler is .*, which is no Sampler$",
        ),
        (
            "user_updater",
            narrower,
            r"^cannot train with user_updater=.* makes user of float32\[40,8\] to float32\[40,3\]",
        ),
        ("user_updater", without_extra, "unexpected keyword argument 'old_targets'"),
        ("loss", losses.bpr, r"^cannot train with loss=onebp_jax.losses.infonce:bpr: TypeError: bpr\(\) "),
        ("loss", one_number, r"the loss returned the shape \(\), expected one number per row, \(64,\)"),
        ("loss", nothing, r"loss=.*:nothing#\w+: ValueError: the loss returned None, expected one number per row"),
        ("method", with_a_loss_of_nothing, "the loss returned None, expected one number per row: an array"),
        ("loss", two_things, "the loss returned a tuple, expected one number per row: an array"),
        ("loss", wrong_inside, r"no_such_attribute \(.*test_callables.py, line \d+\)$"),
    ],
)
def test_a_wrong_part_is_one_line_that_names_it(field, value, words, dataset):
    config = default_config()
    config.update(dim=8, batch_size=64)
    config[field] = value
    with pytest.raises(UserError, match=words) as caught:
        runner.prepare(config, build_method(config), dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("loss", "words"), [(nothing, "the loss returned None"), (wrong_inside, "no_such_attribute")])
def test_a_wrong_loss_is_one_line_for_a_benchmark_too(loss, words, dataset):
    config = default_config()
    config.update(dim=8, batch_size=64, loss=loss)
    with pytest.raises(UserError, match=f"^cannot train with loss=.*{words}"):
        step_benchmark.prepared(config, dataset)


@pytest.mark.parametrize("part", ["encoder", "loss", "item_updater"])
def test_what_is_not_trained_has_no_parts(part):
    config = default_config()
    config.method = "ease"
    config[part] = "gradient" if part == "item_updater" else {"encoder": "embedding", "loss": "bpr"}[part]
    with pytest.raises(UserError, match=f"^{part}='.*' has no effect on method='ease', which is not trained"):
        build_method(config)


@pytest.fixture(scope="module")
def dataset():
    return generate(num_users=40, num_items=30, interactions_per_user=8.0, seed=0)


def test_an_own_loss_keeps_what_it_says_of_itself():
    class Own:
        across_rows = True

        def __call__(self, *given, **extra):
            return given

    assert watched_loss(Own()).across_rows and watched_loss(losses.directau()).across_rows
    assert watched_loss(losses.cml()).geometry == losses.cml().geometry
    assert not hasattr(watched_loss(one_number), "across_rows")
