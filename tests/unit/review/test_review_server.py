"""The server of the page: what is asked and kept, who is let in, and what becomes of broken photos."""

import asyncio
import http.client
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl
import pytest
from PIL import Image
from reviewed import photos as photos_of

from trapline import api
from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, UsageError
from trapline.prediction import Predictions
from trapline.review import (
    DecisionLog,
    DeskOptions,
    Shares,
    open_project,
    open_review,
    read_ids,
    take_decisions,
)
from trapline.review.app import build_app
from trapline.review.desk import Desk
from trapline.review.door import MOST_BODY, Door
from trapline.review.names import as_label
from trapline.review.pictures import PictureStore, encode
from trapline.review.requests import DecideForm, NextForm
from trapline.review.server import as_token, bind_again, link
from trapline.review.teaching import Teacher
from trapline.serving import HttpServer, bind

TOKEN = "a-token-of-the-tests"
LABELS = ("blank", "fox", "roe deer")


def write_photos(tmp_path: Path) -> Catalog:
    """Six photos of two cameras: an event of three, a broken, a missing one, and a video."""
    folder = tmp_path / "card"
    random = np.random.default_rng(0)
    for name in ("a1", "a2", "a3", "b1"):
        path = folder / name[0] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((400, 300)).save(path)
    (folder / "b" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    names = ["a/a1.jpg", "a/a2.jpg", "a/a3.jpg", "b/b1.jpg", "b/broken.jpg", "b/gone.jpg", "b/film.mp4"]
    start = datetime(2024, 5, 1, 6)
    rows = pl.DataFrame(
        {
            "media_id": [Path(name).stem for name in names],
            "file_path": names,
            "location_id": [name[0] for name in names],
            "event_id": ["A", "A", "A", None, None, None, None],
            "camera_time": [start + timedelta(hours=hour) for hour in range(len(names))],
        }
    )
    return Catalog.from_rows(rows, folder, "a card")


@pytest.fixture
def photos(tmp_path: Path) -> Catalog:
    return write_photos(tmp_path)


def predicted(catalog: Catalog, numbers: list[list[float]]) -> Predictions:
    fixed = catalog.table.select(
        "media_id",
        "event_id",
        box=pl.lit(None, pl.Int64),
        file_path="file_path",
        status=pl.lit("ok"),
        reason=pl.lit(None, pl.String),
    )
    columns = [
        pl.Series(label, values, pl.Float32)
        for label, values in zip(LABELS, zip(*numbers, strict=True), strict=True)
    ]
    return Predictions(
        fixed.with_columns(columns), LABELS, "media", "f" * 16, "single-label", catalog=catalog
    )


class Client:
    """Talks to a server as the page does."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str | None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        own: dict[str, str | None] = {"authorization": f"Bearer {TOKEN}", "x-trapline-review": "1"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (own | given).items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if content is not None:
            sent["content-type"] = "application/json"
        connection.request(method, path, content, sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def get(self, path: str) -> Any:
        status, _, content = self.ask("GET", path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path: str, body: Any) -> Any:
        status, _, content = self.ask("POST", path, body)
        assert status == 200, content
        return json.loads(content)

    def refused(self, path: str, body: Any) -> str:
        status, _, content = self.ask("POST", path, body)
        assert status in (400, 422), content
        return str(json.loads(content)["error"])


@contextmanager
def serving(
    catalog: Catalog,
    path: Path,
    predictions: Predictions | None = None,
    options: DeskOptions | None = None,
    **project: Any,
) -> Iterator[Client]:
    opened = open_project(catalog, predictions, **project)
    with open_review(opened, path, options) as desk, bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = HttpServer(Door(build_app(desk), TOKEN, "127.0.0.1", port), 1)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(photos: Catalog, tmp_path: Path) -> Iterator[Client]:
    with serving(photos, tmp_path / "d.db", labels=["fox", "roe deer"]) as one:
        yield one


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that is asked only what it must refuse."""
    folder = tmp_path_factory.mktemp("refusing")
    with serving(write_photos(folder), folder / "d.db", labels=["fox", "roe deer"]) as one:
        yield one


def answer(ask: dict[str, Any], decision_id: str, verdict: str = "blank", **more: Any) -> dict[str, Any]:
    return {
        "decision_id": decision_id,
        "ask": ask["ask"],
        "event": ask["event"],
        "person": "Ada",
        "verdict": verdict,
        **more,
    }


# ---- what is asked


def test_events_come_in_order_of_time_and_each_once(client: Client) -> None:
    first = client.post("/api/next", {"person": "Ada", "count": 2})["asks"]
    assert [ask["event"] for ask in first] == ["event:A", "media:b1"]
    assert [frame["name"] for frame in first[0]["frames"]] == ["a/a1.jpg", "a/a2.jpg", "a/a3.jpg"]
    holding = [ask["event"] for ask in first]
    rest = client.post("/api/next", {"person": "Ada", "count": 9, "holding": holding})["asks"]
    assert [ask["event"] for ask in rest] == ["media:broken", "media:gone", "media:film"]


def test_two_people_are_not_asked_the_same(client: Client) -> None:
    ada = client.post("/api/next", {"person": "Ada", "count": 2})["asks"]
    bea = client.post("/api/next", {"person": "Bea", "count": 9})["asks"]
    assert not {ask["event"] for ask in ada} & {ask["event"] for ask in bea}
    assert len(ada) + len(bea) == 5


def test_what_is_given_back_is_free_for_others_but_nobody_gives_back_for_another(client: Client) -> None:
    held = [one["event"] for one in client.post("/api/next", {"person": "Ada", "count": 9})["asks"]]
    client.post("/api/give_back", {"person": "Grace", "events": held})
    assert client.post("/api/next", {"person": "Grace", "count": 9})["asks"] == []
    client.post("/api/give_back", {"person": "Ada", "events": [*held[:1], "no event"]})
    assert [
        one["event"] for one in client.post("/api/next", {"person": "Grace", "count": 9})["asks"]
    ] == held[:1]


def test_what_is_filled_in_is_pooled_over_the_event_and_stands_in_the_decision(
    photos: Catalog, tmp_path: Path
) -> None:
    numbers = [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], *[[0.9, 0.05, 0.05]] * 4]
    with serving(photos, tmp_path / "d.db", predicted(photos, numbers)) as client:
        ask = client.get("/api/event?event=event:A&person=Ada")
        assert [one["label"] for one in ask["suggestion"]["labels"]] == ["fox"]
        assert ask["suggestion"]["observer"] == "model:" + "f" * 16
        assert [one["label"] for one in ask["likely"]] == ["fox", "blank", "roe deer"]
        client.post(
            "/api/decide", answer(ask, "decision-1", "seen", labels=[{"label": "roe deer", "count": 2}])
        )
    with DecisionLog.open(tmp_path / "d.db") as log:
        (kept,) = log.decisions()
    assert kept.names == ["roe deer"]
    assert kept.suggestion is not None
    assert kept.suggestion.labels == ("fox",)
    assert [one.media_id for one in kept.media] == ["a1", "a2", "a3"]
    assert all(one.content_hash for one in kept.media)


def test_where_nothing_says_which_photos_belong_together_times_do_and_it_is_told(photos: Catalog) -> None:
    near = pl.Series("camera_time", [datetime(2024, 5, 1, 6, 0, second) for second in range(7)])
    project = open_project(
        photos.with_table(photos.table.with_columns(near, event_id=pl.lit(None, pl.String)))
    )
    assert len(project.events) == 2  # one a camera
    assert "Nothing says which photos belong together" in project.notes[0]


def test_photos_that_nothing_puts_together_are_told(photos: Catalog, tmp_path: Path) -> None:
    nothing = {"event_id": pl.lit(None, pl.String), "camera_time": pl.lit(None, pl.Datetime("us"))}
    alone = photos.with_table(photos.table.with_columns(**nothing))
    with serving(alone, tmp_path / "d.db") as client:
        state = client.get("/api/state")
        assert f"{len(photos)} photos have neither a time nor an event" in state["notes"][0]
        assert (state["estimate"], state["audits"]) == (None, False)
    with serving(alone, tmp_path / "e.db", options=DeskOptions(shares=Shares(audit=0.2))) as client:
        assert client.get("/api/state")["audits"]


def test_only_the_named_are_asked(photos: Catalog, tmp_path: Path) -> None:
    listed = tmp_path / "only.csv"
    listed.write_text("event_id,media_id,label\n,b1,fox\nA,,fox\n")
    with serving(photos, tmp_path / "d.db", only=read_ids(listed)) as client:
        asks = client.post("/api/next", {"person": "Ada", "count": 9})["asks"]
        assert [ask["event"] for ask in asks] == ["event:A", "media:b1"]
        assert client.get("/api/state")["progress"]["events"] == 2
    listed.write_text("media_id\nnobody\n")
    with pytest.raises(DataError, match="'nobody'"):
        open_project(photos, only=read_ids(listed))
    listed.write_text("name\nb1\n")
    with pytest.raises(DataError, match="none of the columns"):
        read_ids(listed)


def test_a_stream_that_has_nothing_to_go_by_says_so(refusing: Client) -> None:
    assert "no model yet" in refusing.refused("/api/next", {"person": "Ada", "stream": "table"})
    assert "there are:" in refusing.refused("/api/next", {"person": "Ada", "stream": "nonsense"})
    streams = {one["name"]: one["available"] for one in refusing.get("/api/state")["streams"]}
    assert streams["all"]
    assert not streams["learn"]


# ---- what is decided


def test_a_decision_sent_twice_is_kept_once_and_taken_back(client: Client) -> None:
    (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
    for _ in range(2):
        done = client.post("/api/decide", answer(ask, "decision-1", "seen", labels=[{"label": "fox"}]))
    assert [(one["label"], one["count"], one["sex"]) for one in done["decision"]["labels"]] == [
        ("fox", None, None)
    ]
    state = client.get("/api/state?person=Ada")
    assert (state["progress"]["decided"], state["progress"]["mine"]) == (1, 1)
    assert {one["label"]: one["count"] for one in state["labels"]}["fox"] == 1
    client.post("/api/take_back", {"decision_id": "decision-1", "person": "Ada"})
    assert client.get("/api/state")["progress"]["decided"] == 0
    (again,) = client.post("/api/next", {"person": "Ada"})["asks"]
    assert again["event"] == ask["event"]
    (past,) = client.get("/api/history?person=Ada")["decisions"]
    assert past["taken_back"]
    assert client.get(f"/api/history?person=Ada&before={past['decision_id']}")["decisions"] == []


def test_of_an_event_with_chosen_frames_the_rest_is_still_asked(client: Client) -> None:
    (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
    client.post("/api/decide", answer(ask, "decision-1", frames=[0, 2]))
    assert client.get("/api/state")["progress"]["decided"] == 0
    (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
    assert ask["before"]["frames"] == [0, 2]
    client.post("/api/decide", answer(ask, "decision-2", frames=[1]))
    assert client.get("/api/state")["progress"]["decided"] == 1


def test_a_grid_sent_twice_is_kept_once(client: Client) -> None:
    asks = client.post("/api/next", {"person": "Ada", "count": 4})["asks"]
    grid = {"decisions": [answer(ask, f"decision-{ask['event']}") for ask in asks]}
    client.post("/api/decide_many", grid)
    client.post("/api/decide_many", grid)
    assert client.get("/api/state")["progress"]["decided"] == 4
    assert len(client.get("/api/history?person=Ada")["decisions"]) == 4


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"verdict": "seen"}, "needs a label"),
        ({"verdict": "blank", "labels": [{"label": "fox"}]}, "has no labels"),
        ({"verdict": "seen", "labels": [{"label": "fox"}, {"label": "fox"}]}, "said twice"),
        ({"verdict": "seen", "labels": [{"label": "yeti"}]}, "no label 'yeti' yet"),
        ({"verdict": "seen", "labels": [{"label": "unclassified"}]}, "is no label"),
        ({"verdict": "seen", "labels": [{"label": "fox", "count": 0}]}, "count"),
        ({"event": "event:nowhere"}, "no event"),
        ({"frames": [9]}, "no frame 9"),
        ({"person": "\u0007"}, "signs that cannot be seen"),
        ({"person": ""}, "person"),
        ({"decision_id": "x"}, "decision_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_no_answer_is_refused_and_nothing_is_kept(
    refusing: Client, changed: dict[str, Any], why: str
) -> None:
    (ask,) = refusing.post("/api/next", {"person": "Ada"})["asks"]
    assert why in refusing.refused("/api/decide", answer(ask, "decision-1") | changed)
    assert refusing.get("/api/history")["decisions"] == []


@pytest.mark.parametrize(
    "person", ["👩\u200d🔬 Ann", "نی\u200cکی", "=cmd()", "<b>", "O'Hara; DROP", "Ann\u00a0B"]
)
def test_people_may_be_called_as_they_are(client: Client, person: str) -> None:
    (ask,) = client.post("/api/next", {"person": person})["asks"]
    client.post("/api/decide", answer(ask, "decision-1") | {"person": person})
    (past,) = client.get("/api/history")["decisions"]
    assert past["person"] == person.replace("\u00a0", " ")


@pytest.mark.parametrize("label", ["NA", "nan", " None ", "#N/A", "unclassified", "Unknown", "a\u0007"])
def test_what_would_be_no_label_when_read_again_is_not_added(
    refusing: Client, photos: Catalog, label: str
) -> None:
    refusing.refused("/api/label", {"label": label})
    refusing.refused("/api/label", {"label": "lynx", "common": "a\u0007"})
    assert not {label, "lynx"} & {one["label"] for one in refusing.get("/api/state")["labels"]}
    with pytest.raises(UsageError):
        open_project(photos, labels=[label])


def test_blank_said_as_a_label_is_the_verdict(client: Client) -> None:
    (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
    done = client.post("/api/decide", answer(ask, "decision-1", "seen", labels=[{"label": "Empty"}]))
    assert (done["decision"]["verdict"], done["decision"]["labels"]) == ("blank", [])


def test_what_is_asked_while_a_decision_is_written_knows_it_afterwards(
    photos: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = DecisionLog.add_all

    def keep_and_be_asked(log: DecisionLog, decisions: Any) -> int:
        kept = keep(log, decisions)
        desk.next(NextForm(person="Ada", count=1, holding=[]))  # by another thread, before `decide` goes on
        return kept

    with open_review(open_project(photos), tmp_path / "d.db") as desk:
        monkeypatch.setattr(DecisionLog, "add_all", keep_and_be_asked)
        (ask,) = desk.next(NextForm(person="Ada", count=1, holding=[]))
        desk.decide([DecideForm(**answer(ask, "decision-1"))])
        (following,) = desk.next(NextForm(person="Ada", count=1, holding=[]))
        assert following["event"] != ask["event"]


def test_a_label_of_ones_own_outlives_the_server(photos: Catalog, tmp_path: Path) -> None:
    with serving(photos, tmp_path / "d.db") as client:
        made = client.post("/api/label", {"label": "Écureuil", "scientific": "Sciurus vulgaris"})
        assert made["label"]["label"] == "Écureuil"
    with serving(photos, tmp_path / "d.db") as client:
        kept = {one["label"]: one["scientific"] for one in client.get("/api/state")["labels"]}
        assert kept["Écureuil"] == "Sciurus vulgaris"


@pytest.mark.parametrize("name", ["", " ", "x" * 300, "a\u200bb" * 0 + "a\x00b", "unobserved", "failed"])
def test_what_cannot_be_a_label(name: str) -> None:
    with pytest.raises(UsageError):
        as_label(name)


# ---- by chance


def test_events_drawn_by_chance_are_mixed_in_unseen_and_estimate_the_table(tmp_path: Path) -> None:
    rows = pl.DataFrame({"media_id": [f"m{number}" for number in range(80)]})
    catalog = Catalog.from_rows(rows.with_columns(file_path=pl.col("media_id") + ".jpg"), tmp_path, "eighty")
    numbers = [[0.1, 0.8, 0.1]] * 60 + [[0.1, 0.1, 0.8]] * 20
    options = DeskOptions(shares=Shares(audit=0.5))
    with serving(catalog, tmp_path / "d.db", predicted(catalog, numbers), options) as client:
        for number in range(30):
            (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
            assert "audit" not in json.dumps(ask)
            client.post("/api/decide", answer(ask, f"decision-{number}", "seen", labels=[{"label": "fox"}]))
        for _ in range(100):
            estimate = client.get("/api/state")["estimate"]
            if estimate is not None and estimate["audited"] >= 5:
                break
            threading.Event().wait(0.05)
    with DecisionLog.open(tmp_path / "d.db") as log:
        asked = [one.asked for one in log.decisions()]
        drawn = set(log.drawn()["event"])
        audited = {one.event for one in log.decisions() if one.asked == "audit"}
    assert 5 <= asked.count("audit") <= 25
    assert audited <= drawn
    assert estimate["low"] < estimate["accuracy"] <= estimate["high"]
    assert set(estimate["labels"]) == {"fox", "roe deer"}
    assert estimate["narrower"]["more"] > 0
    assert (
        0 < estimate["narrower"]["half_width"] < (estimate["unseen"]["high"] - estimate["unseen"]["low"]) / 2
    )


def test_an_audit_that_is_closed_meanwhile_ends_what_is_drawn(photos: Catalog, tmp_path: Path) -> None:
    answers = predicted(photos, [[0.8, 0.1, 0.1]] * len(photos.table))
    options = DeskOptions(shares=Shares(audit=0.9))
    with serving(photos, tmp_path / "d.db", answers, options) as client:
        (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
        with DecisionLog.open(tmp_path / "d.db") as other:
            assert other.close_audit(int(other.audits()["audit"][0]))
        client.post("/api/decide", answer(ask, "decision-1"))
        for number in (2, 3, 4):
            (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
            client.post("/api/decide", answer(ask, f"decision-{number}"))
        state = client.get("/api/state")
        assert state["estimate"] is None
        assert sum("closed" in note for note in state["notes"]) == 1
    with DecisionLog.open(tmp_path / "d.db") as log:
        assert [one.asked for one in log.decisions()][1:] == ["chosen"] * 3


def test_what_was_drawn_and_not_answered_is_asked_when_nothing_else_is_left(tmp_path: Path) -> None:
    rows = pl.DataFrame({"media_id": [f"m{number}" for number in range(12)]})
    catalog = Catalog.from_rows(rows.with_columns(file_path=pl.col("media_id") + ".jpg"), tmp_path, "twelve")
    answers = predicted(catalog, [[0.1, 0.8, 0.1]] * 12)
    with serving(catalog, tmp_path / "d.db", answers, DeskOptions(shares=Shares(audit=0.9))) as client:
        client.post("/api/next", {"person": "Ada", "count": 6})  # and goes away
    with serving(catalog, tmp_path / "d.db", answers) as client:
        asks = client.post("/api/next", {"person": "Ada", "count": 20})["asks"]
        assert len({ask["event"] for ask in asks}) == 12


def test_photos_that_are_called_otherwise_now_keep_what_was_decided_in_the_estimate(tmp_path: Path) -> None:
    names = [f"m{number}.jpg" for number in range(60)]
    rows = [{"file_path": name, "content": name.encode() * 9} for name in names]
    catalog = photos_of(tmp_path / "card", rows)
    moved = photos_of(tmp_path / "moved", [row | {"file_path": f"a/{row['file_path']}"} for row in rows])
    numbers = [[0.1, 0.8, 0.1]] * 60
    options = DeskOptions(shares=Shares(audit=0.5))
    for number, card in enumerate((catalog, moved)):
        with open_review(open_project(card, predicted(card, numbers)), tmp_path / "d.db", options) as desk:
            for at in range(20):
                (ask,) = desk.next(NextForm(person="Ada", count=1))
                form = {"person": "Ada", "ask": ask["ask"], "event": ask["event"], "verdict": "blank"}
                desk.decide([DecideForm(decision_id=f"decision-{number}-{at}", **form)])
            estimate = desk._chance.estimate()
            assert estimate is not None
            assert estimate.unseen.events == 40 - 20 * number
            assert estimate.table.accuracy.value == pytest.approx((20 + 20 * number) / 60)


# ---- photos


def test_photos_come_small_upright_and_are_kept(photos: Catalog, tmp_path: Path, client: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photos.root / "a" / "a1.jpg"
    Image.new("RGB", (400, 300), "green").save(turned, exif=exif)
    status, headers, content = client.ask("GET", "/picture/0?size=thumb")
    assert status == 200
    (tmp_path / "thumb.jpg").write_bytes(content)
    assert Image.open(tmp_path / "thumb.jpg").size == (240, 320)
    assert "immutable" in str(headers["cache-control"])
    assert client.ask("GET", "/picture/0?size=thumb", if_none_match=str(headers["etag"]))[0] == 304
    Image.new("RGB", (400, 300), "red").save(turned)  # another photo now: not the kept picture
    assert client.ask("GET", "/picture/0?size=thumb")[2] != content
    assert client.ask("GET", "/picture/0?size=huge")[0] == 400


@pytest.mark.parametrize(("row", "why"), [(4, "cannot be shown"), (5, "cannot be read"), (6, "a video")])
def test_a_photo_that_cannot_be_shown_says_why(refusing: Client, row: int, why: str) -> None:
    status, _, content = refusing.ask("GET", f"/picture/{row}")
    assert status == 422
    assert why in json.loads(content)["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/picture/99",
        "/picture/-1",
        "/picture/x",
        "/picture/..%2f..%2fetc%2fpasswd",
        "/static/../desk.py",
        "/static/%2e%2e/desk.py",
        "/nothing",
    ],
)
def test_nothing_else_is_shown(refusing: Client, path: str) -> None:
    status, _, content = refusing.ask("GET", path)
    assert status in (400, 404)
    assert b"Traceback" not in content
    assert b"import" not in content


def test_a_path_out_of_the_root_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.jpg")
    rows = pl.DataFrame({"media_id": ["x"], "file_path": ["../secret.jpg"]})
    try:
        catalog = Catalog.from_rows(rows, tmp_path / "root", "a table")
    except DataError:
        return
    with serving(catalog, tmp_path / "d.db") as client:
        assert client.ask("GET", "/picture/0")[0] == 422


def test_the_pictures_that_were_looked_at_longest_ago_make_room(tmp_path: Path) -> None:
    paths = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        pixels = np.random.default_rng(number).integers(0, 255, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        paths.append(path)
    one = len(PictureStore(tmp_path / "once").picture(paths[0], "thumb").content)
    store = PictureStore(tmp_path / "kept", most=3 * one)
    for path in paths:
        store.picture(path, "thumb")
    kept = list((tmp_path / "kept").glob("*/*.jpg"))
    assert 0 < sum(path.stat().st_size for path in kept) <= 3 * one
    store.close()


def test_people_are_unrecognisable_where_that_is_asked_for(photos: Catalog, tmp_path: Path) -> None:
    person = {"category": "person", "conf": 0.9, "x": 0.5, "y": 0.0, "width": 0.5, "height": 1.0}
    boxes = pl.Series("boxes", [[person], *[None] * 6], photos.table.schema["boxes"])
    catalog = photos.with_table(photos.table.with_columns(boxes))
    pictures = []
    for number, blur in enumerate((False, True)):
        with serving(catalog, tmp_path / f"{number}.db", options=DeskOptions(blur=blur)) as client:
            (tmp_path / f"{number}.jpg").write_bytes(client.ask("GET", "/picture/0?size=thumb")[2])
            assert client.get("/api/state")["blur"] is blur
        pictures.append(np.asarray(Image.open(tmp_path / f"{number}.jpg"), float))
    seen, hidden = (np.abs(np.diff(picture, axis=1)).mean(axis=(0, 2)) for picture in pictures)
    assert hidden[-100:].mean() < 0.5 * seen[-100:].mean()
    assert hidden[:100].mean() == pytest.approx(seen[:100].mean(), rel=0.1)


def test_a_picture_has_no_metadata() -> None:
    assert b"Exif" not in encode(np.zeros((8, 8, 3), np.uint8))


# ---- who is let in


def test_without_the_token_nothing_is_told(refusing: Client) -> None:
    for path in ("/api/state", "/picture/0", "/static/review.js", "/api/history"):
        status, _, content = refusing.ask("GET", path, authorization=None)
        assert status == 401
        assert b"a1.jpg" not in content
    assert refusing.ask("GET", "/api/state", authorization="Bearer wrong")[0] == 401
    status, _, content = refusing.ask("GET", "/", authorization=None)
    assert status == 401
    assert b"needs its link" in content


def test_the_link_gives_a_cookie_that_opens_the_page(client: Client) -> None:
    status, headers, content = client.ask("GET", f"/?token={TOKEN}", authorization=None)
    assert status == 200
    cookie = str(headers["set-cookie"])
    assert all(word in cookie.lower() for word in ("httponly", "samesite=strict"))
    assert TOKEN.encode() not in content
    shown = cookie.partition(";")[0]
    status, headers, content = client.ask("GET", "/", authorization=None, cookie=shown)
    assert status == 200
    assert b"<script" in content
    assert "default-src 'self'" in str(headers["content-security-policy"])
    assert "unsafe" not in str(headers["content-security-policy"])
    assert str(headers["x-frame-options"]) == "DENY"
    body = {"person": "Ada"}
    own = f"http://127.0.0.1:{client.port}"
    assert client.ask("POST", "/api/next", body, authorization=None, cookie=shown, origin=own)[0] == 200
    assert client.ask("POST", "/api/next", body, authorization=None, cookie=shown)[0] == 403
    assert client.ask("GET", "/?token=wrong", authorization=None)[0] == 401
    others = 'settings={"a": [1, 2]}; a b=c; [odd'  # of other programs on this machine: ports share cookies
    assert client.ask("GET", "/", authorization=None, cookie=f"{others}; {shown}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:80"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"x_trapline_review": None},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_what_a_page_elsewhere_has_the_browser_send_is_refused(
    refusing: Client, headers: dict[str, Any]
) -> None:
    status, _, content = refusing.ask("POST", "/api/next", {"person": "Ada"}, **headers)
    assert status == 403
    assert json.loads(content)["code"] == "forbidden"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b'{"person": 3}', b'{"person": "\\ud800"}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_body_that_is_no_form_is_refused_in_json(refusing: Client, body: bytes) -> None:
    status, _, content = refusing.ask("POST", "/api/next", body)
    assert status in (400, 422), content
    assert "Traceback" not in json.loads(content)["error"]


def test_a_body_without_end_is_cut_off(refusing: Client) -> None:
    big = b'{"person": "' + b"a" * (MOST_BODY + 1) + b'"}'
    status, _, content = refusing.ask("POST", "/api/next", big)
    assert status == 413, content


def test_a_disk_that_is_full_loses_no_decision(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]

    def full(*_: object) -> None:
        error = DataError("d.db cannot be used: the disk is full.")
        raise error from OSError(28, "No space left on device")

    monkeypatch.setattr(DecisionLog, "add_all", full)
    status, headers, content = client.ask("POST", "/api/decide", answer(ask, "decision-1"))
    assert status == 503  # the page keeps it and sends it again
    assert headers["retry-after"] is not None
    assert "the disk is full" in json.loads(content)["error"]


# ---- one file, one server, its photos


def test_what_came_of_learning_is_told_at_the_end(
    photos: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide_one(desk: Desk, *_: Any) -> None:
        (ask,) = desk.next(NextForm(person="Ada", stream="all"))
        desk.decide([DecideForm(**answer(ask, "decision-1"))])

    monkeypatch.setattr("trapline.review.serve_review", decide_one)
    crashing = [sys.executable, "-c", "import sys; sys.exit(3)"]
    monkeypatch.setattr("trapline.review.teaching._command", lambda: crashing)
    with pytest.raises(
        TraplineError, match=r"kept in .*d.db, and not all .*exit status 3.*There is no model"
    ):
        api.review(photos, None, tmp_path / "d.db", train=True)
    line = '{"ended": true, "waiting": "1 of the first 20 events are decided"}'
    waiting = [sys.executable, "-uc", f"import sys\nfor _ in sys.stdin: print({line!r})"]
    monkeypatch.setattr("trapline.review.teaching._command", lambda: waiting)
    monkeypatch.setattr("trapline.review.serve_review", lambda *_: None)
    told: list[str] = []
    assert api.review(photos, None, tmp_path / "d.db", train=True, say=told.append) is None
    assert "There is no model yet: 1 of the first 20 events are decided." in told


def test_a_second_server_of_the_same_decisions_is_refused_and_says_where_the_first_is(
    photos: Catalog, tmp_path: Path
) -> None:
    with open_review(open_project(photos), tmp_path / "d.db") as desk:
        desk.served("http://127.0.0.1:4711/?token=secret")
        with (
            pytest.raises(UsageError, match="4711") as refused,
            open_review(open_project(photos), tmp_path / "d.db"),
        ):
            pass
        assert "secret" not in str(refused.value)
    with open_review(open_project(photos), tmp_path / "d.db"):
        pass


@pytest.mark.parametrize("there", [b"", b"torn", b"http://127.0.0.1:99999/ (process 1)", b"\xff" * 900])
def test_a_server_takes_the_port_of_before_if_that_is_free(
    photos: Catalog, tmp_path: Path, there: bytes
) -> None:
    (tmp_path / "d.review").mkdir()
    (tmp_path / "d.review" / "running").write_bytes(there)  # of a server that was killed
    with open_review(open_project(photos), tmp_path / "d.db") as desk:
        assert desk.port_before == 0
        desk.served("http://[::1]:4711/?token=secret")
        review = desk.state("Ada")["review"]
    with open_review(open_project(photos), tmp_path / "d.db") as desk, bind("127.0.0.1", 0) as taken:
        assert desk.port_before == 4711
        assert desk.state("Ada")["review"] == review
        port = taken.getsockname()[1]
        with bind_again("127.0.0.1", port) as another:
            assert another.getsockname()[1] not in (0, port)


def _decide_all(catalog: Catalog, path: Path) -> None:
    with serving(catalog, path) as client:
        for number, ask in enumerate(client.post("/api/next", {"person": "Ada", "count": 9})["asks"]):
            client.post("/api/decide", answer(ask, f"decision-{number}"))


def test_decisions_are_found_again_where_the_photos_have_moved(photos: Catalog, tmp_path: Path) -> None:
    with serving(photos, tmp_path / "d.db") as client:
        event, alone, *_ = client.post("/api/next", {"person": "Ada", "count": 3})["asks"]
        client.post("/api/decide", answer(event, "decision-0", frames=[0, 2]))
        client.post("/api/decide", answer(alone, "decision-1"))
        client.post("/api/decide", answer(alone, "decision-2", "cannot tell", person="Bea"))
    photos.root.rename(tmp_path / "elsewhere")
    names = [f"x/{name}" for name in photos.table["file_path"]]
    (tmp_path / "new").mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "new" / "x")
    moved = Catalog.from_rows(
        photos.table.with_columns(
            file_path=pl.Series(names),
            media_id=pl.Series([f"new {n}" for n in names]),
            event_id=pl.Series(["Z", "Z", "Z", None, None, None, None]),
        ),
        tmp_path / "new",
        "moved",
    )
    with serving(moved, tmp_path / "d.db") as client:
        assert client.get("/api/state")["progress"]["decided"] == 1
        assert client.get("/api/event?event=event:Z&person=Ada")["before"]["frames"] == [0, 2]
        past = client.get("/api/history?person=Ada")["decisions"]
        names = [(one["event"], one["frames"]) for one in past]
        assert names == [("media:new x/b/b1.jpg", None), ("event:Z", [0, 2])]
        (differing,) = client.get("/api/disagreements")["disagreements"]
        assert differing["event"] == "media:new x/b/b1.jpg"


def test_decisions_of_other_photos_are_refused(photos: Catalog, tmp_path: Path) -> None:
    _decide_all(photos, tmp_path / "d.db")
    other = tmp_path / "other"
    other.mkdir()
    for number in range(2):
        Image.new("RGB", (50, 40), (number, 0, 0)).save(other / f"a{number + 1}.jpg")
    rows = pl.DataFrame({"media_id": ["a1", "a2"], "file_path": ["a/a1.jpg", "a/a2.jpg"]})
    (other / "a").mkdir()
    for number in range(2):
        (other / f"a{number + 1}.jpg").rename(other / "a" / f"a{number + 1}.jpg")
    with (
        pytest.raises(UsageError, match="none of them"),
        open_review(open_project(Catalog.from_rows(rows, other, "another card")), tmp_path / "d.db"),
    ):
        pass


def test_what_came_from_elsewhere_meanwhile_counts(photos: Catalog, tmp_path: Path) -> None:
    with serving(photos, tmp_path / "d.db") as client:
        (ask,) = client.post("/api/next", {"person": "Ada"})["asks"]
        client.post("/api/decide", answer(ask, "decision-1"))
        with DecisionLog.open(tmp_path / "d.db") as other:
            other.take_back("decision-1", "Ada")
        assert client.get("/api/state")["progress"]["decided"] == 0
        labelled = photos.table.with_columns(labels=pl.lit(["fox"])).head(4)
        with DecisionLog.open(tmp_path / "d.db") as other:
            take_decisions(other, photos.with_table(labelled), "Bea", catalog=photos)
        assert client.get("/api/state")["progress"]["decided"] == 2


def test_a_folder_that_is_no_decisions_is_refused(photos: Catalog, tmp_path: Path) -> None:
    (tmp_path / "d.db").write_text("something else")
    with pytest.raises(DataError), open_review(open_project(photos), tmp_path / "d.db"):
        pass


@pytest.mark.parametrize("token", ["a&b", "a#b", "a+b", "%41", 'a;b"c'])
def test_the_link_leads_in_whatever_the_token(token: str) -> None:
    shown = urlsplit(link("127.0.0.1", 8000, as_token(token)))
    assert (shown.fragment, parse_qs(shown.query)) == ("", {"token": [token]})


@pytest.mark.parametrize("token", ["a b", "ü", "a\n"])
def test_what_no_browser_would_send_is_no_token(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        as_token(token)


def test_a_stream_that_will_never_have_anything_to_go_by_is_refused_at_the_start(
    photos: Catalog, tmp_path: Path
) -> None:
    for stream in ("learn", "table", "errors", "start"):
        with (
            pytest.raises(UsageError, match=f"'{stream}' has nothing to go by"),
            open_review(open_project(photos), tmp_path / "d.db", DeskOptions(stream=stream)),
        ):
            pass


def test_until_a_stream_has_something_to_go_by_what_fits_is_asked(
    photos: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Teacher, "start", lambda self: None)  # no photo is read yet
    options = DeskOptions(stream="learn")
    with open_review(open_project(photos), tmp_path / "d.db", options, train=True) as desk:
        assert desk.stream == "random"
        assert desk.next(NextForm(person="Ada", count=1, holding=[]))


def test_beside_an_event_stand_the_labelled_ones_that_look_most_like_it(
    photos: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = pl.Series("labels", [["fox"]] * 3 + [None, ["roe deer"], ["blank"], None], pl.List(pl.String))
    labelled = photos.with_table(photos.table.with_columns(labels))
    project = open_project(labelled, labels=LABELS)
    points = np.full((len(project.events), 2), np.nan, np.float32)
    index = dict(zip(photos.table["media_id"], project.events.of_row.tolist(), strict=True))
    asked, fox, deer, unread, film = (index[media] for media in ("b1", "a1", "broken", "gone", "film"))
    key, last = project.events.keys[asked], project.events.keys[film]
    points[asked], points[fox], points[deer], points[film] = (1, 0), (0, 3), (2, 2), (1, 0)
    monkeypatch.setattr(Teacher, "start", lambda self: None)
    with open_review(project, tmp_path / "d.db", train=True) as desk:
        assert desk.alike(key) == []  # nothing is read yet
        monkeypatch.setattr(Teacher, "points", lambda self: points)
        first, second = desk.alike(key)
        assert (first["labels"], first["location"], first["cosine"]) == (["roe deer"], "b", 0.707)
        assert (second["location"], second["labels"], second["cosine"]) == ("a", ["fox"], 0.0)
        assert first["picture"] == f"/picture/{project.events.rows_of(deer)[0]}"
        form = DecideForm(decision_id="decided1", event=last, person="Ada", verdict="blank", labels=[])
        desk.decide([form])
        alike = [project.events.index(one["event"]) for one in desk.alike(key)]
        assert alike == [film, deer, fox]
        assert unread not in alike
    with open_review(project, tmp_path / "e.db") as desk:
        assert desk.alike(key) == []


def test_what_an_earlier_day_has_taught_is_filled_in_from_the_first_question_on(
    photos: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = predicted(photos, [[0.9, *[0.1 / (len(LABELS) - 1)] * (len(LABELS) - 1)]] * len(photos))
    monkeypatch.setattr(Teacher, "start", lambda self: None)
    monkeypatch.setattr(Teacher, "suggestions", lambda self: answers)
    with open_review(open_project(photos), tmp_path / "d.db", train=True) as desk:
        (ask,) = desk.next(NextForm(person="Ada", count=1, holding=[]))
    assert ask["suggestion"]["observer"] == f"model:{answers.model}"
