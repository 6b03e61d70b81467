"""Whatever is read or written by path is read and written by address: `s3://bucket/photos.parquet`."""

import errno
import functools
import inspect
import json
import shlex
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from PIL import Image

import trapline
from trapline import api
from trapline.catalog import Catalog
from trapline.cli import build_app
from trapline.errors import DataError, TraplineError, UsageError
from trapline.storage import RemotePath, as_any_path, copies, fetch, user_cache_folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def remote(address: str) -> RemotePath:
    path = as_any_path(address)
    assert isinstance(path, RemotePath)
    return path


def put_folder(folder: Path, address: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            (remote(address) / path.relative_to(folder).as_posix()).put(path)


def names_at(address: str) -> set[str]:
    return {name for name, _ in remote(address).walk()}


def draw(path: Path, colour: str = "red", time: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (24, 16), colour)
    exif = Image.Exif()
    if time is not None:
        exif.get_ifd(0x8769)[0x9003] = time
    image.save(path, exif=exif)


# ---- what is read


def a_table(folder: Path) -> Path:
    draw(folder / "photos/A/1.jpg")
    draw(folder / "photos/B/2.jpg", "green")
    text = "file,label,location\nphotos/A/1.jpg,fox,A\nphotos\\B\\2.jpg,,B\n/home/me/photos/B/2.jpg,hare,B\n"
    (folder / "labels.csv").write_text(text.replace("photos\\B\\2.jpg,,B\n", ""))
    return folder / "labels.csv"


def a_zip(folder: Path) -> Path:
    a_table(folder / "labels")
    with zipfile.ZipFile(folder / "labels.zip", "w") as archive:
        archive.write(folder / "labels/labels.csv", "labels.csv")
    return folder / "labels.zip"


def a_card(folder: Path) -> Path:
    for number in range(5):
        draw(folder / f"card/L{number % 2}/{number}.JPG", time=f"2024:05:0{number + 1} 10:00:00")
    draw(folder / "card/.thumbnails/1.jpg")
    (folder / "card/notes.docx").write_bytes(b"PK")
    (folder / "card/clip.mp4").write_bytes(b"x")
    return folder / "card"


def class_folders(folder: Path) -> Path:
    draw(folder / "sorted/blank/1.jpg")
    draw(folder / "sorted/fox/2.jpg")
    return folder / "sorted"


def coco(folder: Path) -> Path:
    draw(folder / "coco/a.jpg")
    document = {
        "images": [{"id": "1", "file_name": "a.jpg", "location": "L1"}],
        "annotations": [{"id": "1", "image_id": "1", "category_id": 1}],
        "categories": [{"id": 1, "name": "fox"}],
    }
    (folder / "coco/coco.json").write_text(json.dumps(document))
    return folder / "coco/coco.json"


def several_tables(folder: Path) -> Path:
    for name in ("a", "b"):
        draw(folder / f"dd/train_features/{name}.jpg")
    features = "id,filepath,site\na,train_features/a.jpg,S1\nb,train_features/b.jpg,S2\n"
    (folder / "dd/train_features.csv").write_text(features)
    (folder / "dd/train_labels.csv").write_text("id,blank,hog\nb,0.0,1.0\na,1.0,0.0\n")
    return folder / "dd"


@pytest.mark.parametrize(
    "make", [a_table, a_zip, a_card, class_folders, coco, several_tables], ids=lambda make: make.__name__
)
def test_a_source_at_an_address_is_read_as_on_a_disk(
    make: Callable[[Path], Path], bucket: str, tmp_path: Path
) -> None:
    source = make(tmp_path / "here")
    put_folder(tmp_path / "here", f"{bucket}/there")
    address = f"{bucket}/there/{source.relative_to(tmp_path / 'here').as_posix()}"
    here, there = trapline.read(source), trapline.read(address)
    assert there.table.equals(here.table)
    assert str(there.root) == f"{bucket}/there/{here.root.relative_to(tmp_path / 'here').as_posix()}".rstrip(
        "/."
    )
    told = [note.replace(str(tmp_path / "here"), f"{bucket}/there") for note in here.facts.notes]
    assert list(there.facts.notes) == told
    assert (there.source, there.facts.left_out) == (here.source, here.facts.left_out)
    assert not list((user_cache_folder() / "cloud").glob("outline-*"))


def test_errors_name_the_address_and_no_file_of_the_cache(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("colour\nred\n")
    remote(f"{bucket}/x.csv").put(tmp_path / "x.csv")
    remote(f"{bucket}/x.parquet").put(tmp_path / "x.csv")
    cases: dict[str, Callable[[], object]] = {
        f"{bucket}/x.csv line 1": lambda: trapline.read(f"{bucket}/x.csv"),
        f"{bucket}/x.parquet is no catalog": lambda: Catalog.load(f"{bucket}/x.parquet"),
        f"{bucket}/x.csv cannot be read as predictions": lambda: trapline.Predictions.load(f"{bucket}/x.csv"),
        f"nothing at {bucket}/y.csv": lambda: trapline.read(f"{bucket}/y.csv"),
        f"nothing at {bucket}/y.parquet": lambda: Catalog.load(f"{bucket}/y.parquet"),
        f"{bucket}/x.csv is no model": lambda: api.open_model(f"{bucket}/x.csv"),
        "There is no bucket s3://no-such-bucket": lambda: trapline.read("s3://no-such-bucket/x.csv"),
    }
    for message, call in cases.items():
        with pytest.raises(TraplineError) as caught:
            call()
        assert message in str(caught.value)
        assert str(user_cache_folder()) not in str(caught.value)


def test_a_copy_is_kept_until_the_object_changes(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.csv").write_text("one")
    source = remote(f"{bucket}/x.csv")
    source.put(tmp_path / "x.csv")
    first = fetch(source)
    assert (first.name, first.read_text()) == ("x.csv", "one")
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(copies, "copy_file", lambda *given: pytest.fail("fetched again"))
        assert fetch(source) == first
    (tmp_path / "x.csv").write_text("two")
    source.put(tmp_path / "x.csv")
    second = fetch(source)
    assert second.read_text() == "two"
    assert not first.exists()
    with pytest.raises(DataError, match="more than"):
        fetch(source, most_bytes=2)


@pytest.mark.parametrize("name", ["a\\b.csv", "\\..\\x.csv"])
def test_a_name_that_no_file_can_have_leads_nowhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No file of this machine can be called"):
        copies.below(tmp_path, name)


# ---- what is written


def test_a_catalog_finds_its_photos_from_wherever_it_lies(bucket: str, tmp_path: Path) -> None:
    a_table(tmp_path / "here")
    put_folder(tmp_path / "here", f"{bucket}/set")
    catalog = trapline.read(f"{bucket}/set/labels.csv")
    for output in (f"{bucket}/set/c.parquet", f"{bucket}/other/c.parquet", str(tmp_path / "c.parquet")):
        assert str(catalog.save(output)) == output
        assert str(Catalog.load(output).root) == f"{bucket}/set"
    put_folder(tmp_path / "here", f"{bucket}/moved")
    remote(f"{bucket}/moved/c.parquet").put(fetch(remote(f"{bucket}/set/c.parquet")))
    assert str(Catalog.load(f"{bucket}/moved/c.parquet").root) == f"{bucket}/moved"
    local = trapline.read(tmp_path / "here/labels.csv")
    local.save(f"{bucket}/local.parquet")
    assert Catalog.load(f"{bucket}/local.parquet").root == tmp_path / "here"
    assert str(trapline.read(tmp_path / "here/labels.csv", root=f"{bucket}/moved").root) == f"{bucket}/moved"
    found = trapline.read(f"{bucket}/local.parquet", root=f"{bucket}/moved")
    assert (str(found.root), found.facts.notes[-1]) == (
        f"{bucket}/moved",
        f"media looked for in {bucket}/moved: 2 at their paths",
    )


def test_nothing_at_an_address_is_overwritten_unasked(run: Run, bucket: str, tmp_path: Path) -> None:
    a_table(tmp_path / "here")
    put_folder(tmp_path / "here", bucket)
    command = ("catalog", f"{bucket}/labels.csv", "--check", "none", "-o", f"{bucket}/c.parquet")
    assert run(*command)[0] == 0
    before = remote(f"{bucket}/c.parquet").stat()
    status, _, err = run(*command)
    assert (status, f"{bucket}/c.parquet exists" in err) == (2, True)
    assert remote(f"{bucket}/c.parquet").stat() == before
    assert run(*command, "--force")[0] == 0
    write = ("write", f"{bucket}/c.parquet", "-f", "summary", "-o", f"{bucket}/out/summary.csv")
    assert run(*write)[0] == 0
    assert (run(*write)[0], run(*write, "--force")[0]) == (2, 0)
    with pytest.raises(UsageError, match="exists"):
        api.write(f"{bucket}/c.parquet", output=f"{bucket}/out/summary.csv", format="summary")
    with pytest.raises(UsageError, match="folder at an address is not replaced"):
        api.write(f"{bucket}/c.parquet", output=f"{bucket}/out", format="sorted", mode="copy", force=True)


def test_what_fails_puts_nothing(run: Run, bucket: str, tmp_path: Path) -> None:
    a_table(tmp_path / "here")
    put_folder(tmp_path / "here", bucket)
    trapline.read(f"{bucket}/labels.csv").save(f"{bucket}/c.parquet")
    before = names_at(bucket)
    write = ("write", f"{bucket}/c.parquet", "-f", "camtrap-dp", "-o", f"{bucket}/dp")
    status, _, err = run(*write)
    assert (status, "--taxonomy" in err) == (2, True)
    links = ("write", f"{bucket}/c.parquet", "-f", "sorted", "-o", f"{bucket}/links")
    status, _, err = run(*links)
    assert (status, "--mode copy" in err) == (2, True)
    assert names_at(bucket) == before


def test_one_address_is_not_read_and_written_at_once(
    run: Run, bucket: str, write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    remote(f"{bucket}/m.onnx").put(write_tiny_model(tmp_path / "m.onnx"))
    a_table(tmp_path / "here")
    put_folder(tmp_path / "here", bucket)
    trapline.read(f"{bucket}/labels.csv").save(f"{bucket}/c.parquet")
    with pytest.raises(UsageError, match=f"{bucket}/m.onnx is read by"):
        api.recalibrate(f"{bucket}/m.onnx", f"{bucket}/c.parquet", f"{bucket}/m.onnx")


@pytest.mark.parametrize(
    "command",
    [
        ("catalog", "{table}", "--check", "none", "--links", "{bucket}/links"),
        ("review", "{table}", "-o", "{bucket}/decisions.db"),
        ("decisions", "take", "{bucket}/decisions.db", "{table}", "--by", "me"),
        ("decisions", "close-audit", "{bucket}/decisions.db"),
        ("quickstart", "{bucket}/world"),
        ("write", "-f", "sorted", "--undo", "{table}", "-o", "{bucket}/sorted"),
    ],
    ids=" ".join,
)
def test_what_must_lie_on_this_machine_says_so(
    command: tuple[str, ...], run: Run, bucket: str, tmp_path: Path
) -> None:
    table = a_table(tmp_path / "here")
    status, _, err = run(*(word.format(bucket=bucket, table=table) for word in command))
    assert status == 2
    assert "address" in err
    assert not names_at(bucket)


def test_a_model_is_shown_by_its_address(
    run: Run, bucket: str, write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    remote(f"{bucket}/m.onnx").put(write_tiny_model(tmp_path / "m.onnx"))
    for more in ((), ("--json",)):
        status, out, _ = run("show", f"{bucket}/m.onnx", *more)
        assert (status, f"{bucket}/m.onnx" in out) == (0, True)
        assert str(user_cache_folder()) not in out


def every_run(app: typer.Typer) -> Iterator[Callable[..., Any]]:
    for command in app.registered_commands:
        assert command.callback is not None
        yield command.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from every_run(group.typer_instance)


def test_every_path_of_every_command_may_be_an_address() -> None:
    """What is not open to addresses would be taken for a folder called `s3:` here."""
    paths = 0
    for run in every_run(build_app()):
        for parameter in inspect.signature(run).parameters.values():
            if "Path" not in str(parameter.annotation):
                continue
            (shown,) = [note for note in get_args(parameter.annotation) if hasattr(note, "parser")]
            assert isinstance(shown.parser("a.csv"), Path)
            paths += 1
    assert paths > 80


# ---- all of it


def lines_of_the_page() -> list[str]:
    page = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
    section = page.split("## A cloud account")[1].split("\n## ")[0]
    return section.split("```sh\n")[1].split("```")[0].splitlines()


@pytest.mark.slow
def test_the_whole_way_in_a_bucket_is_that_on_a_disk(run: Run, bucket: str, tmp_path: Path) -> None:
    from trapline.synthetic import make_world

    make_world(tmp_path / "here/world", locations=9, events_per_location=2, size=(160, 120))
    put_folder(tmp_path / "here", bucket)
    lines = lines_of_the_page()
    assert len(lines) == 6
    for line in lines:
        for root in (bucket, str(tmp_path / "here")):
            status, _, err = run(*shlex.split(line.replace("s3://my-bucket", root))[1:])
            assert status == 0, (line, err)
    put = names_at(bucket)
    assert {
        "test.parquet",
        "report.html",
        "report.mistakes.csv",
        "species.csv",
        "runs/head/model.onnx",
    } <= put
    assert not [name for name in put if "journal" in name or "partial" in name]
    there = trapline.Predictions.load(f"{bucket}/test.parquet")
    here = trapline.Predictions.load(tmp_path / "here/test.parquet")
    assert there.table.equals(here.table)
    species = fetch(remote(f"{bucket}/species.csv")).read_text()
    assert species == (tmp_path / "here/species.csv").read_text()
    page = fetch(remote(f"{bucket}/report.html")).read_text()
    assert f"--only {bucket}/report.mistakes.csv" in page
    assert str(user_cache_folder()) not in page
    status, _, err = run(*shlex.split(lines[2].replace("s3://my-bucket", bucket))[1:])
    assert (status, "exists" in err) == (2, True)


def test_a_prediction_that_was_stopped_goes_on_and_is_put_whole(
    bucket: str, write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    remote(f"{bucket}/m.onnx").put(write_tiny_model(tmp_path / "m.onnx"))
    for number in range(6):
        draw(tmp_path / f"card/A/{number}.jpg")
    put_folder(tmp_path / "card", f"{bucket}/card")
    told: list[Any] = []

    def stop(now: Any) -> None:
        told.append(now)
        raise KeyboardInterrupt

    predict = functools.partial(
        api.predict_to_file, f"{bucket}/m.onnx", f"{bucket}/card", f"{bucket}/p.csv", batch_size=2, workers=1
    )
    with pytest.raises(KeyboardInterrupt):
        predict(progress=stop)
    assert names_at(bucket) == {"m.onnx", *(f"card/A/{number}.jpg" for number in range(6))}
    done = predict(progress=told.append)
    assert (told[0].earlier, told[-1].earlier) == (0, 2)
    assert (str(done.output), done.summary.ok) == (f"{bucket}/p.csv", 6)
    assert names_at(bucket) >= {"p.csv", "p.csv.json"}
    assert not [name for name in names_at(bucket) if "journal" in name]
    whole = api.predict(tmp_path / "m.onnx", tmp_path / "card", tmp_path / "p.csv", batch_size=2)
    assert trapline.Predictions.load(f"{bucket}/p.csv").table.equals(whole.table)


def test_what_cannot_be_put_is_kept_and_said(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: RemotePath, file: Path) -> None:
        raise PermissionError(errno.EACCES, "The server refuses it", str(path))

    a_table(tmp_path / "here")
    catalog = trapline.read(tmp_path / "here/labels.csv")
    monkeypatch.setattr(RemotePath, "put", refuse)
    with pytest.raises(DataError, match=r"refuses it: s3:.*What was made is kept in ") as caught:
        catalog.save(f"{bucket}/c.parquet")
    kept = Path(str(caught.value).rpartition(" kept in ")[2].rstrip("."))
    assert len(Catalog.load(kept / "c.parquet")) == 2


def test_a_run_that_is_made_anew_leaves_nothing_of_the_one_before(
    bucket: str, tmp_path: Path, own_cache: Path
) -> None:
    run = remote(f"{bucket}/runs/a")
    (tmp_path / "mine.txt").write_text("mine")
    for names in (("model.onnx", "history.csv"), ("model.onnx", "last.ckpt", "x.journal")):
        here = copies.stage(run, replace=True, goes_on=True)
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        for name in names:
            (here / name).write_text(name)
        copies.put_staged(run)
        (run / "mine.txt").put(tmp_path / "mine.txt")
    assert names_at(str(run)) == {"model.onnx", "mine.txt"}
    shutil.rmtree(own_cache)
    with pytest.raises(UsageError, match="folder at an address is not replaced"):
        copies.stage(run, replace=True, goes_on=True)


def test_photos_in_a_bucket_are_predicted_in_shards(
    bucket: str, write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "m.onnx")
    for number in range(5):
        draw(tmp_path / f"card/A/{number}.jpg", ("red", "green", "blue")[number % 3])
    put_folder(tmp_path / "card", f"{bucket}/card")
    trapline.read(f"{bucket}/card").save(f"{bucket}/c.parquet")
    plan = api.plan_shards(model, f"{bucket}/c.parquet", tmp_path / "run", shard_size=2, batch_size=2)
    assert plan.root == f"{bucket}/card"
    api.work(tmp_path / "run", claim=True, workers=1)
    merged = api.merge_shards(tmp_path / "run", f"{bucket}/p.parquet")
    assert str(merged.output) == f"{bucket}/p.parquet"
    api.predict_to_file(model, f"{bucket}/c.parquet", tmp_path / "p.parquet", batch_size=2, workers=1)
    assert fetch(remote(f"{bucket}/p.parquet")).read_bytes() == (tmp_path / "p.parquet").read_bytes()
    with pytest.raises(DataError, match="is no folder of a run"):
        api.work(f"{bucket}/run", claim=True)


def test_photos_leave_a_bucket_as_copies(run: Run, bucket: str, tmp_path: Path) -> None:
    a_table(tmp_path / "here")
    put_folder(tmp_path / "here", bucket)
    trapline.read(f"{bucket}/labels.csv").save(f"{bucket}/c.parquet")
    write = ("write", f"{bucket}/c.parquet", "-f", "sorted", "--mode", "copy")
    assert run(*write, "-o", f"{bucket}/sorted")[0] == 0
    assert run(*write, "-o", "sorted")[0] == 0
    names = {"fox/photos/A/1.jpg", "hare/photos/B/2.jpg"}
    assert names < names_at(f"{bucket}/sorted")
    assert names < {
        path.relative_to(tmp_path / "sorted").as_posix() for path in (tmp_path / "sorted").rglob("*")
    }
    photo = (tmp_path / "here/photos/A/1.jpg").read_bytes()
    assert fetch(remote(f"{bucket}/sorted/fox/photos/A/1.jpg")).read_bytes() == photo
    assert (tmp_path / "sorted/fox/photos/A/1.jpg").read_bytes() == photo
