"""`trapline review` as its users start it: a process that prints a link, ends by Ctrl-C, and goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing on this system")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 48), (80 * number, 90, 0)).save(folder / f"IMG_{number}.jpg")
    return folder


@pytest.fixture
def start(card: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts a review of the card, and waits for its link."""
    running: list[subprocess.Popen[str]] = []

    def launch(*options: str) -> tuple[subprocess.Popen[str], str]:
        command = [
            sys.executable,
            "-m",
            "trapline",
            "review",
            str(card),
            "-o",
            "d.db",
            "--no-browser",
            *options,
        ]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        link = re.search(r"http://\S+", line)
        return process, link.group() if link else ""

    yield launch
    for process in running:
        process.kill()
        process.communicate()


def ask(link: str, path: str, body: Any = None) -> Any:
    home, _, token = link.partition("/?token=")
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Trapline-Review": "1",
        "Content-Type": "application/json",
    }
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(home + path, content, headers), timeout=30) as answer:
        return json.load(answer)


def test_what_is_decided_outlives_the_server_and_one_serves_at_a_time(
    start: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    first, link = start("--person", "Ada")
    assert link.startswith("http://127.0.0.1:")
    assert ask(link, "/api/state")["person"] == "Ada"
    (one,) = ask(link, "/api/next", {"person": "Ada"})["asks"]
    decision = {
        "decision_id": "decision-1",
        "ask": one["ask"],
        "event": one["event"],
        "person": "Ada",
        "verdict": "blank",
    }
    ask(link, "/api/decide", decision)
    home, _, token = link.partition("/?token=")
    assert len(token) >= 32
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{home}/api/state", timeout=30)

    second, _ = start()
    _, words = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"is being reviewed already, at {home}" in words

    first.send_signal(signal.SIGINT)
    _, words = first.communicate(timeout=60)
    assert first.returncode == 0
    assert "Traceback" not in words
    _, link = start()
    progress = ask(link, "/api/state?person=Ada")["progress"]
    assert (progress["decided"], progress["mine"]) == (1, 1)
    assert link.startswith(f"{home}/?")  # where pages that are still open look for it


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        (["--stream", "nonsense"], 2, "no stream 'nonsense'"),
        (["--only", "nothing.csv"], 1, "nothing.csv"),
        (["--labels", "unclassified"], 2, "is no label"),
        (["--person", "\x07"], 2, "cannot be seen"),
        (["-o", "decisions.review"], 2, "Name a file like"),
        (["--host", "203.0.113.7"], 1, "cannot be had"),
    ],
)
def test_what_cannot_be_is_refused_before_the_page_opens(
    run: Callable[..., tuple[int, str, str]], card: Path, options: list[str], status: int, why: str
) -> None:
    left, _, words = run("review", str(card), "-o", "d.db", "--no-browser", *options)
    assert left == status, words
    assert why in words
