"""The page and what it asks: one route for each, JSON in and out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from trapline.errors import TraplineError
from trapline.images import ImageError
from trapline.review.desk import Desk, as_person
from trapline.review.door import refuse
from trapline.review.pictures import as_size
from trapline.review.requests import (
    DecideForm,
    DecideManyForm,
    GiveBackForm,
    LabelForm,
    NextForm,
    TakeBackForm,
)
from trapline.serving import INVALID, UNREADABLE, RefusedError

STATIC = Path(__file__).with_name("static")

_YEAR = "private, max-age=31536000, immutable"


def build_app(desk: Desk) -> FastAPI:
    """The application of one review; `Door` stands before it."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _add_page(app)
    _add_asking(app, desk)
    _add_pictures(app, desk)
    _add_deciding(app, desk)
    for kind in (RefusedError, RequestValidationError, TraplineError, HTTPException, Exception):
        app.add_exception_handler(kind, refuse)
    return app


def _add_page(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        return HTMLResponse((STATIC / "index.html").read_text("utf-8"))


def _add_asking(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/state")
    def state(person: str | None = None) -> Any:
        """Progress, streams, labels, how good the table is."""
        return desk.state(None if not person else as_person(person))

    @app.post("/api/next")
    def next_(form: NextForm) -> Any:
        """The next events for a person."""
        return {"asks": desk.next(form)}

    @app.post("/api/give_back")
    def give_back(form: GiveBackForm) -> Any:
        """Events that are shown to this person no longer."""
        desk.give_back(form)
        return {"ok": True}

    @app.get("/api/event")
    def event(event: str, person: str | None = None) -> Any:
        """One event, by its key."""
        return desk.look_up(event, person)

    @app.get("/api/alike")
    def alike(event: str) -> Any:
        """The labelled events that look most like one."""
        return {"alike": desk.alike(event)}

    @app.get("/api/history")
    def history(
        person: str | None = None, before: str | None = None, count: Annotated[int, Query(ge=1, le=500)] = 50
    ) -> Any:
        """What a person decided, the last first."""
        return {"decisions": desk.history(None if not person else as_person(person), before, count)}

    @app.get("/api/disagreements")
    def disagreements() -> Any:
        """Events of which people say different things."""
        return {"disagreements": desk.disagreements()}


def _add_pictures(app: FastAPI, desk: Desk) -> None:
    @app.get("/picture/{row}")
    async def picture(request: Request, row: int, size: str = "1600") -> Response:
        """A photo, as a JPEG."""
        try:
            wanted = as_size(size)
        except ValueError as error:
            raise RefusedError(INVALID, f"Of pictures {error}.") from None
        try:
            made = await asyncio.get_running_loop().run_in_executor(
                desk.pictures.pool, desk.picture, row, wanted
            )
        except ImageError as error:
            raise RefusedError(UNREADABLE, f"This photo cannot be shown: {error.reason}.") from None
        headers = {"etag": made.etag, "cache-control": _YEAR}
        if request.headers.get("if-none-match") == made.etag:
            return Response(status_code=304, headers=headers)
        return Response(made.content, media_type="image/jpeg", headers=headers)


def _add_deciding(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/decide")
    def decide(form: DecideForm) -> Any:
        """Keep one answer."""
        return {"ok": True, "decision": desk.decision_document(desk.decide([form])[0])}

    @app.post("/api/decide_many")
    def decide_many(form: DecideManyForm) -> Any:
        """Keep a grid of answers, all or none."""
        return {"ok": True, "decisions": [desk.decision_document(one) for one in desk.decide(form.decisions)]}

    @app.post("/api/take_back")
    def take_back(form: TakeBackForm) -> Any:
        """Undo."""
        return {"ok": True, "changed": desk.take_back(form.decision_id, form.person)}

    @app.post("/api/label")
    def label(form: LabelForm) -> Any:
        """A label that there is not yet."""
        return {"ok": True, "label": desk.label_document(desk.add_label(form))}

    @app.post("/api/train")
    def train() -> Any:
        """Learn from what is decided, now."""
        return {"ok": True, "begun": desk.teach()}
