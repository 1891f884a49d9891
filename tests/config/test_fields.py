"""The configuration: every field has a check that names the field, the value and what was expected."""

import functools
import json
import math
import re

import ml_collections
import optax
import pytest

from onebp_jax import methods
from onebp_jax.config import as_plain, check_config, default_config, nearest
from onebp_jax.config.fields import FIELDS, OPEN
from onebp_jax.errors import UserError, no_such, one_of
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.types import Method

YES_OR_NO = [field for field, value in default_config().items() if type(value) is bool]
NUMERIC = [field for field, value in default_config().items() if type(value) in (int, float)]
WHOLE = [field for field in NUMERIC if type(default_config()[field]) is int]
ZERO_IS_GOOD = {"cpu_threads", "beta", "l2", "seed", "split_seed", "patience", "steps_per_call", "checkpoint_seconds"}
ZERO_IS_GOOD |= {
    "shared_negatives",
    "negative_alpha",
    "eval_users",
    "stream_window",
    "membership_bytes",
    "validation_fraction",
}
ZERO_IS_GOOD |= {"min_user_items", "min_item_users", "decay_epochs"}
TOO_LARGE = {"beta": 1.01, "test_fraction": 0.95, "validation_fraction": 1, "seed": 2**32}
BAD = [math.nan, math.inf, -math.inf, -1, -0.5, True, False, "3", "", None, [1], 1j]


def with_value(field, value):
    """A config with a value that the types of the default one would refuse: a config may also be made elsewhere."""
    return ml_collections.ConfigDict({**default_config(), field: value})


def own_method(config):
    """A method of the user's own."""
    return methods.twobp(config)


def own_loss(user, positive, negatives, **extra):
    return (user * positive).sum(-1)


def test_the_defaults_are_good():
    check_config(default_config())


def test_every_field_has_one_line_of_help():
    assert set(FIELDS) == set(default_config())
    for name, field in FIELDS.items():
        assert field.help and "\n" not in field.help, name


def test_configs_share_nothing():
    config = default_config()
    config.synthetic.seed, config.options.shrink, config.method = 5, 1.0, own_method
    assert as_plain(default_config()) == as_plain(default_config()) != as_plain(config)
    assert default_config().synthetic.seed == 0 and default_config().options.shrink is None


def test_there_are_numeric_fields():
    assert {"dim", "beta", "learning_rate", "l2", "seed", "epochs", "patience", "test_fraction"} <= set(NUMERIC)


@pytest.mark.parametrize("field", NUMERIC)
def test_bad_numbers_are_refused_by_name(field):
    for value in BAD:
        if value is None and field in OPEN:
            continue  # left to the size of the data
        with pytest.raises(UserError) as caught:
            check_config(with_value(field, value))
        # A list becomes a tuple inside a config.
        assert str(caught.value).startswith(f"{field}={with_value(field, value)[field]!r}: expected ")


@pytest.mark.parametrize("field", NUMERIC)
def test_zero(field):
    config = with_value(field, 0)
    if field in ZERO_IS_GOOD:
        check_config(config)
    else:
        with pytest.raises(UserError, match=f"^{field}=0: expected"):
            check_config(config)


@pytest.mark.parametrize("field", TOO_LARGE)
def test_too_large_numbers_are_refused(field):
    with pytest.raises(UserError, match=rf"^{field}={TOO_LARGE[field]}: expected .* at most"):
        check_config(with_value(field, TOO_LARGE[field]))


@pytest.mark.parametrize("field", WHOLE)
def test_fractions_are_refused_where_a_count_is_asked_for(field):
    with pytest.raises(UserError, match=f"^{field}=2.5: expected a whole number"):
        check_config(with_value(field, 2.5))


@pytest.mark.parametrize("field", sorted(set(NUMERIC) - set(WHOLE)))
def test_whole_numbers_are_good_for_real_fields(field):
    upper = {"beta", "test_fraction", "validation_fraction"}
    value = 1 if field not in upper else {"beta": 1}.get(field, 0.9)
    check_config(with_value(field, value))


@pytest.mark.parametrize("field", YES_OR_NO)
def test_what_is_neither_true_nor_false_is_refused(field):
    for good in (True, False):
        check_config(with_value(field, good))
    for value in ("False", 0, 1) if field in OPEN else ("False", 0, 1, None):
        with pytest.raises(UserError, match=f"^{field}={value!r}: expected True or False"):
            check_config(with_value(field, value))


def test_the_ends_of_ranges_are_good():
    for field, value in (("beta", 0.0), ("beta", 1.0), ("test_fraction", 0.9), ("seed", 2**32 - 1)):
        check_config(with_value(field, value))


@pytest.mark.parametrize(
    ("field", "meant"), [("learning_rat", "learning_rate"), ("num_negative", "num_negatives"), ("Dim", "dim")]
)
def test_an_unknown_field_is_refused_with_the_nearest_name(field, meant):
    config = default_config()
    config[field] = 1
    with pytest.raises(UserError) as caught:
        check_config(config)
    assert str(caught.value) == f"unknown config field {field!r} (did you mean {meant!r}?)"


def test_an_unknown_field_like_no_other_is_refused_without_a_guess():
    config = default_config()
    config.zzz = 1
    with pytest.raises(UserError) as caught:
        check_config(config)
    assert str(caught.value) == "unknown config field 'zzz'"


def test_a_missing_field_is_refused():
    config = default_config()
    del config.temperature
    with pytest.raises(UserError, match="config field 'temperature' is missing: start the config from"):
        check_config(config)


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("protocol", "onest", "honest"),
        ("protocol", 3, None),
        ("optimizer", "dens", "dense"),
        ("optimizer", "row_wise", "rowwise"),
        ("table_dtype", "bfloat", "bfloat16"),
        ("table_dtype", "int8", None),
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(field, value, meant):
    with pytest.raises(UserError, match=f"^{field}={value!r}: expected one of ") as caught:
        check_config(with_value(field, value))
    known = {"protocol": "honest, paper_oracle", "optimizer": "dense, rowwise", "table_dtype": "float32, bfloat16"}
    assert known[field] in str(caught.value)
    assert (meant is None) == ("did you mean" not in str(caught.value))
    assert meant is None or f"(did you mean {meant!r}?)" in str(caught.value)


def test_of_many_names_only_the_nearest_are_listed():
    few, many = [f"name{n}" for n in range(16)], [f"name{n}" for n in range(17)]
    assert one_of("nam3", few) == f"one of {', '.join(few)} (did you mean 'name3'?)"
    assert re.fullmatch(r"one of 17 names, the nearest: name3, name\d+, name\d+, name\d+", one_of("nam3", many))


def test_a_missing_file_is_said_with_the_nearest_names_or_where_its_link_leads(tmp_path):
    for n in range(30):
        (tmp_path / f"a{n}.txt").touch()
    (tmp_path / "plays.csv").touch()
    assert no_such("file", tmp_path / "play.csv").startswith(f"no such file; the nearest in {tmp_path}: plays.csv, ")
    assert no_such("file", tmp_path / "x" / "play.csv").endswith(f"{tmp_path / 'x'} is not a folder that can be read")
    (tmp_path / "empty").mkdir()
    assert no_such("folder", tmp_path / "empty" / "x") == f"no such folder; {tmp_path / 'empty'} is empty"
    (tmp_path / "link.csv").symlink_to("gone.csv")
    assert no_such("file", tmp_path / "link.csv") == "a symbolic link to gone.csv, which does not exist"


def test_nearest():
    assert nearest("onebpp", ["onebp", "twobp"]) == " (did you mean 'onebp'?)"
    assert nearest("xyz", ["onebp", "twobp"]) == ""
    assert nearest(3, ["onebp"]) == ""
    assert nearest("OneBP", ["onebp", "twobp"]) == " (did you mean 'onebp'?)"


@pytest.mark.parametrize(
    ("name", "nearest"), [("one_bp", "onebp, "), ("ONEBP", "onebp, "), ("userony", "user_only, "), (3, ""), ("", "")]
)
def test_an_unknown_method_is_one_line_with_the_nearest_names(name, nearest):
    with pytest.raises(UserError) as caught:
        build_method(with_value("method", name))
    message = str(caught.value)
    start = f"method={name!r}: expected one of {len(methods.NAMED)} names, the nearest: {nearest}"
    assert message.startswith(start) and message.endswith("; onebp train --help lists them")
    assert "\n" not in message and len(message) < 200


@pytest.mark.parametrize("name", methods.NAMED)
def test_every_named_method_is_built(name):
    built = build_method(with_value("method", name))
    untrained = name in ("popularity", "itemknn", "ease", "bspm", "spectral", "ials")
    assert isinstance(built, Baseline if untrained else Method)


def test_a_function_of_ones_own_is_a_method():
    config = default_config()
    config.method = own_method
    check_config(config)
    built = build_method(config)
    assert isinstance(built, Method)
    assert built.user_updater.reads == ("grads",)


@pytest.mark.parametrize(
    "given", [functools.partial(own_method), type("Own", (), {"__call__": lambda self, c: own_method(c)})()]
)
def test_any_callable_is_a_method_and_has_a_name(given):
    config = default_config()
    config.method = given
    assert isinstance(build_method(config), Method)
    assert json.loads(json.dumps(as_plain(config)))["method"] == as_plain(config)["method"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("duplicates", "sometimes"), ("num_negatives", 0), ("dim", 0), ("loss", "infonc"), ("transform", "adm")],
)
def test_parts_that_refuse_a_field_are_user_errors(field, value):
    with pytest.raises(UserError, match=f"^{field}"):
        build_method(with_value(field, value))


def test_as_plain_is_the_config_in_json():
    config = default_config()
    plain = as_plain(config)
    assert plain.keys() == set(config.keys())
    assert plain["synthetic"] == {"num_users": 1000, "num_items": 500, "interactions_per_user": 40.0, "seed": 0}
    assert json.loads(json.dumps(plain)) == plain
    assert ml_collections.ConfigDict(plain).dim == config.dim


def test_as_plain_holds_the_options_that_are_given_so_that_new_ones_disturb_no_older_run():
    config = default_config()
    assert as_plain(config)["options"] == {}
    config.options.shrink = 0.0
    assert as_plain(config)["options"] == {"shrink": 0.0}


def test_as_plain_writes_functions_by_name():
    plain = as_plain(
        ml_collections.ConfigDict({**default_config(), "method": own_method, "loss": own_loss, "transform": optax.adam})
    )
    assert plain["method"].startswith(f"{__name__}:own_method#")
    assert plain["loss"].startswith(f"{__name__}:own_loss#")
    assert plain["transform"] == f"{optax.adam.__module__}:adam"


def test_as_plain_tells_partial_functions_apart_by_their_arguments():
    plain = []
    for beta in (0.9, 0.9, 0.5):
        config = default_config()
        config.method = functools.partial(own_method, beta=beta)
        plain.append(as_plain(config)["method"])
    assert plain[0] == plain[1] != plain[2]


@pytest.mark.parametrize("value", [math.nan, "4", True, [4]])
def test_a_threshold_is_a_number_or_none(value):
    config = default_config()
    config.min_rating = 4
    check_config(config)
    with pytest.raises(UserError, match="^min_rating=.*: expected a finite number, or None"):
        check_config(with_value("min_rating", value))


@pytest.mark.parametrize(
    "changed", [{"min_rating": 3.0}, {"min_user_items": 5}, {"deduplicate": "last"}, {"encoding": "gbk"}]
)
def test_filters_are_for_data_in_memory(changed):
    with pytest.raises(UserError, match=f"{next(iter(changed))}=.* is for data in memory"):
        check_config(ml_collections.ConfigDict({**default_config(), "stream_window": 8, **changed}))


@pytest.mark.parametrize("config", [None, {"dim": 3}, "quickstart"])
def test_something_else_than_a_config_is_refused(config):
    with pytest.raises(UserError, match="^config=.*: expected a config, start it from onebp_jax.config.default_config"):
        check_config(config)
