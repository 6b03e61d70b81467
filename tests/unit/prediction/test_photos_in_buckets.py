"""Photos in a bucket give what the same photos give on a disk, and a bucket that is gone ends the run."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import requests
from PIL import Image
from test_detection import write_detector, write_photos

from trapline import api
from trapline.catalog import Catalog, check_files, check_leaks, content_hash, content_size, identify, relocate
from trapline.errors import DataError
from trapline.images import CropPolicy, Preprocessing
from trapline.models import Detector, ModelFile
from trapline.prediction import Progress, detect, estimate, look_once, predict, predict_to_file
from trapline.storage import (
    RemotePath,
    SourceGoneError,
    ahead,
    as_any_path,
    remote_path,
    remote_stats,
    stores,
)
from trapline.training.features import embed
from trapline.training.pixels import PixelCache

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"), threads=1)


class OwnServer:
    """A server that a test may stop, and start again on the same port with what it held."""

    def __init__(self) -> None:
        self.port, self.bucket = 0, "s3://own"
        self.start()
        requests.put(f"{self.address}/own", timeout=30)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.runs = True

    def stop(self) -> None:
        if self.runs:
            self._server.stop()
        self.runs = False


@pytest.fixture
def own_server(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    server = OwnServer()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    stores._open.cache_clear()
    yield server
    server.stop()
    stores._open.cache_clear()


def upload(folder: Path, to: str) -> None:
    for path in folder.iterdir():
        if path.is_file():
            (remote(to) / path.name).put(path)


def remote(text: str) -> RemotePath:
    path = as_any_path(text)
    assert isinstance(path, RemotePath)
    return path


def elsewhere(catalog: Catalog, bucket: str) -> Catalog:
    """The same catalog with its photos in a bucket, where they are put."""
    assert isinstance(catalog.root, Path)
    upload(catalog.root, f"{bucket}/season 1")
    return replace(catalog, root=remote(f"{bucket}/season 1"))


def test_every_kind_of_photo_has_the_row_that_it_has_on_a_disk(
    tiny: ModelFile, bucket: str, tmp_path: Path, write_zoo: Callable[[Path], dict[str, str]]
) -> None:
    names = [name for name in write_zoo(tmp_path / "zoo") if not (tmp_path / "zoo" / name).is_dir()]
    rows = [{"media_id": name, "file_path": name} for name in names]
    local = Catalog.from_rows(rows, tmp_path / "zoo", "zoo")
    there = elsewhere(local, bucket)
    one = predict(tiny, local, tmp_path / "one.parquet").table
    other = predict(tiny, there, tmp_path / "other.parquet").table
    files = pl.col("file_path").is_in([name for name in names if (tmp_path / "zoo" / name).is_file()])
    assert one.filter(files).equals(other.filter(files))
    gone = other.filter(~files)
    assert gone["reason"].unique().to_list() == ["no such object"]
    assert (one["status"] == other["status"]).all()


def test_boxes_and_both_at_once(bucket: str, tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    local = write_photos(tmp_path / "photos", *[(8 * number, 4 * number) for number in range(20)])
    there = elsewhere(local, bucket)
    detector = Detector(write_detector(tmp_path / "red.onnx"), min_conf=0.6)
    found = detect(detector, there, tmp_path / "journal")
    assert found.table.equals(detect(detector, local, tmp_path / "other-journal").table)
    looks = Preprocessing(height=16, width=16, crop=CropPolicy(min_conf=0.2))
    model = ModelFile(write_tiny_model(tmp_path / "crops.onnx", preprocessing=looks), threads=1)
    tables = [
        predict(model, catalog, tmp_path / f"{name}.parquet", level="box").table
        for name, catalog in (("local", replace(found, root=local.root)), ("there", found))
    ]
    assert tables[0].equals(tables[1])
    assert look_once(detector, model, there, tmp_path / "once", tmp_path / "once.parquet", level="box")
    found = detect(detector, there, tmp_path / "once")  # both find their work done
    assert predict(model, found, tmp_path / "once.parquet", level="box").table.equals(tables[0])


def test_what_changed_is_predicted_again_and_nothing_else(
    tiny: ModelFile, bucket: str, tmp_path: Path, world: Callable[..., Catalog]
) -> None:
    there = elsewhere(world(), bucket)
    before = predict(tiny, there, tmp_path / "p.parquet").table
    assert done_now(tiny, there, tmp_path) == 0
    Image.new("RGB", (60, 40), (10, 200, 10)).save(tmp_path / "3.png")
    remote(f"{bucket}/season 1/3.png").put(tmp_path / "3.png")
    remote(f"{bucket}/season 1/5.png").unlink()
    assert done_now(tiny, there, tmp_path) == 2
    after = predict(tiny, there, tmp_path / "p.parquet").table
    assert after["status"].to_list() == ["failed" if row == 5 else "ok" for row in range(12)]
    same = [row for row in range(12) if row not in (3, 5)]
    assert before[same].equals(after[same])
    assert not before[[3]].equals(after[[3]])


def done_now(model: ModelFile, catalog: Catalog, tmp_path: Path) -> int:
    seen: list[Progress] = []
    predict_to_file(model, catalog, tmp_path / "p.parquet", progress=seen.append)
    return seen[-1].done - seen[-1].earlier if seen else 0


def test_an_estimate_is_made(
    tiny: ModelFile, bucket: str, tmp_path: Path, world: Callable[..., Catalog]
) -> None:
    assert estimate(tiny, elsewhere(world(), bucket), tmp_path / "p.parquet", sample=4).sampled == 4


def test_a_catalog_keeps_where_its_photos_are_and_no_key(
    bucket: str, tmp_path: Path, world: Callable[..., Catalog]
) -> None:
    there = elsewhere(world(), bucket)
    saved = there.save(tmp_path / "catalog.parquet")
    assert Catalog.load(saved).root == there.root == remote(f"{bucket}/season 1")
    assert there.path("3.png").stat().size == (tmp_path / "photos/3.png").stat().st_size
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in saved.read_bytes()
    assert os.environ["AWS_ACCESS_KEY_ID"].encode() not in saved.read_bytes()
    with pytest.raises(DataError, match="needs them on a disk"):
        there.on_disk("3.png")


def test_features_and_pixels_are_those_of_a_disk_and_are_found_again(
    tiny: ModelFile,
    bucket: str,
    tmp_path: Path,
    world: Callable[..., Catalog],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = world()
    there = elsewhere(local, bucket)
    wanted = embed(tiny, local, cache=None)
    assert np.array_equal(embed(tiny, there, cache=tmp_path / "cache"), wanted)
    size = Preprocessing(height=16, width=16)
    pixels = PixelCache(tmp_path / "cache").exact(there, size).pixels
    assert np.array_equal(pixels, PixelCache(tmp_path / "other").exact(local, size).pixels)
    monkeypatch.setattr(RemotePath, "fetch", lambda *_, **__: pytest.fail("it was read again"))
    assert np.array_equal(embed(tiny, there, cache=tmp_path / "cache"), wanted)
    assert np.array_equal(PixelCache(tmp_path / "cache").exact(there, size).pixels, pixels)


def test_contents_and_checks_are_those_of_a_disk(
    bucket: str, tmp_path: Path, world: Callable[..., Catalog]
) -> None:
    local = world()
    (tmp_path / "photos/7.png").write_bytes((tmp_path / "photos/2.png").read_bytes())
    (tmp_path / "photos/9.png").write_bytes((tmp_path / "photos/2.png").read_bytes())
    (tmp_path / "photos/11.png").write_bytes(b"no picture")
    Image.new("RGB", (60, 40)).save(tmp_path / "photos/10.png", "JPEG", comment=b"of a program")
    there = elsewhere(local, bucket)
    for name in ("2.png", "10.png"):
        assert content_hash(there.path(name)) == content_hash(local.path(name))
        assert content_size(there.path(name)) == content_size(local.path(name))
    assert identify(there).table.equals(identify(local).table)
    remote(f"{bucket}/season 1/4.png").unlink()
    (tmp_path / "photos/4.png").unlink()
    found, wanted = check_files(there, full=True), check_files(local, full=True)
    assert replace(found, unreadable=()) == replace(wanted, unreadable=())
    assert [media for media, _ in found.unreadable] == ["11"]
    assert check_leaks(there) == check_leaks(local)


def test_few_photos_of_one_size_are_read(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 says of what was put at once what its content is, and nothing of what was put in parts."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in {"a": b"same", "b": b"same", "c": b"else", "d": b"alone!"}.items():
        (folder / name).write_bytes(content)
    for name, content in {"x": b"1", "y": b"1", "z": b"2"}.items():
        (folder / name).write_bytes(content * (6 * 2**20))
    names = [path.name for path in sorted(folder.iterdir())]
    local = Catalog.from_rows([{"media_id": name, "file_path": name} for name in names], folder, "photos")
    there = elsewhere(local, bucket)
    read = []
    fetch = RemotePath.fetch
    monkeypatch.setattr(
        RemotePath, "fetch", lambda path, **how: [read.append(path.name), fetch(path, **how)][1]
    )
    assert check_files(there).duplicates == check_files(local).duplicates == (("a", "b"), ("x", "y"))
    assert sorted(read) == ["x", "y", "z"]


def test_photos_that_moved_to_a_bucket_are_found(
    bucket: str, tmp_path: Path, world: Callable[..., Catalog]
) -> None:
    local = world()
    known = identify(local)
    there = elsewhere(local, bucket)
    remote(f"{bucket}/season 1/4.png").unlink()
    remote(f"{bucket}/season 1/moved/renamed.png").put(tmp_path / "photos/4.png")
    for catalog, path in ((local, "4.png"), (known, "moved/renamed.png")):
        found = relocate(catalog, there.root)
        assert found.root == there.root
        assert found.table["file_path"].to_list() == [
            path if name == "4.png" else name for name in local.table["file_path"]
        ]
        saved = catalog.save(tmp_path / "catalog.parquet")
        assert api.read(saved, root=f"{bucket}/season 1").table.equals(found.table)
    with pytest.raises(DataError, match="does not exist"):
        relocate(local, remote(f"{bucket}/nowhere"))


class TestStats:
    @pytest.mark.parametrize("page", [7, 1000])
    def test_few_requests_tell_many(
        self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
    ) -> None:
        monkeypatch.setattr(remote_path, "PAGE", page)
        folder = remote(f"{bucket}/many")
        names = [f"{number:03}.jpg" for number in range(60)]
        (tmp_path / "x").write_bytes(b"1")
        for name in names:
            (folder / name).put(tmp_path / "x")
        asked = [folder / name for name in (*reversed(names), "missing.jpg", "0.jpg", names[3])]
        wanted = {path: path.stat() for path in asked if path.name in names}
        monkeypatch.setattr(RemotePath, "stat", lambda path: pytest.fail(f"{path} was asked for by itself"))
        assert remote_stats(asked) == [wanted.get(path) for path in asked]

    def test_those_far_apart_are_asked_for_one_by_one(self, bucket: str, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"1")
        paths = [remote(f"{bucket}/{number}/x") for number in range(3)]
        for path in paths:
            path.put(tmp_path / "x")
        assert [stat and stat.size for stat in remote_stats([*paths, remote(f"{bucket}/y")])] == [
            1,
            1,
            1,
            None,
        ]


class TestGone:
    def test_a_missing_bucket_is_one_error_and_no_table(
        self, tiny: ModelFile, bucket: str, tmp_path: Path, world: Callable[..., Catalog]
    ) -> None:
        there = replace(world(), root=remote("s3://no-such-bucket-here/x"))
        with pytest.raises(SourceGoneError, match="no bucket s3://no-such-bucket-here"):
            predict(tiny, there, tmp_path / "p.parquet")
        assert not (tmp_path / "p.parquet").exists()

    def test_a_wrong_folder_is_one_error(
        self, tiny: ModelFile, bucket: str, tmp_path: Path, world: Callable[..., Catalog]
    ) -> None:
        there = replace(world(), root=remote(f"{bucket}/seasonn"))
        with pytest.raises(
            SourceGoneError, match=r"None of the 12 photos .* no such object.*may the account"
        ):
            predict(tiny, there, tmp_path / "p.parquet")

    def test_a_server_that_comes_back_is_waited_for(
        self, tiny: ModelFile, own_server: OwnServer, tmp_path: Path, world: Callable[..., Catalog]
    ) -> None:
        there = elsewhere(world(), own_server.bucket)
        wanted = predict(tiny, there, tmp_path / "whole.parquet").table
        threads = []

        def interrupt(progress: Progress) -> None:
            if not threads:
                own_server.stop()
                threads.append(threading.Timer(1.0, own_server.start))
                threads[0].start()

        predict_to_file(tiny, there, tmp_path / "p.parquet", batch_size=1, progress=interrupt)
        assert pl.read_parquet(tmp_path / "p.parquet").equals(
            predict(tiny, there, tmp_path / "one.parquet", batch_size=1).table
        )
        assert wanted["status"].to_list() == ["ok"] * 12

    def test_a_server_that_stays_away_ends_the_run_and_the_same_command_goes_on(
        self,
        tiny: ModelFile,
        own_server: OwnServer,
        tmp_path: Path,
        world: Callable[..., Catalog],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(stores, "RETRY_SECONDS", 0.5)
        there = elsewhere(world(), own_server.bucket)
        wanted = predict(tiny, there, tmp_path / "whole.parquet", batch_size=1).table
        with pytest.raises(SourceGoneError, match=r"cannot be reached.*the same command goes on"):
            predict_to_file(
                tiny, there, tmp_path / "p.parquet", batch_size=1, progress=lambda _: own_server.stop()
            )
        assert not (tmp_path / "p.parquet").exists()
        own_server.start()
        seen: list[Progress] = []
        predict_to_file(tiny, there, tmp_path / "p.parquet", progress=seen.append)
        assert seen[0].earlier > 0
        assert pl.read_parquet(tmp_path / "p.parquet").equals(wanted)


class TestAhead:
    def test_no_more_is_here_than_allowed_and_all_come_in_order(
        self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes = np.random.default_rng(0).integers(1, 60_000, 80).tolist()
        paths = []
        for number, size in enumerate(sizes):
            (tmp_path / "x").write_bytes(bytes([number]) * size)
            paths.append(remote(f"{bucket}/{number}"))
            paths[-1].put(tmp_path / "x")
        monkeypatch.setattr(ahead, "MOST_BYTES", 100_000)
        monkeypatch.setattr(ahead, "_EXPECTED", 30_000)
        most = 0
        with ahead.FetchAhead(10**6) as fetching:
            begun = [fetching.ask(path) for path in paths]
            time.sleep(0.3)
            for number, one in enumerate(begun):
                most = max(most, fetching._held)
                assert one.take()[0] == bytes([number]) * sizes[number]
        assert most <= 100_000 + ahead.AT_ONCE * 60_000
        assert fetching._held == 0

    def test_what_fails_gives_its_room_back(self, bucket: str) -> None:
        with ahead.FetchAhead(10**6) as fetching:
            for one in [fetching.ask(remote(f"{bucket}/{number}")) for number in range(200)]:
                with pytest.raises(FileNotFoundError):
                    one.take()
        assert fetching._held == 0
