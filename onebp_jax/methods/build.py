"""From a configuration to a method: its name or function, its options, and the parts that are exchanged.

`unused_fields` says which settings a method never reads.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator

import ml_collections

from onebp_jax.config import PARTS, as_plain, default_config
from onebp_jax.config.by_size import examples
from onebp_jax.config.callables import call_user_function, callable_id, failed, watched_loss
from onebp_jax.errors import UserError, as_user_error, one_of
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.named import NAMED
from onebp_jax.methods.parts import KNOWN, named, no_name
from onebp_jax.types import Encoder, Method, Sampler, Updater

# Fields that some methods read and others do not. Every trained method reads the other fields.
_FIELDS = (
    "dim",
    "beta",
    "duplicates",
    "normalize",
    "table_dtype",
    "temperature",
    "optimizer",
    "transform",
    "row_counts",
)
_FIELDS += (
    "learning_rate",
    "decay_epochs",
    "l2",
    "num_negatives",
    "shared_negatives",
    "negative_alpha",
    "hide_touched",
)


def build_method(config) -> Method | Baseline:
    """The method that `config.method` names or makes; raises `UserError` for an unknown name or an impossible field."""
    function = _function_of(config.method)
    accepted = options_of(function)
    given = {name: value for name, value in config.options.items() if value is not None}
    for name in given:
        if name not in accepted:
            known = f"it knows {', '.join(accepted)}" if accepted else "it has no options"
            raise UserError(f"options.{name}={given[name]!r} has no effect on method={_name(function)!r}: {known}")
    if callable(config.method):
        method = call_user_function(f"method={callable_id(function)}", (Method, Baseline), function, config, **given)
    else:
        method = as_user_error(function, accepted)(config, **given)
    if isinstance(method, Baseline):
        return _untrained(method, config)
    for part, kind in KINDS.items():
        if not isinstance(getattr(method, part), kind):
            raise UserError(
                f"method={_name(function)!r}: its {part} is {getattr(method, part)!r:.80}, which is no {kind.__name__}"
            )
    if callable(config.method):
        method = method._replace(loss=watched_loss(method.loss))
    check = as_user_error(method.sampler.check, accepted)
    return as_user_error(exchange)(method._replace(sampler=method.sampler._replace(check=check)), config)


def check_method(config) -> None:
    """Raises `UserError` if `build_method` refuses the config whatever the data are; fields may be open, see `config.by_size`."""
    refused = None
    for example in examples(config):
        try:
            build_method(example)
            return
        except UserError as error:
            refused = refused or error
    assert refused
    raise refused


def _untrained(method: Baseline, config) -> Baseline:
    for part in PARTS:
        if config[part] != "":
            raise UserError(
                f"{part}={as_plain(config)[part]!r} has no effect on method={as_plain(config)['method']!r}, which is not trained"
            )
    return method


def _function_of(method) -> Callable:
    """The function of a method that is given by its name, or as a function."""
    if callable(method):
        return method
    if not isinstance(method, str | int | float):
        raise no_name("method", method, "a name such as 'onebp'")
    if method not in NAMED:
        raise UserError(f"method={method!r}: expected {one_of(method, NAMED)}; onebp train --help lists them")
    return NAMED[str(method)]


KINDS = {"encoder": Encoder, "sampler": Sampler, "user_updater": Updater, "item_updater": Updater}


def exchange(method: Method, config) -> Method:
    """The method with its own parts replaced by those that the configuration names.

    Raises:
      UserError: an unknown name, or a function that failed or did not return the part.
    """
    given = {part: config[part] for part in PARTS if config[part] != ""}
    for part, value in given.items():
        if not callable(value):
            value = named(part, value, KNOWN[part])(config)
        elif part == "loss":
            value = watched_loss(value)
        else:
            value = call_user_function(f"{part}={callable_id(value)}", KINDS[part], value, config)
        method = method._replace(**{part: value})
    if "user_updater" in given and method.encoder.aggregate is None:
        # What was said of users of the method's own updater.
        method = method._replace(encoder=method.encoder._replace(fold=None))
    return method


@contextlib.contextmanager
def user_error_context(config) -> Iterator[None]:
    """While a method is traced: an error names the user's own functions, if there are any; a ValueError becomes a `UserError`."""
    try:
        yield
    except Exception as error:
        own = [
            f"{name}={callable_id(config[name])}" for name in ("method", "transform", *PARTS) if callable(config[name])
        ]
        if own:
            raise failed(f"cannot train with {', '.join(own)}", error) from error
        if isinstance(error, ValueError):
            raise UserError(str(error)) from error
        raise


def label(config) -> str:
    """What a table calls the method: its name, and the parts that were exchanged, `onebp (loss=bpr)`."""
    plain = as_plain(config)
    parts = ", ".join(f"{part}={plain[part]}" for part in PARTS if plain[part])
    return plain["method"] + (f" ({parts})" if parts else "")


def options_of(function: Callable) -> list[str]:
    """The names of a method's options, which are its keyword-only arguments."""
    return [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]


def described() -> tuple[str, ...]:
    """One line per named method: what it is, and its options."""
    lines = []
    for name, function in NAMED.items():
        options = f" [{', '.join(options_of(function))}]" if options_of(function) else ""
        lines.append(f"{name}: {(function.__doc__ or '').partition(chr(10))[0]}{options}")
    return tuple(lines)


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


class _Watched(ml_collections.ConfigDict):
    """A copy of a configuration that notes in `seen` which fields are read."""

    def __init__(self, config, seen: set[str]):
        object.__setattr__(self, "_seen", seen)
        super().__init__(config)
        seen.clear()

    def __getitem__(self, key):
        object.__getattribute__(self, "_seen").add(key)
        return super().__getitem__(key)


def unused_fields(config, among: Iterable[str] | None = None) -> list[str]:
    """The fields that have no effect on the method.

    The method is built, and the fields that it reads are noted. A method that is the user's own function may read fields in
    ways that are not seen; for it the list is empty.

    Args:
      among: the fields to look at; by default those that differ from their default.
    """
    if callable(config.method):
        return []
    default, read = default_config(), set()
    untrained = isinstance(build_method(_Watched(config, read)), Baseline)
    if among is None:
        among = [field for field in _FIELDS if config[field] != default[field]]
    idle = lambda field: field not in read and (field in _FIELDS or untrained)
    return [field for field in among if idle(field) and not field.startswith("options.")]
