"""Fields and names of 0.1.0: they can be given, replaced and read, with a warning."""

from __future__ import annotations

import importlib

import pytest

from onebp_jax.types import Encoder, Method, Negatives

# class, its required fields, old field, new field
FIELDS = [
    (Negatives, {"ids": 0}, "hidden", "negative_mask"),
    (Encoder, dict.fromkeys(("init", "encode", "vectors"), 0), "whole", "reads_all_rows"),
    (Method, dict.fromkeys(("encoder", "sampler", "loss", "user_updater", "item_updater"), 0), "each", "epoch_unit"),
    (Method, dict.fromkeys(("encoder", "sampler", "loss", "user_updater", "item_updater"), 0), "before", "pre_step"),
]
NAMES = [
    ("types", "View", "ModelView"),
    ("types", "stream", "step_key"),
    ("samplers", "without_new", "exclude_cold_items"),
    ("encoders", "detached", "stop_user_gradient"),
    ("data", "Streamed", "StreamedDataset"),
    ("data", "blocks", "epoch_batches"),
    ("data.device", "batch_at", "onebp_jax.engine.batches.batch_at"),
]
fields = pytest.mark.parametrize(
    ("cls", "required", "old", "new"), FIELDS, ids=[f"{c.__name__}-{o}" for c, _, o, _ in FIELDS]
)


@fields
def test_an_old_field_is_given_replaced_and_read(cls, required, old, new):
    warns = pytest.warns(DeprecationWarning, match=f"the field {old} of {cls.__name__} is called {new} since")
    with warns:
        value = cls(**required, **{old: "x"})
    assert getattr(value, new) == "x" and value == cls(**required, **{new: "x"})
    with warns:
        value = value._replace(**{old: "y"})
    assert getattr(value, new) == "y"
    with warns:
        assert getattr(value, old) == "y"


@fields
def test_the_new_field_does_not_warn_and_the_old_one_is_none_of_the_fields(cls, required, old, new):
    value = cls(**required, **{new: "x"})._replace(**{new: "y"})
    assert getattr(value, new) == "y" and new in cls._fields and old not in cls._fields


@fields
def test_both_names_at_once_are_refused(cls, required, old, new):
    with pytest.raises(TypeError, match=f"{new} and its old name {old}"):
        cls(**required, **{old: "x", new: "x"})


def test_an_unknown_field_is_refused_as_ever():
    with pytest.raises(TypeError, match="no_such"):
        Negatives(ids=0, no_such=1)
    with pytest.raises((ValueError, TypeError), match="no_such"):
        Negatives(ids=0)._replace(no_such=1)


@pytest.mark.parametrize(("room", "old", "new"), NAMES)
def test_an_old_name_of_a_room_is_the_new_one(room, old, new):
    module = importlib.import_module(f"onebp_jax.{room}")
    module.__dict__.pop(old, None)  # put there by an import of the old module of that name
    with pytest.warns(DeprecationWarning, match=f"onebp_jax.{room}.{old} is called {new} since"):
        found = getattr(module, old)
    place, _, name = new.rpartition(".")
    assert found is getattr(importlib.import_module(place) if place else module, name)


def test_an_unknown_name_of_a_room_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such"):
        importlib.import_module("onebp_jax.samplers").no_such  # noqa: B018
