"""Paths of objects in a bucket, against a server that speaks S3."""

import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import requests

from trapline.errors import DataError, MissingExtraError, TraplineError, UsageError
from trapline.storage import (
    RemotePath,
    SourceGoneError,
    as_any_path,
    is_url,
    local_copy,
    remote_path,
    replace_whole,
    stores,
)

MOST = 10**7
SECRET = "the-secret-of-the-tests"


def remote(text: str) -> RemotePath:
    path = as_any_path(text)
    assert isinstance(path, RemotePath)
    return path


def put(url: str, content: bytes, tmp_path: Path) -> RemotePath:
    file = tmp_path / "to-put"
    file.write_bytes(content)
    path = remote(url)
    path.put(file)
    return path


class TestNames:
    @pytest.mark.parametrize(
        ("text", "normal"),
        [
            ("s3://b/a/b.jpg", "s3://b/a/b.jpg"),
            ("S3a://b/a/", "s3://b/a"),
            ("gcs://b", "gs://b"),
            ("gs://b/ä ö%20?.jpg", "gs://b/ä ö%20?.jpg"),
            ("azure://c/x", "az://c/x"),
            ("adl://c/x", "az://c/x"),
            ("abfs://c@acc.dfs.core.windows.net/x", "abfss://c@acc.dfs.core.windows.net/x"),
            (str(Path("s3://b/a/b.jpg")), "s3://b/a/b.jpg"),
        ],
    )
    def test_urls_have_one_form(self, text: str, normal: str) -> None:
        assert is_url(text)
        assert str(as_any_path(text)) == normal
        assert as_any_path(normal) == as_any_path(text)
        assert as_any_path(Path(text)) == as_any_path(text)

    @pytest.mark.parametrize("text", ["photos", "C:/photos", "/s3:/x", "s3", "s3:x", "file:///x"])
    def test_other_texts_are_paths_of_disks(self, text: str) -> None:
        assert not is_url(text)
        assert as_any_path(text) == Path(text)

    @pytest.mark.parametrize("text", ["s3://b//x", "s3://b/a/../x", "s3://b/./x", "s3://"])
    def test_what_names_no_object_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError):
            as_any_path(text if is_url(text) else text + "/")

    @pytest.mark.parametrize(
        "text",
        [
            "s3://AKIA:topsecret@b/x",
            "s3://topsecret@b/x",
            "az://acc:topsecret@c/x",
            "s3://b/x?X-Amz-Signature=topsecret",
            "az://c/x?sv=2020&sig=topsecret",
        ],
    )
    def test_credentials_in_an_address_are_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(UsageError, match="key, a password or a signature") as caught:
            as_any_path(text)
        assert "topsecret" not in str(caught.value)

    def test_it_is_used_like_a_path(self) -> None:
        root = remote("s3://b/season")
        path = root / "loc 1" / "IMG_1.tar.gz"
        assert path == root / "loc 1/IMG_1.tar.gz" == root / PurePosixPath("./loc 1//IMG_1.tar.gz")
        assert (path.name, path.stem, path.suffix) == ("IMG_1.tar.gz", "IMG_1.tar", ".gz")
        assert path.parent.parent == root
        assert path.relative_to(root).as_posix() == "loc 1/IMG_1.tar.gz"
        assert path.with_name("x") == root / "loc 1/x"
        assert remote("s3://b").parent == remote("s3://b")
        assert path.absolute() is path
        assert pickle.loads(pickle.dumps(path)) == path
        assert len({path, root / "loc 1/IMG_1.tar.gz"}) == 1
        for other in ("s3://b/seas", "s3://c/season", "gs://b/season"):
            with pytest.raises(ValueError, match="not below"):
                path.relative_to(remote(other))

    def test_it_opens_as_no_file_of_this_machine(self) -> None:
        with pytest.raises(TypeError):
            os.fspath(remote("s3://b/x"))  # type: ignore[call-overload]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    stores._open.cache_clear()
    with pytest.raises(MissingExtraError, match="cloud"):
        remote("s3://b/x").stat()
    with pytest.raises(MissingExtraError, match="cloud"):
        next(remote("s3://b/x").walk())


@pytest.mark.slow
class TestOnAServer:
    def test_bytes_come_back_as_they_were_put(self, bucket: str, tmp_path: Path) -> None:
        content = os.urandom(3000)
        path = put(f"{bucket}/a/b.bin", content, tmp_path)
        assert path.read(most=3000) == content
        assert path.read(10, 5, most=MOST) == content[10:15]
        assert path.read(2990, 100, most=MOST) == path.read(2990, most=MOST) == content[2990:]
        assert path.read(0, 0, most=0) == b""
        fetched, stat = path.fetch(most=MOST)
        assert (fetched, stat) == (content, path.stat())
        assert stat.size == 3000
        with pytest.raises(OSError, match=r"3,000 bytes, more than the 2,999"):
            path.read(most=2999)

    @pytest.mark.parametrize(
        "name", ["a b.jpg", "ü.jpg", "100%.jpg", "%20.jpg", "q?x#y~z&=+.jpg", "*[x]|^.jpg"]
    )
    def test_names_of_all_kinds(self, bucket: str, tmp_path: Path, name: str) -> None:
        path = put(f"{bucket}/d/{name}", name.encode(), tmp_path)
        assert path.read(most=MOST) == name.encode()
        assert [found for found, _ in remote(f"{bucket}/d").walk()] == [name]

    @pytest.mark.parametrize("name", ["sur\udc80.jpg", "nul\0.jpg"])
    def test_a_name_that_no_object_has_is_an_error_of_that_one(self, bucket: str, name: str) -> None:
        with pytest.raises(OSError, match="No name of an object"):
            (remote(bucket) / name).read(most=MOST)

    def test_another_content_has_another_identity(self, bucket: str, tmp_path: Path) -> None:
        path = put(f"{bucket}/x", b"one", tmp_path)
        before = path.stat()
        assert before == put(f"{bucket}/x", b"one", tmp_path).stat()
        after = put(f"{bucket}/x", b"two", tmp_path).stat()
        assert after.size == before.size
        assert after.digest != before.digest
        assert after.digest is not None
        assert 0 <= after.digest < 2**63

    def test_a_listing_has_all_below_and_no_marks_of_folders(
        self, bucket: str, tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote_path, "PAGE", 7)
        names = [f"in/{number % 3}/{number:04}.jpg" for number in range(30)]
        for name in names:
            requests.put(f"{s3_server}/{bucket[5:]}/{name}", data=b"x", timeout=30)
        for name in ("in/0/", "in/", "inside.jpg"):
            requests.put(f"{s3_server}/{bucket[5:]}/{name}", data=b"", timeout=30)
        put(f"{bucket}/in/empty.jpg", b"", tmp_path)
        found = dict(remote(f"{bucket}/in").walk())
        assert list(found) == sorted([*(name[3:] for name in names), "empty.jpg"])
        assert found["0/0000.jpg"] == remote(f"{bucket}/in/0/0000.jpg").stat()
        assert remote(f"{bucket}/in").is_dir()
        assert not remote(f"{bucket}/i").is_dir()
        assert not remote(f"{bucket}/in/0").is_file()

    def test_what_is_there_and_what_is_not(self, bucket: str, tmp_path: Path) -> None:
        path = put(f"{bucket}/a/x", b"1", tmp_path)
        assert path.is_file()
        assert path.exists()
        assert not path.is_dir()
        assert path.parent.is_dir()
        assert path.parent.exists()
        assert remote(bucket).is_dir()
        assert not remote(bucket).is_file()
        missing = remote(f"{bucket}/a/y")
        assert not missing.exists()
        for ask in (missing.stat, lambda: missing.read(most=1), missing.unlink):
            with pytest.raises(FileNotFoundError):
                ask()
        missing.unlink(missing_ok=True)
        path.unlink()
        assert not path.exists()

    def test_of_several_who_create_at_once_one_does(self, bucket: str) -> None:
        path, did = remote(f"{bucket}/lease"), []
        starting = threading.Barrier(6)

        def create(number: int) -> None:
            starting.wait()
            if path.create(f"worker {number}".encode()):
                did.append(number)

        threads = [threading.Thread(target=create, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert path.read(most=MOST) == f"worker {did[0]}".encode()
        assert len(did) == 1

    def test_a_large_object_is_copied_whole(self, bucket: str, tmp_path: Path) -> None:
        content = os.urandom(20 * 2**20 + 7)
        path = put(f"{bucket}/model.onnx", content, tmp_path)
        with local_copy(path, most_bytes=len(content)) as copy:
            assert copy.name == "model.onnx"
            assert copy.read_bytes() == content
        assert not copy.exists()
        with pytest.raises(DataError, match="more than the"), local_copy(path, most_bytes=len(content) - 1):
            pass
        with local_copy(tmp_path / "to-put", most_bytes=1) as same:
            assert same == tmp_path / "to-put"

    def test_a_file_for_a_bucket_is_written_whole_or_not_at_all(self, bucket: str) -> None:
        path = remote(f"{bucket}/out/table.csv")
        with pytest.raises(ZeroDivisionError), replace_whole(path) as partial:
            partial.write_text(f"half, and then {1 / 0}")
        assert not path.exists()
        with replace_whole(path) as partial:
            assert partial.name == "table.csv"
            partial.write_text("whole")
        assert path.read(most=MOST) == b"whole"

    def test_a_missing_bucket_is_one_error(self, bucket: str, tmp_path: Path) -> None:
        path = remote("s3://no-such-bucket-here/x")
        for ask in (
            path.stat,
            path.is_file,
            path.is_dir,
            lambda: path.read(most=1),
            lambda: list(path.walk()),
            lambda: path.create(b"x"),
            lambda: path.put(Path(__file__)),
        ):
            with pytest.raises(SourceGoneError, match="no bucket s3://no-such-bucket-here"):
                ask()


class _Answers(BaseHTTPRequestHandler):
    answer = (403, "AccessDenied")

    def do_GET(self) -> None:
        status, code = self.answer
        body = (
            f"<Error><Code>{code}</Code><AWSAccessKeyId>AKIATESTTESTTESTTEST</AWSAccessKeyId>"
            f"<StringToSign>{SECRET}</StringToSign></Error>"
        ).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *told: object) -> None:
        pass


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(stores, "RETRY_SECONDS", 0.5)
    stores._open.cache_clear()
    return monkeypatch


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "kind", "words"),
        [
            (403, "AccessDenied", PermissionError, "AccessDenied"),
            (403, "SignatureDoesNotMatch", SourceGoneError, "credentials.*SignatureDoesNotMatch"),
            (400, "ExpiredToken", SourceGoneError, "credentials.*ExpiredToken"),
            (401, "Whatever", SourceGoneError, "credentials"),
            (301, "PermanentRedirect", SourceGoneError, "AWS_REGION"),
            (503, "SlowDown", SourceGoneError, "answered 503"),
            (418, "Teapot", OSError, "418"),
        ],
    )
    def test_each_says_what_it_is_and_none_shows_a_key(
        self, account: pytest.MonkeyPatch, status: int, code: str, kind: type[Exception], words: str
    ) -> None:
        handler = type("Answers", (_Answers,), {"answer": (status, code)})
        server = HTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        account.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
        account.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        try:
            with pytest.raises(kind, match=words) as caught:
                remote("s3://b/x").read(most=1)
        finally:
            server.shutdown()
            server.server_close()
        shown, error = "", caught.value
        while error is not None:
            shown += repr(error) + str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        assert SECRET not in shown
        assert "AKIA" not in shown

    def test_a_server_that_is_not_there(self, account: pytest.MonkeyPatch) -> None:
        account.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        account.setenv("AWS_SKIP_SIGNATURE", "true")
        with pytest.raises(SourceGoneError, match="refused"):
            remote("s3://b/x").read(most=1)

    def test_no_credentials_at_all(self, account: pytest.MonkeyPatch) -> None:
        account.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(
            SourceGoneError, match=r"No credentials for s3://b were found.*AWS_SKIP_SIGNATURE"
        ):
            remote("s3://b/x").read(most=1)

    def test_azure_without_an_account(self, account: pytest.MonkeyPatch) -> None:
        account.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
        with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT_NAME"):
            remote("az://c/x").read(most=1)


class TestProfiles:
    def write(self, tmp_path: Path, config: str = "", credentials: str = "") -> None:
        (tmp_path / "config").write_text(config)
        (tmp_path / "credentials").write_text(credentials)

    def test_a_profile_is_found(self, account: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            "[profile field]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:9\n",
            f"[field]\naws_access_key_id = AKIA\naws_secret_access_key = {SECRET}\n",
        )
        account.setenv("AWS_PROFILE", "field")
        config = stores.open_store("s3", "b").config
        assert (config["region"], config["secret_access_key"]) == ("eu-north-1", SECRET)
        with pytest.raises(SourceGoneError, match="refused"):  # by its address, without TLS
            remote("s3://b/x").read(most=1)

    def test_the_environment_stands_above_it(self, account: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.write(tmp_path, "[default]\nregion = eu-north-1\n", "[default]\naws_access_key_id = FILE\n")
        account.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
        account.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        account.setenv("AWS_REGION", "eu-west-1")
        config = stores.open_store("s3", "b").config
        # obstore takes both of the environment itself
        assert not config.keys() & {"region", "access_key_id"}

    def test_one_that_is_not_there(self, account: pytest.MonkeyPatch) -> None:
        account.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(UsageError, match="no profile 'nobody'"):
            remote("s3://b/x").stat()

    def test_a_damaged_file_is_not_shown(self, account: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.write(tmp_path, credentials=f"aws_secret_access_key {SECRET}\n")
        with pytest.raises(DataError, match="credentials is no file of AWS's profiles") as caught:
            remote("s3://b/x").stat()
        assert SECRET not in str(caught.value)

    def test_keys_by_other_means_name_what_is_needed(
        self, account: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        self.write(tmp_path, "[default]\nsso_session = work\n")
        account.setattr(stores, "find_spec", lambda name: None)
        with pytest.raises(TraplineError, match=r"boto3.*export-credentials"):
            remote("s3://b/x").stat()


def test_a_listing_that_breaks_off_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from obstore.exceptions import GenericError

    asked: list[str | None] = []

    def pages(self: object, store: object, prefix: str, behind: str | None, size: int) -> Iterator[Any]:
        asked.append(behind)
        first = 0 if behind is None else int(behind[2:]) + 1
        for start in range(first, 9, 3):
            yield [{"path": f"d/{at}", "size": 1, "e_tag": "x"} for at in range(start, min(start + 3, 9))]
            if len(asked) < 3:
                raise GenericError("Connection refused")

    monkeypatch.setattr(RemotePath, "_pages", pages)
    monkeypatch.setattr(stores.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert [name for name, _ in remote("s3://b/d").walk()] == [str(at) for at in range(9)]
    assert asked == [None, "d/2", "d/5"]


def test_an_etag_is_the_same_with_and_without_its_quotes() -> None:
    from trapline.storage.remote_path import _stat

    of_azure, of_others = ({"size": 1, "e_tag": text} for text in ("0x26", '"0x26"'))
    assert _stat(of_azure) == _stat(of_others)  # type: ignore[arg-type]
    assert _stat({"size": 1, "e_tag": None}).etag is None  # type: ignore[typeddict-item]


class _AllOrNothing(BaseHTTPRequestHandler):
    """A server that takes no notice of ranges, as `rclone serve s3`."""

    content = bytes(range(256)) * 4096

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("ETag", '"one"')
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()
        if self.command == "GET":
            with suppress(OSError):  # who has enough goes
                self.wfile.write(self.content)

    do_HEAD = do_GET

    def log_message(self, *told: object) -> None:
        pass


def test_a_server_without_ranges_is_read_all_the_same(account: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _AllOrNothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    account.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    account.setenv("AWS_ACCESS_KEY_ID", "key")
    account.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    account.setattr(remote_path, "_PART_BYTES", 300_001)
    path, content = remote("s3://b/x"), _AllOrNothing.content
    try:
        assert path.read(5, 700_000, most=MOST) == content[5:700_005]
        assert path.read(1_000_000, most=MOST) == content[1_000_000:]
        with local_copy(path, most_bytes=MOST) as copy:
            assert copy.read_bytes() == content
        with pytest.raises(DataError, match="became another"):
            path._range(0, 10, MOST, etag='"another"')
    finally:
        server.shutdown()
        server.server_close()


def test_a_listing_names_the_object_that_cannot_be_asked_for(bucket: str) -> None:
    endpoint, name = os.environ["AWS_ENDPOINT_URL"], bucket.removeprefix("s3://")
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/s3/aws4_request"}
    requests.put(f"{endpoint}/{name}/card/d%2F%2Fe.jpg", data=b"x", headers=signed, timeout=30)
    with pytest.raises(OSError, match=r"an object 'card/d//e\.jpg', whose name has an empty step"):
        list(remote(f"{bucket}/card").walk())


@pytest.mark.parametrize("text", ["https://KEY:SECRET@h.example/a.csv", "http:/h.example/a.csv?sig=SECRET"])
def test_an_address_of_the_web_is_no_path_and_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError, match="trapline download") as refused:
        as_any_path(text)
    assert "SECRET" not in str(refused.value)
