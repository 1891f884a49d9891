"""The API: routes over a replica and a ranker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match
from starlette.staticfiles import StaticFiles

import onebp_jax
from onebp_jax.errors import UserError, one_of
from onebp_jax.service import schemas
from onebp_jax.service.guards import Guards, Limits
from onebp_jax.service.jobs import IdTaken
from onebp_jax.service.lists import Lists
from onebp_jax.service.log import LogUnavailable
from onebp_jax.service.model import Model
from onebp_jax.service.ranker import Ranker
from onebp_jax.service.replica import Replica
from onebp_jax.service.routes import add_reads, add_writes
from onebp_jax.service.telemetry import Telemetry

# Characters of an error.
_LONGEST = 500
_DESCRIPTION = "Events in, recommendations out: an event is on disk when it is answered, and the next list sees it."
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": text}
    for status, text in {
        400: "not a request of this service",
        401: "no token, or a wrong one",
        404: "unknown",
        405: "another method",
        408: "the body came too slowly",
        409: "it contradicts what is there",
        413: "the body is too large",
        415: "not JSON",
        422: "a value is out of range",
        429: "too many requests",
        503: "the event log cannot be used",
    }.items()
}


def make_app(
    replica: Replica, ranker: Ranker, load: Callable[[], Model], limits: Limits, log_requests: bool = False
) -> FastAPI:
    """The service as an ASGI application.

    Args:
      load: reads the run folder again, for `POST /reload`.
    """
    app = FastAPI(
        title="onebp serve",
        description=_DESCRIPTION,
        version=onebp_jax.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_known_names)],
        responses=_PROBLEMS,
    )
    telemetry = Telemetry(replica, ranker, log_requests)
    app.add_middleware(Guards, limits=limits, telemetry=telemetry)
    app.state.telemetry, lists = telemetry, Lists(replica, ranker)
    app.state.reload = lambda: _reload(replica, load, telemetry)
    _add_errors(app)
    _add_pages(app)
    add_reads(app, replica, lists)
    add_writes(app, replica, telemetry)
    _add_operations(app, replica, telemetry, limits)
    _add_token(app, limits)
    return app


async def _known_names(request: Request) -> None:
    """Refuses what the query asks for and the route does not know, or asks for twice; pages take no notice of a query."""
    route = request.scope["route"]
    known = [field.alias for field in route.dependant.query_params]
    for name in request.query_params if route.include_in_schema else ():
        if name not in known:
            raise UserError(f"{name}: not a parameter, expected {one_of(name, known) if known else 'none'}")
        if len(given := request.query_params.getlist(name)) > 1:
            raise UserError(f"{name}={given[1]!r:.80}: {name} is given twice")


def _add_token(app: FastAPI, limits: Limits) -> None:
    """Says in the description of the API how a token is shown; `Guards` looks at it."""
    if limits.token:
        schemes = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        described = app.openapi()
        described["components"]["securitySchemes"] = schemes
        described["security"] = [{name: []} for name in schemes]


def _add_operations(app: FastAPI, replica: Replica, telemetry: Telemetry, limits: Limits) -> None:
    @app.get("/health/live", response_model=schemas.Health)
    async def live() -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @app.get("/health/ready", response_model=schemas.Health)
    async def ready() -> Response:
        """Lists can be made and events written; 503 if the log cannot be used."""
        if trouble := replica.trouble:
            raise LogUnavailable(trouble)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(telemetry.prometheus(), media_type="text/plain; version=0.0.4")

    @app.get("/status", response_model=schemas.Status)
    async def status() -> Response:
        """The service in numbers."""
        model = replica.model
        return JSONResponse(
            _loaded(model)
            | {"dataset": str(model.run.result["dataset"]), "live_users": len(model.live), "token": bool(limits.token)}
            | telemetry.numbers()
        )

    @app.post("/reload", response_model=schemas.Loaded)
    async def reload() -> Response:
        """Reads the run folder again and swaps the run in, under the users of the log; requests are answered meanwhile."""
        return JSONResponse(_loaded(await app.state.reload()))


_RELOADING = asyncio.Lock()


async def _reload(replica: Replica, load: Callable[[], Model], telemetry: Telemetry) -> Model:
    if _RELOADING.locked():
        raise HTTPException(409, "a run is being read already")
    async with _RELOADING:
        try:
            model = await asyncio.to_thread(load)
        except UserError as error:
            raise HTTPException(409, f"the present run stays: {error}") from error
        now, then = ([run.user_ids.dtype.kind, run.item_ids.dtype.kind] for run in (model.run, replica.model.run))
        if now != then:
            raise HTTPException(
                409, "the present run stays: the ids of the other one are of another kind, integers or text"
            )
        model = await asyncio.wrap_future(await asyncio.to_thread(replica.swap, model))
    telemetry.line("reloaded", **_loaded(model))
    return model


def _loaded(model: Model) -> dict[str, Any]:
    method = str(model.run.result["method"])
    return {"method": method, "users": len(model.user_ids), "items": len(model.item_ids), "seq": model.seq}


def _add_pages(app: FastAPI) -> None:
    page = files("onebp_jax.service").joinpath("page.html").read_text("utf-8")
    app.mount("/static", StaticFiles(packages=[("fastapi_offline", "static")]), name="static")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def root() -> Response:
        return HTMLResponse(page)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="onebp serve",
            swagger_js_url="/static/swagger-ui-bundle.js",
            swagger_css_url="/static/swagger-ui.css",
            swagger_favicon_url="/static/favicon.png",
        )


def _add_errors(app: FastAPI) -> None:
    """Each error is `{"detail": "one line"}`."""

    def add(kind: type[Exception], status_of: Callable[[Any], int], words_of: Callable[[Any], str]) -> None:
        async def handle(request: Request, error: Exception) -> Response:
            headers = getattr(error, "headers", None)
            if status_of(error) == 405:
                headers = {"allow": _methods(request)}
            return JSONResponse({"detail": _line(words_of(error))}, status_of(error), headers)

        handler: Callable[[Request, Exception], Awaitable[Response]] = handle
        app.add_exception_handler(kind, handler)

    add(RequestValidationError, lambda error: 422, _invalid)
    add(UserError, lambda error: 422, str)
    add(IdTaken, lambda error: 409, str)
    add(LogUnavailable, lambda error: 503, lambda error: f"the event log cannot be used: {error}")
    add(StarletteHTTPException, lambda error: error.status_code, lambda error: str(error.detail))


def _methods(request: Request) -> str:
    """What the path of a request may be asked with; the framework names those of one route only, and none of files."""
    found = (route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE)
    return ", ".join(sorted({method for route in found for method in getattr(route, "methods", ())})) or "GET, HEAD"


def _line(text: str) -> str:
    """A text that may hold what a client sent as one line that can be shown and encoded."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:_LONGEST])


def _invalid(error: RequestValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
