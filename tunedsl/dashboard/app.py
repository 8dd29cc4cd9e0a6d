"""The web application: its routes, and how each answers. What is answered is in the other modules of this package."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tunedsl.base.errors import ArgumentError, NoResult, TunedslError
from tunedsl.base.types import Json
from tunedsl.dashboard import analysis, steering
from tunedsl.dashboard.figures import Figures
from tunedsl.dashboard.limits import Streams
from tunedsl.dashboard.security import Access, Guard, refused
from tunedsl.dashboard.steering import Asked
from tunedsl.dashboard.store import Store
from tunedsl.dashboard.watching import WatchedRun
from tunedsl.runs.stores import delete_runs, freeable
from tunedsl.web import STATIC, trials
from tunedsl.web.figures import FIGURES
from tunedsl.web.notes import Note, NoteChanged, read_notes, write_note
from tunedsl.web.outcome import outcome_of
from tunedsl.web.rows import MAX_MESSAGE, short
from tunedsl.web.summaries import now_of, plan_of

RUN_SECONDS: Final = 0.5
"""Between two reads of a run that a page shows."""
STORE_SECONDS: Final = 1.0
CLOCK_SECONDS: Final = 3.0
"""How often a run in progress is shown again although nothing happened, since its times grow."""
MAX_STEERING: Final = 8
"""Requests that wait for drivers at a time."""

T = TypeVar("T")


class NewNote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A note, and the one that its writer saw."""

    note: Note
    before: Note = Note()
    trial: int | None = None


class Cleaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to delete of a run: what it no longer needs, or the whole of it, whose name is repeated."""

    whole: bool = False
    confirm: str = ""


class Dashboard:
    """The answers to requests.

    Args:
        store: the runs.
        access: who may see and change them.
        streams: of updates.
    """

    def __init__(self, store: Store, access: Access, streams: Streams) -> None:
        self.store, self.access, self.streams = store, access, streams
        self.figures = Figures()
        self._steering = CapacityLimiter(MAX_STEERING)
        self._list_made = (-1, b"")

    # The page, and who may see it

    def page(self, request: Request) -> Response:
        """The page."""
        return FileResponse(STATIC / "index.html", media_type="text/html")

    def login_page(self, request: Request) -> Response:
        """The form for the token."""
        return FileResponse(STATIC / "login.html", media_type="text/html")

    async def login(self, request: Request) -> Response:
        """Exchange the token for a session."""
        given = _decoded(await request.body(), dict[str, str]).get("token", "")
        accepted = self.access.accepts(given)
        if not accepted:
            why = "This is not the token." if accepted is False else "There were too many wrong tokens. Wait a minute."
            return refused(429 if accepted is None else 401, why)
        response = _json({"ok": True})
        response.set_cookie(self.access.cookie, self.access.session, httponly=True, samesite="strict", path="/")
        return response

    def session(self, request: Request) -> Response:
        """What the page needs to know about this dashboard."""
        store = str(self.store.place)
        return _json({"csrf": self.access.csrf, "read_only": self.access.read_only, "store": store})

    # The store

    async def runs(self, request: Request) -> Response:
        """The runs of the store."""
        return Response((await self._list())[1], media_type="application/json")

    async def watch_store(self, request: Request) -> Response:
        """The runs of the store, whenever one changed."""
        return self._stream(request, self._list, STORE_SECONDS)

    async def _list(self) -> tuple[int, bytes]:
        return await to_thread.run_sync(self._listed)

    def _listed(self) -> tuple[int, bytes]:
        version = self.store.refresh()
        if self._list_made[0] == version:
            return self._list_made
        found = [{**each, "note": read_notes(self.store.places[each["run"]]).run} for each in self.store.summaries
                 if each["run"] in self.store.places]  # fmt: skip
        self._list_made = version, msgspec.json.encode({"runs": found, "error": self.store.error})
        return self._list_made

    # One run

    def now(self, request: Request) -> Response:
        """What a run does now."""
        return Response(_now(self._run(request))[1], media_type="application/json")

    async def watch(self, request: Request) -> Response:
        """What a run does now, whenever something happened."""
        await to_thread.run_sync(self._run, request)

        def read() -> tuple[tuple[int, int], bytes]:
            run = self._run(request)
            version, now = _now(run)
            clock = int(time.time() / CLOCK_SECONDS) if run.driven else 0
            return (version, clock), now

        async def look() -> tuple[tuple[int, int], bytes]:
            return await to_thread.run_sync(read)

        return self._stream(request, look, RUN_SECONDS)

    def table(self, request: Request) -> Response:
        """The rows of trials that changed after a version."""
        run = self._run(request)
        with run.reading():
            since = _number(request.query_params.get("since"), -1)
            table = run.table
            since = -1 if since < table.version else since
            rows = list(table.since(since))
            return _json({"version": run.version, "whole": since < 0, "columns": table.columns, "rows": rows})

    def table_csv(self, request: Request) -> Response:
        """All rows as CSV."""
        run = self._run(request)
        with run.reading():
            text = "".join(run.table.as_csv())
        return Response(
            text, media_type="text/csv", headers={"content-disposition": 'attachment; filename="trials.csv"'}
        )

    def figure(self, request: Request) -> Response:
        """A figure of a run."""
        run, kind = self._run(request), request.path_params["kind"]
        if kind not in FIGURES:
            raise NoResult(f"There is no figure {kind[:40]!r}.")
        try:
            text = self.figures.draw(run, kind, request.query_params)
        except NoResult as nothing:
            return _json({"nothing": short(str(nothing), MAX_MESSAGE)})
        return Response(text, media_type="application/json")

    def plan(self, request: Request) -> Response:
        """The plan of a run, its provenance and its notes."""
        run = self._run(request)
        return _json({**self._shown(run, plan_of), "notes": read_notes(run.place)})

    def outcome(self, request: Request) -> Response:
        """What a run came to: its best trials, counts and failures."""
        return _json(self._shown(self._run(request), outcome_of))

    def trial(self, request: Request) -> Response:
        """One trial."""
        return _json(self._shown(self._run(request), trials.trial_of, request.path_params["trial"]))

    def curves(self, request: Request) -> Response:
        """The curves of some trials, by number."""
        run, wanted = self._run(request), request.query_params.getlist("trial")[:50]
        numbers = [_number(each, -1) for each in wanted]
        return _json({str(number): self._shown(run, trials.curves_of, number) for number in numbers})

    def story(self, request: Request) -> Response:
        """What was decided about a trial, and why."""
        return _json(self._shown(self._run(request), trials.story_of, request.path_params["trial"]))

    def log(self, request: Request) -> Response:
        """A part of a trial's output."""
        query, number = request.query_params, request.path_params["trial"]
        offset = _number(query.get("offset"), 0) if "offset" in query else None
        return _json(trials.log_of(self._run(request), number, query.get("name", "out"), offset))

    def compare(self, request: Request) -> Response:
        """Runs next to each other."""
        runs = [self.store.run(name) for name in dict.fromkeys(request.query_params.getlist("run")[:20])]
        with contextlib.ExitStack() as shown:
            for run in runs:
                shown.enter_context(run.reading())
            text = analysis.compare(runs, request.query_params.get("over", "seconds"))
        return Response(text, media_type="application/json")

    def replay_options(self, request: Request) -> Response:
        """What a replay can change."""
        return _json(self._shown(self._run(request), analysis.replay_options))

    def what_if(self, request: Request) -> Response:
        """A replay under another policy."""
        run, query = self._run(request), request.query_params
        text = analysis.what_if(run, query.getlist("set")[:20], query.get("over", "iterations"))
        return Response(text, media_type="application/json")

    def forecast(self, request: Request) -> Response:
        """How much is left of a run."""
        return _json(analysis.forecast(self._run(request)))

    def steering(self, request: Request) -> Response:
        """What can be done with a run or a trial, and the parameters of a new configuration."""
        run, query = self._run(request), request.query_params
        number = _number(query.get("trial"), 0) if "trial" in query else None
        if run.counters is None:
            return _json({"why_not": dict.fromkeys(steering.ACTIONS, "The journal cannot be read."), "parameters": []})
        why_not = steering.obstacles(run, number)
        if self.access.read_only:
            why_not = dict.fromkeys(why_not, "The dashboard is read-only.")
        return _json({"why_not": why_not, "parameters": self._shown(run, analysis.parameters, number)})

    # Changes

    async def steer(self, request: Request) -> Response:
        """Carry out an action on a run."""
        asked = _decoded(await request.body(), Asked)
        run = await to_thread.run_sync(self._run, request)
        reply = await to_thread.run_sync(steering.steer, run, asked, limiter=self._steering)
        return _json({"reply": reply})

    async def note(self, request: Request) -> Response:
        """Write a note."""
        new = _decoded(await request.body(), NewNote)
        run = await to_thread.run_sync(self._run, request)
        notes = await to_thread.run_sync(write_note, run.place, new.trial, new.note, new.before)
        self.store.version += 1
        return _json(notes)

    def cleanable(self, request: Request) -> Response:
        """What can be deleted of a run."""
        found = freeable(self._run(request).place, request.query_params.get("whole") == "1")
        return _json({"what": found.what, "size": found.size, "nothing": not (found.size or found.places)})

    async def clean(self, request: Request) -> Response:
        """Delete what a run no longer needs, or the run."""
        asked = _decoded(await request.body(), Cleaning)
        run = await to_thread.run_sync(self._run, request)
        if asked.whole and asked.confirm != run.name:
            raise TunedslError("The name of the run was not repeated.")
        found = await to_thread.run_sync(freeable, run.place, asked.whole)
        await to_thread.run_sync(delete_runs, [found])
        self.store.forget(run.name)
        return _json({"reply": f"deleted {found.what}", "size": found.size})

    # Shared

    def _run(self, request: Request) -> WatchedRun:
        return self.store.run(request.path_params["run"])

    def _shown(self, run: WatchedRun, read: Callable[..., T], *args: Any) -> T:
        with run.reading():
            return read(run, *args)

    def _stream(
        self, request: Request, read: Callable[[], Awaitable[tuple[Any, bytes]]], seconds: float
    ) -> StreamingResponse:
        events = self.streams.follow(read, seconds, request.is_disconnected)
        return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _now(run: WatchedRun) -> tuple[int, bytes]:
    with run.reading():
        return run.version, msgspec.json.encode(now_of(run))


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 18 else default


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TunedslError(f"The request is not valid: {error}.") from error


async def _failed(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NoResult) else 409 if isinstance(error, NoteChanged) else 400
    if isinstance(error, ArgumentError):  # a person typed it into the page, not on a line of a program
        text = str(attrs.evolve(error.diagnostic, place=None)).replace("--set ", "")
    else:
        text = str(error)
    return refused(status, short(text, MAX_MESSAGE))


async def _broken(request: Request, error: Exception) -> Response:
    return refused(500, "The dashboard could not answer. Its terminal has the error.")


def _routes(board: Dashboard) -> Sequence[Route | Mount]:
    run, trial = "/api/runs/{run}", "/api/runs/{run}/trials/{trial:int}"
    change: Json = ["POST"]
    return [
        Route("/", board.page),
        Route("/login", board.login_page),
        Route("/api/login", board.login, methods=change),
        Route("/api/session", board.session),
        Route("/api/runs", board.runs),
        Route("/api/live", board.watch_store),
        Route("/api/compare", board.compare),
        Route(run, board.now),
        Route(f"{run}/live", board.watch),
        Route(f"{run}/table", board.table),
        Route(f"{run}/trials.csv", board.table_csv),
        Route(f"{run}/figures/{{kind}}", board.figure),
        Route(f"{run}/plan", board.plan),
        Route(f"{run}/outcome", board.outcome),
        Route(f"{run}/curves", board.curves),
        Route(f"{run}/replay", board.replay_options),
        Route(f"{run}/what-if", board.what_if),
        Route(f"{run}/forecast", board.forecast),
        Route(f"{run}/steering", board.steering),
        Route(f"{run}/steer", board.steer, methods=change),
        Route(f"{run}/note", board.note, methods=change),
        Route(f"{run}/clean", board.cleanable),
        Route(f"{run}/clean", board.clean, methods=change),
        Route(trial, board.trial),
        Route(f"{trial}/story", board.story),
        Route(f"{trial}/log", board.log),
        Route("/static/plotly.min.js", _plotly),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _plotly(request: Request) -> Response:
    """The plotly that draws the figures, from the installed package."""
    import plotly

    path = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return FileResponse(path, media_type="text/javascript", headers={"cache-control": "max-age=86400"})


def create_app(store: Store, access: Access, streams: Streams | None = None) -> Starlette:
    """The application for a store.

    Args:
        store: the runs.
        access: who may use it.
        streams: those of its server, which ends them.
    """
    board = Dashboard(store, access, Streams() if streams is None else streams)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    return Starlette(
        routes=_routes(board),
        middleware=[Middleware(Guard, access=access), Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=3)],
        exception_handlers={TunedslError: _failed, OSError: _failed, Exception: _broken},
        lifespan=lifespan,
    )
