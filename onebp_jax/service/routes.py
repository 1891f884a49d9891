"""The routes that people use: events in, lists out."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import numpy as np
from fastapi import Body, FastAPI, Query
from fastapi.responses import JSONResponse, Response

from onebp_jax.errors import UserError
from onebp_jax.service import schemas
from onebp_jax.service.jobs import Job, Outcome
from onebp_jax.service.lists import Lists
from onebp_jax.service.log import EVENT, FORGET, Appending, Record
from onebp_jax.service.model import CHANGED, KNOWN, UNKNOWN, Model
from onebp_jax.service.replica import Replica
from onebp_jax.service.telemetry import Telemetry
from onebp_jax.serving.histories import History

Number = Annotated[int, Query(ge=1, le=schemas.MOST_ITEMS)]
Search = Annotated[str, Query(max_length=200)]


def add_writes(app: FastAPI, replica: Replica, telemetry: Telemetry) -> None:
    """Events, and what changes users."""

    @app.post("/events", response_model=schemas.Written)
    async def events(
        events: Annotated[list[schemas.Event], Body(max_length=schemas.MOST_EVENTS)],
    ) -> Response:
        """Adds events. The answer comes when they are on disk, and the next read sees them; all of them or none."""
        began, model = time.perf_counter(), replica.model
        for place, event in enumerate(events):
            if event.weight == 0:
                raise UserError(f"{place}.weight: 0, expected a number above 0, or below 0 for a dislike")
            model.user_id(str(event.user))
            model.check_item(str(event.item))
        records = [
            Record(EVENT, str(one.user), str(one.item), one.id, one.time, one.weight, one.type) for one in events
        ]
        outcome = await _do(replica, Job(lambda *_: records))
        telemetry.events({**outcome.became, "duplicate": outcome.duplicates})
        return JSONResponse(
            {
                "accepted": len(outcome.written),
                "duplicates": outcome.duplicates,
                "known": outcome.became[KNOWN],
                "unknown_items": outcome.became[UNKNOWN],
                "seq": outcome.seq,
                "took_ms": round(1000 * (time.perf_counter() - began), 3),
            }
        )

    @app.delete("/users/{user:path}", response_model=schemas.Forgotten)
    async def forget(user: schemas.UserId) -> Response:
        """Forgets a user, those events of training and those in the log."""
        replica.model.user_id(user)
        outcome = await _do(replica, Job(lambda *_: [Record(FORGET, user)]))
        return JSONResponse(
            {"user": replica.model.user_id(user), "forgotten": bool(outcome.became[CHANGED]), "seq": outcome.seq}
        )

    @app.post("/users/merge", response_model=schemas.Merged)
    async def merge(body: schemas.Merge) -> Response:
        """Gives the events of one user, such as a visitor who signs in, to another, and forgets the first."""
        source, into = str(body.source), str(body.into)
        if source == into:
            raise UserError("from and into are the same user")
        replica.model.user_id(source)
        replica.model.user_id(into)
        outcome = await _do(replica, Job(lambda model, log: _moved(model, log, source, into), alone=True))
        moved = outcome.became[CHANGED] - 1
        return JSONResponse({"from": body.source, "into": body.into, "moved": max(moved, 0), "seq": outcome.seq})


def _moved(model: Model, log: Appending, source: str, into: str) -> list[Record]:
    """The events of a user as those of another. Those without a time come last, in their order.

    Items that the user is known to have from a test part become events after these. Events of items that the run does not know
    come last: they count once a run knows the items.
    """
    history, logged = model.history(source) or History(np.zeros(0)), log.events_of(source)
    types = {record.item: record.type for record in logged}
    moved = [
        Record(EVENT, into, item, None, time if time > -np.inf else None, weight, types.get(item))
        for item, weight, time in zip(
            [str(model.item_ids[row]) for row in history.items], history.weights, history.times, strict=True
        )
    ]
    moved += [Record(EVENT, into, str(model.item_ids[row])) for row in history.others]
    waiting = [record._replace(user=into, id=None) for record in logged if model.item_row(record.item) is None]
    return [*moved, *waiting, Record(FORGET, source)]


async def _do(replica: Replica, job: Job) -> Outcome:
    return await asyncio.wrap_future(replica.submit(job))


def add_reads(app: FastAPI, replica: Replica, lists: Lists) -> None:
    """Lists, users and items."""

    @app.get("/recommend/{user:path}", response_model=schemas.ListedFor)
    async def recommend(
        user: schemas.UserId,
        n: schemas.Length = 10,
        offset: schemas.Offset = 0,
        exclude: schemas.Exclude = "all",
        explain: bool = False,
    ) -> Response:
        """The best items of a user as they are now; popular ones, marked as such, of somebody without history."""
        made = await lists.of_user(user, n, offset, exclude == "all", explain)
        return JSONResponse({"user": replica.model.user_id(user), **made})

    @app.post("/recommend", response_model=schemas.Listed)
    async def recommend_for(body: schemas.Session) -> Response:
        """The best items for somebody who likes and dislikes some; nothing is remembered."""
        return JSONResponse(await lists.of_session(body))

    @app.get("/similar/{item:path}", response_model=schemas.Similar)
    async def similar(item: str, n: schemas.Length = 10) -> Response:
        """The nearest items of an item."""
        return JSONResponse(await asyncio.to_thread(lists.similar, item, n))

    @app.get("/users", response_model=schemas.FoundUsers)
    async def users(search: Search = "", n: Number = 20) -> Response:
        """Users whose id begins with a text."""
        return JSONResponse(await asyncio.to_thread(lists.find_users, search, n))

    @app.get("/users/{user:path}", response_model=schemas.User)
    async def user(user: schemas.UserId) -> Response:
        """What is known of a user."""
        return JSONResponse(lists.user(user))

    @app.get("/items", response_model=schemas.Found)
    async def items(search: Search = "", n: Number = 20) -> Response:
        """Items whose title or id contains a text, popular first."""
        return JSONResponse(await asyncio.to_thread(lists.find_items, search, n))

    @app.get("/items/{item:path}", response_model=schemas.Shown)
    async def item(item: str) -> Response:
        """An item."""
        model, row = replica.model, lists.item_row(replica.model, item)
        return JSONResponse(lists.shown(model, row))

    @app.get("/map", response_model=schemas.Map)
    async def map(n: Annotated[int, Query(ge=1, le=schemas.MOST_LISTED)] = 2000) -> Response:
        """The most popular items in two dimensions, the first principal components of their directions."""
        return JSONResponse(await asyncio.to_thread(replica.model.map, n))
