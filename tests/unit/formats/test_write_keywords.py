"""Keywords in copies of photos, read back with ExifTool, and with Pillow, which knows nothing of it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image, IptcImagePlugin

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import WriteReport, write
from trapline.formats.exiftool import add_tags, find_exiftool
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED

pytestmark = pytest.mark.slow  # each starts ExifTool

FOX = ["fox", "Vulpes vulpes"]
FOX_LEVELS = ["Trapline|species|fox", "Trapline|taxon|Mammalia|Carnivora|Canidae|Vulpes|Vulpes vulpes"]


@pytest.fixture
def exiftool() -> str:
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("needs ExifTool (libimage-exiftool-perl)")
    return program


def copies(made: Any, output: Path, **options: Any) -> WriteReport:
    return write(
        made.predictions, made.catalog, output, format="xmp", taxonomy=made.taxonomy, mode="copy", **options
    )


def metadata(path: Path, *tags: str) -> dict[str, Any]:
    """ExifTool's JSON of the tags with their groups; lists are lists, also of one."""
    command = ["exiftool", "-j", "-a", "-G1", "-struct", *tags, path.name]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=path.parent))[0]
    found.pop("SourceFile")
    return found


def keywords(path: Path) -> dict[str, list[str]]:
    found = metadata(path, "-IPTC:Keywords", "-XMP-dc:Subject", "-XMP-lr:all", "-XMP-digiKam:TagsList")
    return {
        name: [str(one) for one in (value if isinstance(value, list) else [value])]
        for name, value in found.items()
    }


def exif(path: Path) -> dict[str, Any]:
    return metadata(path, "-EXIF:all", "-MakerNotes:all")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def media(root: Path, names: list[str], label: str) -> tuple[Predictions, Catalog]:
    """Predictions that say `label` of every file."""
    rows = [(name, None, None, name, "ok", None, 1.0) for name in names]
    table = pl.DataFrame(rows, schema={**FIXED, label: pl.Float32()}, orient="row")
    catalog = Catalog.from_rows([{"media_id": name, "file_path": name} for name in names], root, "files")
    return Predictions(table, (label,), "media", "f" * 16, "single-label"), catalog


def test_copies_have_the_keywords_and_are_otherwise_their_photos(
    scene: Any, tmp_path: Path, exiftool: str
) -> None:
    made, output = scene("box"), tmp_path / "copies"
    tagged = made.catalog.path("north/a2.jpg")
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    with_exif = Image.Exif()
    with_exif[0x010F] = "Reconyx"
    with_exif.get_ifd(0x8769)[0x9003] = "2021:03:01 06:00:02"
    Image.fromarray(noise).save(tagged, exif=with_exif)
    os.utime(tagged, (1_600_000_000, 1_600_000_000))
    before = {path: path.read_bytes() for path in made.catalog.paths()}
    report = copies(made, output, threshold=0.5)
    assert (report.rows, report.unit, report.failed) == (6, "copies", ())
    assert {path: path.read_bytes() for path in made.catalog.paths()} == before
    copy = output / "north/a2.jpg"
    assert keywords(copy) == {
        "IPTC:Keywords": FOX,
        "XMP-dc:Subject": FOX,
        "XMP-lr:HierarchicalSubject": FOX_LEVELS,
        "XMP-digiKam:TagsList": [level.replace("|", "/") for level in FOX_LEVELS],
    }
    with Image.open(copy) as opened:
        iptc = IptcImagePlugin.getiptcinfo(opened)
        assert iptc[2, 25] == [b"fox", b"Vulpes vulpes"]
        assert iptc[1, 90] == b"\x1b%G"  # UTF-8, by ISO 2022
        assert b"<rdf:li>Trapline|species|fox</rdf:li>" in opened.info["xmp"]
        assert opened.getexif().get_ifd(0x8769)[0x9003] == "2021:03:01 06:00:02"
    assert copy.stat().st_mtime == tagged.stat().st_mtime
    assert exif(copy) == exif(tagged)
    for path in made.catalog.paths():
        assert np.array_equal(pixels(output / path.relative_to(made.catalog.root)), pixels(path))
    assert keywords(output / "south/b1.jpg")["XMP-lr:HierarchicalSubject"] == ["Trapline|unclassified"]
    assert "IPTC:Keywords" not in keywords(output / "south/b1.jpg")
    assert sorted(path.name for path in output.iterdir()) == ["north", "south"]


def test_keywords_that_a_photo_has_stay_and_are_not_doubled(tmp_path: Path, exiftool: str) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    old = [
        "-IPTC:Keywords=humain",
        "-IPTC:Keywords=été",
        "-XMP-dc:Subject=été",
        "-XMP-lr:hierarchicalSubject=a|b",
    ]
    subprocess.run(
        [exiftool, "-q", "-overwrite_original", "-IPTC:CodedCharacterSet=UTF8", *old, "a.jpg"],
        cwd=tmp_path,
        check=True,
    )
    write(*media(tmp_path, ["a.jpg"], "été"), tmp_path / "out", format="xmp", mode="copy")
    found = keywords(tmp_path / "out" / "a.jpg")
    assert found["IPTC:Keywords"] == ["humain", "été"]
    assert found["XMP-dc:Subject"] == ["été"]
    assert found["XMP-lr:HierarchicalSubject"] == ["a|b", "Trapline|species|été", "Trapline|before|été"]


def test_an_old_block_of_another_charset_keeps_its_words(tmp_path: Path, exiftool: str) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    subprocess.run(
        [
            exiftool,
            "-q",
            "-overwrite_original",
            "-IPTC:Keywords=Fréquentation",
            "-IPTC:City=Besançon",
            "a.jpg",
        ],
        cwd=tmp_path,
        check=True,
    )
    assert b"Fr\xe9quentation" in (tmp_path / "a.jpg").read_bytes()  # Latin-1, undeclared
    write(*media(tmp_path, ["a.jpg"], "blaireau européen"), tmp_path / "out", format="xmp", mode="copy")
    copy = tmp_path / "out" / "a.jpg"
    assert keywords(copy)["IPTC:Keywords"] == ["Fréquentation", "blaireau européen"]
    assert metadata(copy, "-IPTC:City") == {"IPTC:City": "Besançon"}
    assert keywords(copy)["XMP-dc:Subject"] == ["blaireau européen"]


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ("猫 <b>&=\\x $y @z", "猫 <b>&=\\x $y @z"),
        ("#no comment", "#no comment"),
        ("-execute", "-execute"),
        ("fox\n-XMP-dc:Rights=all mine\r\n", "fox\ufffd-XMP-dc:Rights=all mine\ufffd\ufffd"),
    ],
)
def test_a_label_is_a_keyword_and_never_a_command(
    label: str, kept: str, tmp_path: Path, exiftool: str
) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    write(*media(tmp_path, ["a.jpg"], label), tmp_path / "out", format="xmp", mode="copy")
    copy = tmp_path / "out" / "a.jpg"
    assert keywords(copy)["XMP-dc:Subject"] == keywords(copy)["IPTC:Keywords"] == [kept]
    assert metadata(copy, "-XMP-dc:Rights") == {}


def test_a_photo_that_cannot_be_written_is_named_and_the_others_go_on(tmp_path: Path, exiftool: str) -> None:
    names = [
        "a.jpg",
        "empty.jpg",
        "text.jpg",
        "gone.jpg",
        "folder.jpg",
        "b (1) %d 猫.png",
        "named.bmp",
        "c.jpg",
    ]
    for name in ("a.jpg", "b (1) %d 猫.png", "named.bmp"):
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    Image.new("RGB", (20, 20)).save(tmp_path / "c.jpg", "PNG")  # called otherwise than it is
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photo " * 20)
    (tmp_path / "folder.jpg").mkdir()
    report = write(*media(tmp_path, names, "fox"), tmp_path / "out", format="xmp", mode="copy")
    assert report.rows == 3
    assert [line.split(":")[0] for line in report.failed] == [
        "empty.jpg",
        "gone.jpg",
        "folder.jpg",
        "text.jpg",
        "named.bmp",
    ]
    assert report.failed[:2] == ("empty.jpg: the file is empty", "gone.jpg: No such file or directory")
    assert "not supported" in report.failed[3]
    for name in ("a.jpg", "b (1) %d 猫.png", "c.jpg"):
        assert keywords(tmp_path / "out" / name)["XMP-dc:Subject"] == ["fox"]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_copies_are_never_written_over_a_file(scene: Any, tmp_path: Path, exiftool: str) -> None:
    made, output = scene(), tmp_path / "copies"
    before = {path: path.read_bytes() for path in made.catalog.paths()}
    with pytest.raises(UsageError, match=r"6 of the photos exist in .*not even with --force"):
        copies(made, made.catalog.root, force=True)
    assert {path: path.read_bytes() for path in made.catalog.paths()} == before
    (output / "north").mkdir(parents=True)
    (output / "north/a2.jpg").write_text("mine")
    with pytest.raises(UsageError, match=r"1 of the photos exist .*a2\.jpg"):
        copies(made, output, force=True)
    assert [path.name for path in output.rglob("*.jpg")] == ["a2.jpg"]
    assert (output / "north/a2.jpg").read_text() == "mine"


def test_what_cannot_be_is_refused(
    scene: Any, tmp_path: Path, exiftool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="'xmp' takes for 'mode' sidecar or copy, not 'embed'"):
        write(scene().predictions, scene().catalog, tmp_path / "out", format="xmp", mode="embed")
    with pytest.raises(UsageError, match="--naming is for sidecars"):
        copies(scene(), tmp_path / "out", naming="full")
    twice = media(tmp_path, ["a.jpg", "A.jpg"], "fox")
    with monkeypatch.context() as one_case:
        one_case.setattr(Path, "exists", lambda self: self.name.startswith(".TRAPLINE"))
        with pytest.raises(DataError, match=r"share the copy a\.jpg: upper and lower case are one"):
            write(*twice, tmp_path / "out", format="xmp", mode="copy")
    assert not (tmp_path / "out").exists()


def test_without_exiftool_it_is_said_how_to_get_it(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"is not installed here.*apt install libimage-exiftool-perl"):
        copies(scene(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="a script for sh")
def test_a_photo_that_ends_exiftool_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "exiftool"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -ver ] && exit 0\n'
        "while read -r line; do case $line in\n"
        "1) kill -9 $$;;\n3) echo 'Error: Bad format - 3' >&2; echo '{done}' >&2;;\n"
        "[0-9]) echo 'Warning: odd - x' >&2; echo '{done}' >&2;;\nesac; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    photos = {str(number): {"XMP-dc:Subject": ["fox"]} for number in range(5)}
    failed = add_tags(find_exiftool(), tmp_path, photos)
    assert failed == {"1": "ExifTool ended or hung on it", "3": "Bad format"}


@pytest.mark.field
def test_real_photos_with_digikams_keywords_get_ours_beside_them(
    field: Path, tmp_path: Path, exiftool: str
) -> None:
    root = field / "jura" / "site-8.2-G"
    names = sorted(path.name for path in root.glob("*.jpg"))[::60]
    report = write(*media(root, names, "blaireau européen"), tmp_path / "out", format="xmp", mode="copy")
    assert (report.rows, report.failed) == (len(names), ())
    for name in names:
        old, new = keywords(root / name), keywords(tmp_path / "out" / name)
        assert new["IPTC:Keywords"] == [*old["IPTC:Keywords"], "blaireau européen"]
        assert new["XMP-dc:Subject"] == [*old["XMP-dc:Subject"], "blaireau européen"]
        for tag, added in (
            ("XMP-lr:HierarchicalSubject", "Trapline|species|blaireau européen"),
            ("XMP-digiKam:TagsList", "Trapline/species/blaireau européen"),
        ):
            assert new[tag] == [*old[tag], added]
        assert exif(tmp_path / "out" / name) == exif(root / name)
        assert np.array_equal(pixels(tmp_path / "out" / name), pixels(root / name))
        with Image.open(tmp_path / "out" / name) as opened:
            iptc = IptcImagePlugin.getiptcinfo(opened)
            words = iptc[2, 25] if isinstance(iptc[2, 25], list) else [iptc[2, 25]]
            assert "blaireau européen".encode() in words


def with_keywords(path: Path, tag: str, *words: str) -> None:
    changes = [f"-{tag}+={word}" for word in words]
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", *changes, path.name], cwd=path.parent, check=True
    )


@pytest.mark.parametrize("tag", ["XMP-dc:Subject", "IPTC:Keywords"])
def test_a_persons_keyword_is_told_from_the_models(
    tag: str, scene: Any, tmp_path: Path, exiftool: str
) -> None:
    made = scene()
    agrees, differs, other = (made.catalog.path(f"north/a{name}.jpg") for name in ("2", "3", " 1 !!"))
    with_keywords(agrees, tag, "fox", "at night, wet")
    with_keywords(differs, tag, "badger")
    report = copies(made, tmp_path / "once")
    once = keywords(tmp_path / "once" / "north" / "a2.jpg")
    assert once["XMP-lr:HierarchicalSubject"] == [*FOX_LEVELS, "Trapline|before|fox"]
    flat = once["IPTC:Keywords"] if tag.startswith("IPTC") else once["XMP-dc:Subject"]
    assert sorted(flat) == sorted({"fox", "at night, wet", *FOX})
    blank = keywords(tmp_path / "once" / "north" / "a3.jpg")["XMP-lr:HierarchicalSubject"]
    assert not any("before" in path for path in blank)  # nothing of it is the model's
    clean = keywords(tmp_path / "once" / "north" / f"{other.name}")["XMP-lr:HierarchicalSubject"]
    assert not any("before" in path for path in clean)
    (note,) = [one for one in report.notes if "keywords of their own" in one]
    assert all(word in note for word in ("badger (1)", "fox (1)", "at night, wet (1)"))
    again = Catalog.from_rows(made.catalog.table, tmp_path / "once", "copies")
    second = write(
        made.predictions, again, tmp_path / "twice", format="xmp", taxonomy=made.taxonomy, mode="copy"
    )
    assert keywords(tmp_path / "twice" / "north" / "a2.jpg") == once  # our own of before are not a person's
    assert note in second.notes
