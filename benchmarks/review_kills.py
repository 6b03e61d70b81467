"""Kill those who decide at random moments, again and again; what was acknowledged must be there, once.

First two processes decide through the log as fast as they can, as two persons, and take back every fifth
decision; both are killed (SIGKILL) at a random moment, often one before the other, in some rounds while they
make the file. Then two persons decide through the HTTP of a real `trapline review`, and the server is killed.
Whoever is killed, or has lost its server, begins again with what it got no answer for, as the page does.
After every kill the file is checked: every decision that was acknowledged is there, whole and once; what was
not acknowledged is there whole or not at all; SQLite's own check says `ok`.

usage: python benchmarks/review_kills.py PHOTOS [--kills 200] [--server-kills 50]
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trapline.review import DecidedMedia, Decision, DecisionLog, Sighting, Suggestion

PERSONS = ("Anna", "Ben")
START = datetime(2026, 5, 1, tzinfo=UTC)
TOKEN = "only-for-this-benchmark"


@dataclass
class Tally:
    """What happened in one of the two parts."""

    what: str
    kills: int = 0
    acknowledged: int = 0
    in_flight: int = 0
    making: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    checks: Counter[str] = field(default_factory=Counter)

    def row(self) -> str:
        """For the table of results."""
        counts = [self.kills, self.acknowledged, self.in_flight, self.lost, self.doubled, self.torn]
        return f"| {self.what} | {' | '.join(f'{count:,}' for count in counts)} | {dict(self.checks)} |"

    @property
    def holds(self) -> bool:
        """Nothing is lost, doubled or torn, and every check says ok."""
        return not (self.lost or self.doubled or self.torn) and set(self.checks) == {"ok"}


def made(person: str, number: int) -> Decision:
    """The decision that a person makes as her `number`th: always the same."""
    event = number % 500
    media = tuple(
        DecidedMedia(f"{event}-{one}", f"card/{event}-{one}.jpg", 10**6, f"{event:032x}") for one in "ab"
    )
    blank = number % 3 == 0
    return Decision(
        decision_id=f"{person}-{number}",
        person=person,
        decided_at=START + timedelta(milliseconds=number),
        event=f"event:{event}",
        media=media,
        of_event=True,
        verdict="blank" if blank else "seen",
        labels=() if blank else (Sighting("fox", 1 + number % 9), Sighting("roe deer")),
        stream="learn",
        suggestion=Suggestion("model:abc", ("fox",), 0.75),
    )


def decide(path: Path, person: str, first: int) -> None:
    """What a process does until it is killed; a line says what it knows to be kept."""
    print("ready", flush=True)
    with DecisionLog.open(path, create=True) as log:
        for number in itertools.count(first):
            log.add(made(person, number))
            if number % 5 == 4:
                log.take_back(f"{person}-{number - 2}", person)
            print(number, flush=True)


class Decider:
    """A process that decides, and the last number that it acknowledged."""

    def __init__(self, path: Path, person: str, first: int) -> None:
        command = [sys.executable, __file__, "--decide", str(path), person, str(first)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.person, self.last = person, first - 1
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        if self.lines.readline() != "ready\n":
            raise SystemExit(f"the process of {person} did not start")
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.lines:
            if line.endswith("\n"):  # the last one may be cut
                self.last = int(line)

    def kill(self) -> None:
        """End it at once; whatever it had acknowledged is read."""
        self.process.send_signal(signal.SIGKILL)
        if self.process.wait() != -signal.SIGKILL:
            raise SystemExit(f"the process of {self.person} ended by itself: {self.process.returncode}")
        self.reader.join()


def kill_deciders(path: Path, last: dict[str, int], chance: random.Random, tally: Tally, most: int) -> None:
    """Let two decide, kill both, one often before the other."""
    making = not path.exists() or chance.random() < 0.1
    deciders = [Decider(path, person, last[person] + 1) for person in PERSONS]
    time.sleep(chance.uniform(0, 0.03 if making else 0.6))
    chance.shuffle(deciders)
    for index, one in enumerate(deciders):
        if index < most:
            tally.kills += 1
            tally.making += one.last < 0
        one.kill()
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 0.2))
    for one in deciders:
        tally.acknowledged += one.last - last[one.person]
        last[one.person] = one.last


def sound(path: Path, tally: Tally) -> None:
    """SQLite's own check of the whole file."""
    connection = sqlite3.connect(path)
    tally.checks[connection.execute("PRAGMA integrity_check").fetchone()[0]] += 1
    wrong = connection.execute("PRAGMA foreign_key_check").fetchall()
    tally.torn += len(wrong)
    connection.close()


def check_decided(path: Path, last: dict[str, int], tally: Tally) -> None:
    """Compare the file with what was acknowledged."""
    if not path.exists() or not path.stat().st_size:
        tally.lost += sum(last.values()) + len(last)
        return
    with DecisionLog.open(path, create=True) as log:
        past = log.history(count=10**9)
        here = [one.decision for one in past]
        taken = {one.decision.decision_id for one in past if one.taken_back}
    sound(path, tally)
    names = Counter(one.decision_id for one in here)
    tally.doubled += sum(count - 1 for count in names.values())
    for person in PERSONS:
        own = {one.decision_id: one for one in here if one.person == person}
        expected = {f"{person}-{number}": made(person, number) for number in range(last[person] + 1)}
        tally.lost += len(expected.keys() - own.keys())
        beyond = own.keys() - expected.keys()
        tally.in_flight += len(beyond)
        tally.torn += sum(own[name] != made(person, last[person] + 1) for name in beyond)
        tally.torn += sum(own[name] != expected[name] for name in expected.keys() & own.keys())
        numbers = range(4, last[person] + 1, 5)
        tally.lost += sum(f"{person}-{number - 2}" not in taken for number in numbers)


def kills_of_deciders(folder: Path, kills: int, chance: random.Random) -> Tally:
    """The first part; every tenth round begins a new file."""
    tally = Tally("two processes at the log")
    for round_ in itertools.count():
        if tally.kills >= kills:
            return tally
        if round_ % 10 == 0:
            path, last = folder / f"decisions-{round_}.db", dict.fromkeys(PERSONS, -1)
        kill_deciders(path, last, chance, tally, kills - tally.kills)
        check_decided(path, last, tally)
        if round_ % 10 == 9:
            print(tally.row(), file=sys.stderr)


class Server:
    """A real `trapline review`."""

    def __init__(self, photos: Path, path: Path) -> None:
        command = [sys.executable, "-m", "trapline", "review", str(photos), "-o", str(path)]
        command += ["--no-browser", "--token", TOKEN, "--labels", "fox,roe deer"]
        self.log = path.with_suffix(".log").open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("The page: "):
            raise SystemExit(f"the server did not start: {path.with_suffix('.log').read_text()}")
        self.address = urlsplit(line.removeprefix("The page: ").strip()).netloc

    def kill(self) -> None:
        """End it at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def post(self, connection: http.client.HTTPConnection, path: str, form: dict[str, Any]) -> Any:
        """What it answers; OSError or HTTPException where it is gone."""
        head = {
            "authorization": f"Bearer {TOKEN}",
            "x-trapline-review": "1",
            "content-type": "application/json",
        }
        connection.request("POST", path, json.dumps(form), head)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"{path} was refused: {response.status} {content[:500]!r}")
        return json.loads(content)


@dataclass
class Browser:
    """A person at the page: decides as fast as the server answers, and sends again what got no answer."""

    person: str
    events: list[str]
    number: int = 0
    waiting: dict[str, Any] | None = None
    sent_again: int = 0
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)

    def form(self) -> dict[str, Any]:
        """The next answer, or the one that got no answer."""
        if self.waiting is None:
            blank = self.number % 3 == 0
            self.waiting = {
                "decision_id": f"{self.person}-{self.number:08}",
                "event": self.events[self.number % len(self.events)],
                "person": self.person,
                "verdict": "blank" if blank else "seen",
                "labels": [] if blank else [{"label": "fox", "count": 1 + self.number % 9}],
            }
            self.number += 1
        else:
            self.sent_again += 1
        return self.waiting

    def decide(self, server: Server) -> None:
        """Until the server is gone."""
        connection = http.client.HTTPConnection(server.address, timeout=60)
        try:
            while True:
                form = self.form()
                server.post(connection, "/api/decide", form)
                self.acknowledged[form["decision_id"]], self.waiting = form, None
        except (OSError, http.client.HTTPException):
            connection.close()


def check_browsers(path: Path, browsers: list[Browser], tally: Tally) -> None:
    """Compare the file with what the browsers were told."""
    with DecisionLog.open(path) as log:
        here = log.decisions()
    sound(path, tally)
    names = Counter(one.decision_id for one in here)
    tally.doubled += sum(count - 1 for count in names.values())
    by_id = {one.decision_id: one for one in here}
    known: dict[str, dict[str, Any]] = {}
    for browser in browsers:
        tally.lost += len(browser.acknowledged.keys() - by_id.keys())
        known |= browser.acknowledged
        if browser.waiting is not None and browser.waiting["decision_id"] in by_id:
            tally.in_flight += 1
            known[browser.waiting["decision_id"]] = browser.waiting
    tally.torn += len(by_id.keys() - known.keys())
    for name, form in known.items():
        labels = [{"label": one.label, "count": one.count} for one in by_id[name].labels]
        same = (by_id[name].event, by_id[name].verdict, labels) == (
            form["event"],
            form["verdict"],
            form["labels"],
        )
        tally.torn += not (same and by_id[name].media)


def kills_of_servers(folder: Path, photos: Path, kills: int, chance: random.Random) -> Tally:
    """The second part."""
    tally, path = Tally("`trapline review`, two browsers"), folder / "reviewed.db"
    server = Server(photos, path)
    connection = http.client.HTTPConnection(server.address, timeout=60)
    asked = server.post(
        connection, "/api/next", {"person": "Anna", "stream": None, "count": 20, "holding": []}
    )
    browsers = [Browser(person, [ask["event"] for ask in asked["asks"]]) for person in PERSONS]
    while True:
        threads = [threading.Thread(target=browser.decide, args=(server,)) for browser in browsers]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0, 1))
        server.kill()
        tally.kills += 1
        for thread in threads:
            thread.join()
        check_browsers(path, browsers, tally)
        if tally.kills >= kills:
            tally.acknowledged = sum(len(browser.acknowledged) for browser in browsers)
            return tally
        server = Server(photos, path)


def main() -> None:
    """Run it and print what was seen."""
    if sys.argv[1:2] == ["--decide"]:
        decide(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--server-kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tallies = [kills_of_deciders(folder, options.kills, chance)]
        tallies.append(kills_of_servers(folder, options.photos, options.server_kills, chance))
    print(
        "| killed | kills | acknowledged | kept without an answer | lost | doubled | torn | SQLite's check |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for tally in tallies:
        print(tally.row())
    print(f"{tallies[0].making} of the processes were killed before their first decision was acknowledged")
    if not all(tally.holds for tally in tallies):
        raise SystemExit("the log does not hold")
    print("nothing lost, nothing doubled")


if __name__ == "__main__":
    main()
