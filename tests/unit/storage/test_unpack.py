"""Archives from elsewhere are unpacked whole or not at all, and never outside their folder."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trapline.errors import DataError, UsageError
from trapline.storage import unpack

FILES = {"site/a.jpg": b"photo" * 1000, "labels.csv": b"a,b\n", "site/Jura é.jpg": b"another"}


def member(name: str, content: bytes = b"x", **settings: object) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.size = len(content)
    for key, value in settings.items():
        setattr(found, key, value)
    return found, content


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_each_kind_is_unpacked(kind: str, tmp_path: Path) -> None:
    source = tmp_path / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
    else:
        tar(source, *(member(*each) for each in FILES.items()), mode=f"w:{kind.partition('.')[2]}")
    assert sorted(unpack(source, tmp_path / "set")) == sorted(FILES)
    for name, content in FILES.items():
        assert (tmp_path / "set" / name).read_bytes() == content
    with pytest.raises(UsageError, match="exists"):
        unpack(source, tmp_path / "set")


def cut(path: Path) -> Path:
    tar(path, member("a", bytes(range(256)) * 100))
    path.write_bytes(path.read_bytes()[:-40])
    return path


def plain(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A tar of three members, changed."""
    tar(path, *(member(name, bytes(1000)) for name in "abc"), mode="w")
    path.write_bytes(change(path.read_bytes()))
    return path


def chained(path: Path) -> Path:
    """Thousands of headers for the name of one member."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    path.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")) * 5000)
    return path


def deep(path: Path) -> Path:
    """A header that says its attributes have a gigabyte."""
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    return path


def lying(path: Path) -> Path:
    """A zip with a file that is larger than it says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(range(256)) * 4000)
    content = path.read_bytes()
    path.write_bytes(content.replace((256 * 4000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "up": (lambda path: tar(path, member("../out")), "a path outside"),
    "root": (lambda path: tar(path, member("/etc/out")), "a path outside"),
    "drive": (lambda path: tar(path, member("C:\\out")), "a path outside"),
    "link": (lambda path: tar(path, member("a", b"", type=tarfile.SYMTYPE, linkname="/etc")), "a link"),
    "hard link": (
        lambda path: tar(path, member("a", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
        "a link",
    ),
    "device": (lambda path: tar(path, member("a", b"", type=tarfile.CHRTYPE)), "a link or device"),
    "pipe": (lambda path: tar(path, member("a", b"", type=tarfile.FIFOTYPE)), "a link or device"),
    "bomb": (lambda path: tar(path, member("a", bytes(50_000_000))), "more than is believable"),
    "twice": (lambda path: tar(path, member("a"), member("a")), "cannot be unpacked"),
    "cut": (cut, "cannot be unpacked"),
    "cut between members": (lambda path: plain(path, lambda tar: tar[:3072]), "before the archive's end"),
    "cut in a header": (lambda path: plain(path, lambda tar: tar[:3172]), "before the archive's end"),
    "a damaged header": (
        lambda path: plain(path, lambda tar: tar[:3082] + b"?" + tar[3083:]),
        "before the archive's end",
    ),
    "no checksum at the end": (
        lambda path: plain(path, lambda tar: gzip.compress(tar)[:-8]),
        "cannot be unpacked",
    ),
    "a wrong checksum": (
        lambda path: plain(path, lambda tar: gzip.compress(tar)[:-8] + bytes(8)),
        "cannot be unpacked: CRC",
    ),
    "two in one": (lambda path: plain(path, lambda tar: tar + tar), "goes on behind its end"),
    "headers": (chained, "as a zip or tar archive: maximum recursion"),
    "attributes": (deep, "as a zip or tar archive: a header of 1073741824 bytes"),
    "more than a zip says": (lying, "cannot be unpacked: Bad CRC"),
    "none": (
        lambda path: path.write_bytes(b"no archive") and path,
        "cannot be unpacked as a zip or tar archive",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_leaves_nothing(what: str, tmp_path: Path) -> None:
    make, complaint = REFUSED[what]
    source = make(tmp_path / "set.tar.gz")
    with pytest.raises(DataError, match=complaint):
        unpack(source, tmp_path / "deep" / "er" / "set")
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == ["set.tar.gz"]


def test_a_tar_whose_last_member_is_a_zip_is_a_tar(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner.jpg", b"photo")
    source = tar(tmp_path / "set.tar", member("a.jpg"), member("b.zip", packed.getvalue()), mode="w")
    assert unpack(source, tmp_path / "set") == ["a.jpg", "b.zip"]


def test_a_tar_packed_in_pieces_is_unpacked_whole(tmp_path: Path) -> None:
    whole = tar(tmp_path / "set.tar", *(member(name, bytes(1000)) for name in "abc"), mode="w").read_bytes()
    (tmp_path / "set.tar.gz").write_bytes(gzip.compress(whole[:3072]) + gzip.compress(whole[3072:]))
    assert unpack(tmp_path / "set.tar.gz", tmp_path / "set") == ["a", "b", "c"]


def test_more_than_was_allowed_is_refused(tmp_path: Path) -> None:
    source = tar(tmp_path / "set.tar", member("a", bytes(2000)), mode="w")
    with pytest.raises(DataError, match="more than is believable"):
        unpack(source, tmp_path / "set", max_bytes=1000)
