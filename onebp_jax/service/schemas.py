"""What the API takes and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from onebp_jax.serving.events import MOST_WEIGHT

# Limits of one request.
MOST_EVENTS, MOST_ITEMS, MOST_LISTED = 1000, 1000, 10_000
_TEXT = r"^[^\x00-\x1f\x7f\x85\u2028\u2029]+$"

Id = (
    Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
    | Annotated[str, Field(min_length=1, max_length=200, pattern=_TEXT)]
)
UserId = Annotated[str, Path(min_length=1, max_length=200, pattern=_TEXT)]
Length = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="The length of the list.")]
Offset = Annotated[int, Field(ge=0, le=MOST_LISTED, description="So many items come before the list.")]
Exclude = Annotated[
    Literal["all", "none"], Field(description="all: leave out what the user is known to have; none: leave out nothing.")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Event(_Body):
    """A user did something with an item."""

    user: Id
    item: Id
    id: Annotated[str, Field(min_length=1, max_length=200, pattern=_TEXT)] | None = Field(
        None, description="A second event with this id is a duplicate, and counts once."
    )
    time: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        None, description="A number as in the data, such as seconds since 1970; none: after the user's other events."
    )
    weight: Annotated[float, Field(ge=-MOST_WEIGHT, le=MOST_WEIGHT, allow_inf_nan=False)] = Field(
        1.0, description="How much the event counts; below 0: the user dislikes the item; 0 is refused."
    )
    type: Annotated[str, Field(max_length=64, pattern=_TEXT)] | None = Field(
        None, description="For people: it is kept."
    )


class Session(_Body):
    """Somebody who is no user."""

    positive: Annotated[list[Id], Field(max_length=MOST_LISTED)]
    negative: Annotated[list[Id], Field(max_length=MOST_LISTED)] = []
    weights: Annotated[list[Annotated[float, Field(gt=0, le=MOST_WEIGHT)]], Field(max_length=MOST_LISTED)] | None = None
    candidates: Annotated[list[Id], Field(min_length=1, max_length=MOST_LISTED)] | None = None
    n: Length = 10
    exclude: Exclude = "all"
    explain: bool = False


class Merge(_Body):
    """The events of one user become those of another."""

    source: Id = Field(alias="from")
    into: Id


class Problem(BaseModel):
    """An error."""

    detail: str


class Written(BaseModel):
    """What became of events: all that were accepted are on disk, and the next list sees them."""

    accepted: int
    duplicates: int = Field(description="Events whose id is in the log already.")
    known: int = Field(
        description="Accepted events that changed nothing: the user had the item already, or said otherwise later."
    )
    unknown_items: int = Field(description="Accepted events that count once a run that knows the item is swapped in.")
    seq: int
    took_ms: float


class Item(BaseModel):
    """An item."""

    item: int | str
    title: str | None


class Reason(Item):
    """An item of the history that the user likes."""

    share: float = Field(description="Its part, from 0 to 1, in all that speaks for the item.")


class Scored(Item):
    """An item of a list."""

    score: float
    because: list[Reason] | None = None


class Listed(BaseModel):
    """A list, best first."""

    source: Literal["user", "popular"] = Field(
        description="popular: nothing is known that the user likes, these are popular items."
    )
    items: list[Scored]
    seq: int


class ListedFor(Listed):
    """A user's list."""

    user: int | str


class Similar(BaseModel):
    """The nearest items of an item, by the cosine of their vectors."""

    item: int | str
    items: list[Scored]


class Shown(Item):
    """An item with its group."""

    group: str | None
    popularity: int
    position: list[float] | None = None


class Found(BaseModel):
    """Items that were searched for, popular first."""

    items: list[Shown]
    total: int


class FoundUsers(BaseModel):
    """Users that were searched for."""

    users: list[int | str]
    total: int
    new: int | str | None = Field(
        description="The text as the id of a new user; none if there is one, or cannot be one."
    )


class Done(Item):
    """An event of a user."""

    group: str | None
    weight: float
    time: float | None


class User(BaseModel):
    """What is known of a user, oldest first."""

    user: int | str
    known: bool
    history: list[Done]
    position: list[float] | None
    seq: int


class Placed(Item):
    """An item on the map."""

    group: str | None
    position: list[float]


class Map(BaseModel):
    """Popular items in two dimensions."""

    items: list[Placed]
    groups: list[str]
    total: int


class Forgotten(BaseModel):
    """A user who is forgotten, by the log too."""

    user: int | str
    forgotten: bool
    seq: int


class Merged(BaseModel):
    """Two users who are one now."""

    model_config = ConfigDict(populate_by_name=True)
    source: int | str = Field(alias="from")
    into: int | str
    moved: int
    seq: int


class Loaded(BaseModel):
    """A run that was swapped in."""

    method: str
    users: int
    items: int
    seq: int


class Status(Loaded):
    """The service now."""

    dataset: str
    live_users: int
    events: int
    events_per_second: float
    latency_ms: dict[str, float]
    uptime_s: float
    token: bool


class Health(BaseModel):
    """Whether the service is well."""

    status: Literal["ok"] = "ok"
