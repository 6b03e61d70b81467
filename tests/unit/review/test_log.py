"""What persons decide is kept whole, once and for good; what counts of it follows one rule."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import DataError, UsageError
from trapline.review import DecidedMedia, Decision, DecisionLog, Draw, Sighting, Suggestion, TeachingPoint
from trapline.review.database import Database, is_on_network
from trapline.review.standing import CURRENT

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
EVENTS = {"event:1": ("a", "b", "c"), "event:2": ("d",), "media:e": ("e",)}


def media(name: str, content: str | None = "") -> DecidedMedia:
    content = f"hash of {name}" if content == "" else content
    return DecidedMedia(name, f"card/{name}.jpg", None if content is None else 1000, content)


def decision(
    number: int = 1,
    person: str = "Anna",
    event: str = "event:1",
    names: tuple[str, ...] | None = None,
    label: str = "fox",
    minutes: float | None = None,
    **others: object,
) -> Decision:
    """A decision `minutes` after the start, of the whole event unless `names` are named."""
    seen = label not in ("blank", "cannot tell")
    made = Decision(
        decision_id=f"{number}",
        person=person,
        decided_at=START + timedelta(minutes=number if minutes is None else minutes),
        event=event,
        media=tuple(media(name) for name in names or EVENTS[event]),
        of_event=names is None,
        verdict="seen" if seen else label,  # type: ignore[arg-type]
        labels=(Sighting(label),) if seen else (),
    )
    return replace(made, **others)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    with DecisionLog.create(tmp_path / "decisions.db") as log:
        yield log


def words(log: DecisionLog) -> dict[tuple[str, str], str]:
    """(person, media) → what counts."""
    rows = log.current().select("person", "media_id", "verdict", "labels").iter_rows()
    return {
        (person, name): labels[0]["label"] if labels else verdict for person, name, verdict, labels in rows
    }


WHOLE = decision(
    label="red fox",
    labels=(Sighting("red fox", 2), Sighting("roe deer", None)),
    sure=False,
    flagged=True,
    remark='at the "den"\nin the evening',
    stream="learn",
    asked="calibration",
    suggestion=Suggestion("model:abc", ("roe deer", "red fox"), 0.625),
    media=(media("a"), media("ü, b"), media("c", None)),
)


def test_a_decision_is_read_as_it_was_kept(log: DecisionLog) -> None:
    blank = decision(2, label="blank", suggestion=Suggestion("detector", ()))
    untold = decision(3, "Béla", label="cannot tell", decided_at=datetime.now(UTC))
    assert log.add_all([WHOLE, blank, untold]) == 3
    assert log.decisions() == [WHOLE, blank, untold]
    assert log.decisions(after=2) == [untold]
    assert [past.decision for past in log.history(count=2)] == [untold, blank]
    assert [past.decision for past in log.history("Anna", before=2)] == [WHOLE]
    with DecisionLog.open(log.path, read_only=True) as again:
        assert again.decisions() == log.decisions()
        with pytest.raises(UsageError, match="read only"):
            again.add(WHOLE)


def test_the_tables_have_what_the_decisions_have(log: DecisionLog) -> None:
    log.add_all([WHOLE, decision(2, "Ben", names=("a",), label="blank")])
    log.add_all([decision(3, "Ben", names=("a",), label="cannot tell")])
    log.take_back("3", "Ben")
    current = log.current()
    assert list(current.schema.items()) == list(pl.Schema(CURRENT).items())
    assert current.select("person", "media_id", "stands", "media_count").rows() == [
        ("Anna", "a", False, 3),
        ("Anna", "ü, b", True, 3),
        ("Anna", "c", True, 3),
        ("Ben", "a", True, 1),
    ]
    first = current.row(1, named=True)
    assert first["labels"] == [
        {"label": "red fox", "count": 2, "life_stage": None, "sex": None, "behaviour": None},
        {"label": "roe deer", "count": None, "life_stage": None, "sex": None, "behaviour": None},
    ]
    assert first["suggested"] == ["roe deer", "red fox"]
    assert first["file_path"] == "card/ü, b.jpg"
    table = log.table()
    assert table.select("person", "label", "count", "taken_back", "counts").rows() == [
        ("Anna", "red fox", 2, False, True),
        ("Anna", "roe deer", None, False, True),
        ("Ben", "blank", None, False, True),
        ("Ben", None, None, True, False),
    ]
    assert table["media"].to_list() == [["a", "ü, b", "c"]] * 2 + [["a"]] * 2
    assert log.people().rows() == [
        ("Anna", 1, WHOLE.decided_at, WHOLE.decided_at),
        ("Ben", 1, START + timedelta(minutes=2), START + timedelta(minutes=3)),
    ]
    assert log.current(["media:e"]).schema == log.current().schema


def test_a_decision_sent_twice_is_kept_once(log: DecisionLog) -> None:
    assert log.add(WHOLE)
    later = replace(WHOLE, decided_at=START + timedelta(days=1), suggestion=None)
    assert not log.add(later)
    assert log.decisions() == [WHOLE]
    with pytest.raises(DataError, match="says something else"):
        log.add(replace(WHOLE, labels=(Sighting("wolf"),)))
    with pytest.raises(DataError, match="says something else"):
        log.add_all([decision(7), replace(WHOLE, person="Ben")])
    assert len(log) == 1  # all or none


NONSENSE = {
    "no person": {"person": ""},
    "two lines": {"person": "Anna\nBen"},
    "spaces around": {"person": "Anna "},
    "no id": {"decision_id": " "},
    "no zone": {"decided_at": datetime(2026, 1, 1)},
    "to come": {"decided_at": datetime.now(UTC) + timedelta(days=3)},
    "no media": {"media": ()},
    "a media twice": {"media": (media("a"), media("a"))},
    "seen without a label": {"labels": ()},
    "blank with a label": {"verdict": "blank"},
    "blank as a label": {"labels": (Sighting("Blank"),)},
    "a label twice": {"labels": (Sighting("fox"), Sighting("fox", 2))},
    "an empty label": {"labels": (Sighting(" "),)},
    "none of a label": {"labels": (Sighting("fox", 0),)},
    "more than fit": {"labels": (Sighting("fox", 2**63),)},
    "no such verdict": {"verdict": "perhaps"},
    "no such reason": {"asked": "bored"},
    "no Unicode": {"remark": "\ud800"},
    "takes back nothing": {"takes_back": "17", "media": (), "labels": ()},
    "takes back and says more": {"takes_back": "17"},
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused_and_nothing_is_kept(what: str, log: DecisionLog) -> None:
    with pytest.raises(UsageError):
        log.add_all([decision(5), replace(decision(), **NONSENSE[what])])
    assert len(log) == 0


def test_only_who_decided_takes_it_back(log: DecisionLog) -> None:
    log.add(decision(1))
    with pytest.raises(UsageError, match="is Anna's"):
        log.take_back("1", "Ben")
    with pytest.raises(UsageError, match="is Anna's"):
        log.add(decision(2, "Ben", takes_back="1", media=(), labels=(), verdict="cannot tell"))
    with pytest.raises(UsageError, match="no decision 9"):
        log.take_back("9", "Anna")
    assert not log.redo("1", "Anna")


def test_a_clock_that_is_put_back_lets_no_older_decision_win(log: DecisionLog) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=20)
    log.add(decision(1, label="fox", decided_at=ahead))
    log.add(decision(2, label="deer", decided_at=log.now()))
    assert set(words(log).values()) == {"deer"}


@pytest.mark.parametrize(
    ("contents", "counting"),
    [
        (("x", "x"), ["blank"]),
        ((None, "x"), ["blank"]),  # it could not be read at first
        (("x", None), ["blank"]),
        ((None, None), ["blank"]),
        (("x", "y"), ["fox", "blank"]),  # another photo has the name now
        (("x", "y", None), ["fox", "blank", "deer"]),
    ],
)
def test_a_media_is_its_name_and_its_content(
    contents: tuple[str | None, ...], counting: list[str], log: DecisionLog
) -> None:
    for index, content in enumerate(contents):
        label = ("fox", "blank", "deer")[index]
        log.add(decision(index + 1, event="media:e", label=label, media=(media("e", content),)))
    labels = [labels[0]["label"] if labels else verdict for verdict, labels in said(log.current())]
    assert labels == counting
    assert log.current(["media:e"]).equals(log.current())


def said(table: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, object]]]]:
    yield from table.select("verdict", "labels").iter_rows()


PEOPLE = ("Anna", "Ben", "Cleo")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("decide"),
            st.sampled_from(PEOPLE),
            st.sampled_from(sorted(EVENTS)),
            st.sampled_from((None, 0, 1)),  # the whole, or from which frame on
            st.sampled_from(("fox", "deer", "blank", "cannot tell")),
            st.integers(0, 5),
        ),
        st.tuples(st.sampled_from(("take back", "redo")), st.integers(0, 12)),
    ),
    max_size=14,
)


class Naive:
    """What counts, by going through all decisions again each time."""

    def __init__(self) -> None:
        self.made: list[Decision] = []
        self.taken: dict[str, bool] = {}

    def words(self) -> tuple[dict[tuple[str, str], str], set[tuple[str, str]]]:
        counting: dict[tuple[str, str], str] = {}
        last: dict[str, tuple[str, str]] = {}
        for one in sorted(self.made, key=lambda one: (one.decided_at, int(one.decision_id))):
            if self.taken[one.decision_id]:
                continue
            for each in one.media:
                word = one.labels[0].label if one.labels else one.verdict
                counting[one.person, each.media_id] = word
                last[each.media_id] = (one.person, each.media_id)
        return counting, set(last.values())


def play(log: DecisionLog, naive: Naive, step: tuple[object, ...]) -> None:
    """One step, in both."""
    if step[0] == "decide":
        _, person, event, first, label, minutes = step
        names = None if first is None else EVENTS[event][first:] or EVENTS[event]  # type: ignore[index, misc]
        made = decision(len(naive.made), person, event, names, label, minutes)  # type: ignore[arg-type]
        naive.made.append(made)
        naive.taken[made.decision_id] = False
        assert log.add(made)
    elif naive.made:
        one = naive.made[step[1] % len(naive.made)]  # type: ignore[operator]
        back = step[0] == "take back"
        turn = log.take_back if back else log.redo
        assert turn(one.decision_id, one.person) == (naive.taken[one.decision_id] != back)
        naive.taken[one.decision_id] = back


@settings(max_examples=25)
@given(steps=STEPS)
def test_what_counts_is_what_a_naive_reader_of_the_whole_log_says(
    steps: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    naive = Naive()
    with DecisionLog.create(tmp_path_factory.mktemp("log") / "d.db") as log:
        for step in steps:
            play(log, naive, step)
        counting, standing = naive.words()
        assert words(log) == counting
        current = log.current()
        assert set(current.filter("stands").select("person", "media_id").iter_rows()) == standing
        for event in EVENTS:
            part = current.filter(pl.col("media_id").is_in(EVENTS[event]))
            assert log.current([event]).equals(part)
        assert {past.decision.decision_id: past.taken_back for past in log.history(count=99)} == naive.taken
        assert len(log) >= len(naive.made)


# --- nothing is overwritten

REST = (
    ", person, decided_at, event, of_event, verdict, sure, flagged, remark, stream, asked, suggested_by,"
    " suggested_probability, takes_back FROM decisions"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET verdict = 'blank'",
        "DELETE FROM decisions",
        "DELETE FROM sightings",
        "UPDATE decided_media SET media = 1",
        "UPDATE media SET file_path = 'x'",
        "DELETE FROM draws",
        "INSERT INTO sightings VALUES (1, 9, 'wolf', 1, NULL, NULL, NULL)",
        "INSERT OR REPLACE INTO decisions SELECT 1, 'x' {REST}",
        "INSERT OR REPLACE INTO decisions SELECT 9, decision_id {REST}",
    ],
)
def test_the_file_itself_refuses_to_forget(statement: str, log: DecisionLog) -> None:
    log.add_all([WHOLE, decision(2, "Ben")])
    audit = log.open_audit({})
    log.draw([Draw(audit, "event:1", "audit", "all", 0, 0.5, START)])
    before = log.decisions()
    with sqlite3.connect(log.path) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement.replace("{REST}", REST))
    assert log.decisions() == before


def test_many_threads_and_two_processes_write_at_once(log: DecisionLog) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_log import DecisionLog, decision\n"
        "log = DecisionLog.open(sys.argv[2])\n"
        "for number in range(20): assert log.add(decision(1000 + number, 'Ben'))\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(log.path)]
    with subprocess.Popen(command) as process:
        threads = [
            threading.Thread(target=lambda first=first: [log.add(decision(first + n)) for n in range(10)])
            for first in range(0, 40, 10)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            log.current()  # and somebody reads
        assert process.wait() == 0
    numbers = sorted(int(one.decision_id) for one in log.decisions())
    assert numbers == [*range(40), *range(1000, 1020)]


# --- files that are something else


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")


def newer(path: Path) -> None:
    DecisionLog.create(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")


def damaged(path: Path) -> None:
    with DecisionLog.create(path) as log:
        log.add_all([decision(number) for number in range(200)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def truncated(path: Path) -> None:
    with DecisionLog.create(path) as log:
        log.add_all([decision(number) for number in range(200)])
    path.write_bytes(path.read_bytes()[:-8192])


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "folder": (Path.mkdir, "it is a folder"),
    "text": (lambda path: path.write_text("label\nfox\n"), "it is text"),
    "empty": (Path.touch, "it is an empty file"),
    "photo": (lambda path: path.write_bytes(b"\xff\xd8\xff" + b"0" * 99), "it is a picture"),
    "foreign": (foreign, "of another program"),
    "newer": (newer, "newer Trapline"),
    "damaged": (damaged, r"damaged\. Go back to a copy"),
    "truncated": (truncated, r"damaged\. Go back to a copy"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("read_only", [True, False])
def test_another_file_is_refused_by_what_it_is_and_left_alone(
    what: str, read_only: bool, tmp_path: Path
) -> None:
    path = tmp_path / "decisions.db"
    make, message = WRONG[what]
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with (
        pytest.raises(DataError, match=message),
        DecisionLog.open(path, read_only=read_only) as log,
    ):
        log.table()
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_log_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "decisions.db"
    path.touch()  # whoever made it was killed at once
    DecisionLog.open(path, create=True).close()
    with pytest.raises(UsageError, match="exists"):
        DecisionLog.create(path)
    with pytest.raises(DataError, match="its folder is there"):
        DecisionLog.create(tmp_path / "no folder" / "decisions.db")
    foreign(tmp_path / "bookmarks.db")
    with pytest.raises(DataError, match="another program"):
        DecisionLog.open(tmp_path / "bookmarks.db", create=True)
    with DecisionLog.open(path) as log:
        log.close()
        with pytest.raises(UsageError, match="closed"):
            log.table()


def test_a_full_disk_keeps_all_or_nothing_and_says_so(log: DecisionLog) -> None:
    log.add(decision(1))
    writer = log._database._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DataError, match="Make room on the disk"):
        log.add_all([decision(number) for number in range(2, 400)])
    assert len(log) == 1
    writer.execute("PRAGMA max_page_count = 1000000")
    assert log.add_all([decision(number) for number in range(2, 400)]) == 398


def test_a_file_that_was_replaced_meanwhile_takes_nothing_and_loses_nothing(log: DecisionLog) -> None:
    log.add(decision(1))
    path, aside = log.path, log.path.with_name("aside.db")
    path.rename(aside)
    for other in (b"", aside.read_bytes()):  # gone, and a copy in its place
        if other:
            path.write_bytes(other)
        with pytest.raises(DataError, match="removed, or replaced") as refused:
            log.add(decision(2))
        assert isinstance(refused.value.__cause__, OSError)  # to be tried again: the page keeps what it sends
        with pytest.raises(DataError, match="removed, or replaced"):
            log.current()
    aside.replace(path)
    assert log.add(decision(2))
    assert len(log) == 2


READER = (
    "import sys; from trapline.review import DecisionLog; from trapline.errors import DataError\n"
    "try: print(len(DecisionLog.open(sys.argv[1], read_only=len(sys.argv) > 2).table()))\n"
    "except DataError as error: print(error)\n"
)


def test_a_disk_that_one_can_only_read(tmp_path: Path, ordinary: list[str]) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    with DecisionLog.create(folder / "d.db") as log:
        log.add(decision(1))
    left = tmp_path / "left"
    left.mkdir()
    with DecisionLog.create(left / "d.db") as log:
        log.add(decision(1))
        for name in ("d.db", "d.db-wal"):  # as if copied while somebody decides
            (left / name).with_suffix(".copy").write_bytes((left / name).read_bytes())
    # the copies stand under the true names, in a folder of their own
    whole = tmp_path / "whole"
    whole.mkdir()
    with DecisionLog.create(whole / "d.db") as log:
        log.add(decision(1))
        (left / "d.db").write_bytes((whole / "d.db").read_bytes())
        (left / "d.db-wal").write_bytes((whole / "d.db-wal").read_bytes())
    for each in (folder, left):
        for file in each.iterdir():
            file.chmod(0o444)
        each.chmod(0o555)

    def run(*arguments: str) -> str:
        command = [*ordinary, sys.executable, "-c", READER, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert run(str(folder / "d.db"), "ro").strip() == "1"
    assert "Check" in run(str(folder / "d.db"))
    assert "Copy both files" in run(str(left / "d.db"), "ro")
    for each in (folder, left):
        each.chmod(0o755)


def test_a_network_disk_is_written_without_a_log_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    folder = tmp_path / "with a space"
    folder.mkdir()
    named = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {named} nfs4 rw 0 0\n")
    assert is_on_network(folder / "d.db", mounts)
    assert not is_on_network(tmp_path / "d.db", mounts)
    assert not is_on_network(tmp_path / "d.db", tmp_path / "no such table")
    path = folder / "d.db"
    with DecisionLog.create(path) as log:
        log.add(decision(1))
    monkeypatch.setattr("trapline.review.database.is_on_network", lambda path: is_on_network(path, mounts))
    with DecisionLog.open(path) as log, DecisionLog.open(path) as other:
        log.add(decision(2))
        other.add(decision(3))
        assert not (folder / "d.db-wal").exists()
        assert len(log) == 3
    database = Database(path)
    with database.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (3,)


# --- leases, draws, the curve


def test_an_event_is_lent_to_one_person(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert log.lend(["event:1", "event:2"], "Anna", 60) == ["event:1", "event:2"]
    assert log.lend(["event:2", "media:e"], "Ben", 60) == ["media:e"]
    assert log.lent() == {"event:1": "Anna", "event:2": "Anna", "media:e": "Ben"}
    assert log.lent(to_others_than="Anna") == {"media:e": "Ben"}
    clock.forward(50)
    log.add(decision(1, "Anna", "event:1"))  # what is decided is given back, and the rest lasts longer
    clock.forward(50)
    assert log.lent() == {"event:2": "Anna"}
    log.give_back(["event:2"], "Ben")
    assert log.lent() == {"event:2": "Anna"}
    log.give_back(["event:2"], "Anna")
    assert log.lent() == {}
    log.lend(["event:2"], "Anna", 60)
    clock.forward(-100_000)  # a clock put back keeps no lease for a day
    assert log.lend(["event:2"], "Ben", 60) == ["event:2"]
    for wrong in ({"seconds": 0}, {"seconds": float("nan")}, {"person": " "}):
        with pytest.raises(UsageError):
            log.lend(["event:2"], **{"person": "Anna", **wrong})  # type: ignore[arg-type]


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = self
        self.ahead = timedelta()

        class Moment(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + clock.ahead  # type: ignore[arg-type]

        monkeypatch.setattr("trapline.review.log.datetime", Moment)

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def test_what_was_drawn_is_kept_with_its_chance(log: DecisionLog) -> None:
    audit = log.open_audit({"seed": 7, "strata": {"fox": 30}})
    draws = [
        Draw(audit, "event:2", "audit", "fox", 0, 0.1, START),
        Draw(audit, "event:1", "calibration", "fox", 1, 0.2, START),
    ]
    assert log.draw(draws) == 2
    assert log.draw(draws) == 0
    with pytest.raises(DataError, match="otherwise"):  # an event has one role
        log.draw([replace(draws[0], asked="calibration")])
    with pytest.raises(DataError, match="unknown"):
        log.draw([replace(draws[0], audit=9)])
    assert log.drawn(audit).select("event", "asked", "chance", "open").rows() == [
        ("event:2", "audit", 0.1, True),
        ("event:1", "calibration", 0.2, True),
    ]
    assert log.close_audit(audit)
    assert not log.close_audit(audit)
    assert not log.drawn()["open"].any()
    with pytest.raises(DataError, match="closed"):
        log.draw([replace(draws[0], event="media:e")])
    with pytest.raises(UsageError, match="no audit 9"):
        log.close_audit(9)
    assert log.audits().select("audit", "facts").rows() == [(1, '{"seed": 7, "strata": {"fox": 30}}')]


def test_the_curve_and_the_facts_are_kept(log: DecisionLog) -> None:
    points = [TeachingPoint(START, 0, 0), TeachingPoint(START, 1, 60, 0.8, 0.7, 0.9, 0.625)]
    for point in points:
        log.add_point(point)
    log.keep_fact("labels", ["fox"])
    log.keep_fact("labels", ["fox", "wolf"])
    with DecisionLog.open(log.path) as again:
        assert again.points() == points
        assert again.facts() == {"labels": ["fox", "wolf"]}
