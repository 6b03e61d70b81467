"""Downloading from a real server on loopback that breaks off, changes its file, or is no good."""

import gzip
import hashlib
import http.server
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from trapline.cli import main
from trapline.errors import DataError, TraplineError, UsageError
from trapline.storage import download

CONTENT = bytes(range(256)) * 12_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Host(http.server.ThreadingHTTPServer):
    """Serves `content` and keeps the `Range` of every request; breaks off as often as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag = CONTENT, '"one"'
        self.ranges: list[str | None] = []
        self.break_off = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.knows_ranges = self.says_size = True
        self.url = f"http://127.0.0.1:{self.server_port}/set.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        host, wanted = self.server, self.headers.get("Range")
        host.ranges.append(wanted)
        if host.status != 200:
            self.send_response(host.status)
            self.send_header("Content-Length", "0")
            for name, value in host.headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        start = 0
        same = self.headers.get("If-Range") in (None, host.tag)
        if wanted and host.knows_ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
        if start and start >= len(host.content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = host.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(host.content) - 1}/{len(host.content)}")
        if host.tag:
            self.send_header("ETag", host.tag)
        if host.says_size:
            self.send_header("Content-Length", str(len(body)))
        for name, value in host.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if host.break_off:
            host.break_off -= 1
            body = body[: len(body) // 2]
        with suppress(OSError):  # the client has seen enough
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr("trapline.storage.http.time.sleep", lambda seconds: None)
    with Host() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def test_a_file_comes_whole_and_nothing_else_is_left(host: Host, tmp_path: Path) -> None:
    seen = []
    found = download(
        host.url, tmp_path / "new" / "set.zip", sha256=SHA256.upper(), progress=lambda *now: seen.append(now)
    )
    assert (found.path.read_bytes(), found.sha256, found.fetched) == (CONTENT, SHA256, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in found.path.parent.iterdir()] == ["set.zip"]


def test_what_broke_off_goes_on_where_it_ended(host: Host, tmp_path: Path) -> None:
    host.break_off = 3
    assert download(host.url, tmp_path / "set.zip", sha256=SHA256).path.read_bytes() == CONTENT
    assert host.ranges[0] is None
    starts = [int(one.removeprefix("bytes=").removesuffix("-")) for one in host.ranges[1:]]
    assert starts == sorted(starts)
    assert len(CONTENT) // 2 - 2**14 < starts[0] <= len(CONTENT) // 2


def test_a_later_call_goes_on_too(host: Host, tmp_path: Path) -> None:
    host.break_off = 1000
    host.content = CONTENT[:200_000]  # halves of it soon bring nothing more
    wanted = hashlib.sha256(host.content).hexdigest()
    with pytest.raises(TraplineError, match=r"the same command goes on with it"):
        download(host.url, tmp_path / "set.zip", sha256=wanted)
    left = (tmp_path / "set.zip.part").stat().st_size
    assert left > 150_000
    host.break_off = 0
    found = download(host.url, tmp_path / "set.zip", sha256=wanted)
    assert host.ranges[-1] == f"bytes={left}-"
    assert found.fetched == 200_000 - left


def test_a_file_that_changed_meanwhile_is_begun_anew(host: Host, tmp_path: Path) -> None:
    host.break_off = 1
    changed = CONTENT[::-1]

    def change(done: int, total: int | None) -> None:
        host.content, host.tag = changed, '"two"'

    wanted = hashlib.sha256(changed).hexdigest()
    assert (
        download(host.url, tmp_path / "set.zip", sha256=wanted, progress=change).path.read_bytes() == changed
    )


def test_another_address_is_never_put_to_an_earlier_part(host: Host, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(b"other")
    note = {"url": host.url + "?other", "validator": '"one"', "size": 9}
    (tmp_path / "set.zip.part.json").write_text(json.dumps(note))
    assert download(host.url, tmp_path / "set.zip", sha256=SHA256).path.read_bytes() == CONTENT
    assert host.ranges == [None]


@pytest.mark.parametrize("what", ["knows_ranges", "says_size"])
def test_servers_that_can_less_still_give_the_file(what: str, host: Host, tmp_path: Path) -> None:
    setattr(host, what, False)
    host.break_off = 1 if host.says_size else 0
    assert download(host.url, tmp_path / "set.zip", sha256=SHA256).path.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(host: Host, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    note = {"url": host.url, "validator": '"one"', "size": len(CONTENT)}
    (tmp_path / "set.zip.part.json").write_text(json.dumps(note))
    found = download(host.url, tmp_path / "set.zip", sha256=SHA256)
    assert (found.fetched, found.path.read_bytes()) == (0, CONTENT)


def page(host: Host) -> None:
    host.headers = {"Content-Type": "text/html; charset=utf-8"}


def packed(host: Host) -> None:
    host.content, host.headers = gzip.compress(CONTENT), {"Content-Encoding": "gzip"}


def gone(host: Host) -> None:
    host.status = 404


def another(host: Host) -> None:
    host.content = b"something else"


def large(host: Host) -> None:
    host.content = CONTENT * 2


def endless(host: Host) -> None:
    host.content, host.says_size = CONTENT * 2, False


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (page, "is a web page and no file"),
        (packed, "packed in a way"),
        (gone, "the server answered 404"),
        (another, f"SHA-256 [0-9a-f]{{64}}, not {SHA256}"),
        (large, "more than the 0.004 GB that are allowed"),
        (endless, "more than the 0.004 GB that are allowed"),
    ],
)
def test_what_is_not_the_file_is_refused_and_not_kept(
    spoil: Callable[[Host], None], complaint: str, host: Host, tmp_path: Path
) -> None:
    spoil(host)
    with pytest.raises(DataError, match=complaint):
        download(host.url, tmp_path / "set.zip", sha256=SHA256, most_bytes=4_000_000)
    assert not (tmp_path / "set.zip").exists()


def test_a_server_that_is_busy_is_asked_again_and_then_given_up(host: Host, tmp_path: Path) -> None:
    host.status = 503
    with pytest.raises(TraplineError, match=r"could not be fetched: the server answered 503"):
        download(host.url, tmp_path / "set.zip", sha256=SHA256)
    assert len(host.ranges) == 6
    assert list(tmp_path.iterdir()) == []


def test_nobody_there_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("trapline.storage.http.time.sleep", lambda seconds: None)
    with pytest.raises(TraplineError, match=r"Connection refused"):
        download("http://127.0.0.1:9/set.zip", tmp_path / "set.zip", sha256=SHA256)


def test_an_open_way_needs_a_checksum_even_after_a_redirect(host: Host, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        download(host.url, tmp_path / "set.zip")
    for wrong in (
        "set.zip",
        "ftp://host/set.zip",
        "file:///etc/passwd",
        "https:///set.zip",
        "https://[host/",
    ):
        with pytest.raises(UsageError, match="no address"):
            download(wrong, tmp_path / "set.zip")
    with pytest.raises(UsageError, match="64 hexadecimal"):
        download(host.url, tmp_path / "set.zip", sha256="abc")
    assert host.ranges == []


def test_a_host_that_cannot_be_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be fetched: .*label"):
        download(f"https://{'a' * 300}.example/set.zip", tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(CONTENT)
    assert download(host.url, path, sha256=SHA256).fetched == 0
    assert host.ranges == []
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"exists and has the SHA-256"):
        download(host.url, path, sha256=SHA256)
    assert path.read_bytes() == b"mine"
    assert download(host.url, path, sha256=SHA256, force=True).path.read_bytes() == CONTENT


def test_two_at_once_do_not_write_one_file(host: Host, tmp_path: Path) -> None:
    from trapline.storage import lock

    with (tmp_path / "set.zip.part.json").open("a+b") as taken:
        lock(taken, tmp_path / "set.zip")
        with pytest.raises(UsageError, match="Another run is writing"):
            download(host.url, tmp_path / "set.zip", sha256=SHA256)


def test_the_command_fetches_and_unpacks(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("site/a.jpg", b"photo")
        writing.writestr("labels.csv", "a,b\n")
    host.content = archive.getvalue()
    wanted = hashlib.sha256(host.content).hexdigest()
    command = ["download", host.url, "-o", str(tmp_path / "set"), "--sha256", wanted, "--unpack"]
    with pytest.raises(SystemExit) as left:
        main([*command, "--json"])
    assert left.value.code in (0, None)
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["sha256"]) == (2, wanted)
    assert (tmp_path / "set" / "site" / "a.jpg").read_bytes() == b"photo"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 2


def test_an_archive_that_cannot_be_taken_apart_is_kept_and_fetched_once(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "set-set.zip"
    mine.write_bytes(b"mine")
    command = ["download", host.url, "-o", str(tmp_path / "set"), "--sha256", SHA256, "--unpack"]
    for _ in range(2):
        with pytest.raises(SystemExit) as left:
            main(command)
        assert left.value.code == 1
        assert "cannot be unpacked" in (said := capsys.readouterr().err)
        assert f"kept as {tmp_path / 'set.archive'}" in said
    assert len(host.ranges) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set-set.zip", "set.archive"]
    assert mine.read_bytes() == b"mine"


def test_https_may_not_lead_to_an_open_way(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the certificate of the test's https server is made by openssl, which is not installed")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", "key.pem")
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    command = ["openssl", "req", "-x509", *key, "-days", "2", "-out", "cert.pem", *name]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Host() as secure:
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        threading.Thread(target=secure.serve_forever, args=(0.01,), daemon=True).start()
        url = f"https://localhost:{secure.server_port}/set.zip"
        with pytest.raises(TraplineError, match="certificate verify failed"):
            download(url, tmp_path / "set.zip")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        assert download(url, tmp_path / "set.zip").sha256 == SHA256
        secure.status, secure.headers = 302, {"Location": host.url}
        with pytest.raises(DataError, match="which is not encrypted"):
            download(url, tmp_path / "other.zip")
        assert download(url, tmp_path / "other.zip", sha256=SHA256).sha256 == SHA256
        secure.shutdown()
