"""Addresses as arguments: what comes in is a file of this machine, what goes out is put; both are named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from trapline import addresses, api
from trapline.addresses import Use, address_of, naming_addresses, standing_for
from trapline.arguments import File, LocalFile, Output, Source, checked, hints_of, refuse_own_input
from trapline.errors import DataError, UsageError
from trapline.storage import RemotePath, as_any_path

RUNS_IN_SHARDS = ("plan_shards", "work", "run_status", "merge_shards", "deal_shards", "write_job_file")


@dataclass(frozen=True)
class Made:
    output: Path
    beside: tuple[Path, ...]
    labels: tuple[str, ...] = ()


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address has a file here; what is put is told."""
    put: list[str] = []

    def here(address: RemotePath, **options: bool) -> Path:
        return tmp_path / address.scheme / address.key

    monkeypatch.setattr(addresses, "fetch", here)
    monkeypatch.setattr(addresses, "stage", here)
    monkeypatch.setattr(addresses, "put_staged", lambda address: put.append(str(address)))
    return put


@checked
def work(
    table: File,
    photos: Source,
    output: Output,
    *,
    more: Sequence[Path | str] = (),
    named: Annotated[Mapping[str, Path | str], "tables by name"] | None = None,
    log: LocalFile | None = None,
    text: str = "",
    say: Callable[[str], object] = print,
    force: bool = False,
) -> Made:
    refuse_own_input(output, table, photos, *more)
    assert isinstance(table, Path)
    assert isinstance(output, Path)
    say(f"reading {table}")
    assert text in ("", "s3://b/a text is no path")
    assert all(isinstance(one, Path) for one in (*more, *(named or {}).values()))
    if isinstance(photos, RemotePath) and photos.key == "bad":
        raise DataError(f"{table} line 3 is wrong.")
    return Made(output, (output.with_name("beside.csv"),), ("fox",))


def test_a_function_of_files_is_called_with_addresses(cloud: list[str]) -> None:
    said: list[str] = []
    made = work(
        "s3://b/t.csv",
        as_any_path("s3://b/photos"),
        "gs://c/out/x.csv",
        more=["s3://b/1.csv"],
        named={"one": "az://d/1.json"},
        text="s3://b/a text is no path",
        say=said.append,
    )
    assert list(map(str, (made.output, *made.beside))) == ["gs://c/out/x.csv", "gs://c/out/beside.csv"]
    assert said == ["reading s3://b/t.csv"]
    assert cloud == ["gs://c/out/x.csv"]


def test_what_fails_is_not_put_and_names_the_address(cloud: list[str]) -> None:
    with pytest.raises(DataError, match=r"^s3://b/t\.csv line 3 is wrong"):
        work("s3://b/t.csv", "s3://b/bad", "s3://b/x.csv")
    with pytest.raises(UsageError, match=r"s3://b/t\.csv is read by the command itself"):
        work("s3://b/t.csv", "s3://b/p", "s3://b/t.csv")
    with pytest.raises(UsageError, match=r"log must be on this machine: s3://b/l\.db is an address"):
        work("s3://b/t.csv", "s3://b/p", "x.csv", log="s3://b/l.db")
    assert cloud == []


def test_a_file_below_one_that_stands_for_an_address_has_its_own(tmp_path: Path) -> None:
    folder = as_any_path("s3://b/run")
    assert isinstance(folder, RemotePath)
    with standing_for({tmp_path / "run": folder}):
        assert str(address_of(tmp_path / "run/a/b.csv")) == "s3://b/run/a/b.csv"
        assert address_of(tmp_path / "other.csv") == tmp_path / "other.csv"
        assert naming_addresses(f"see {tmp_path / 'run'}/a") == "see s3://b/run/a"
    assert address_of(tmp_path / "run") == tmp_path / "run"


@pytest.mark.parametrize("name", api.__all__)
def test_every_output_of_the_python_face_says_what_becomes_of_an_address(name: str) -> None:
    """A copy of what is to be written would be fetched instead."""
    function: Any = getattr(api, name)
    if not hasattr(function, "__wrapped__"):
        return
    for parameter, hint in hints_of(function.__wrapped__).items():
        if parameter in ("output", "folder", "tables", "log", "unpack_to") and name != "show_decisions":
            # the folder of a run in shards is worked in where it lies
            own = (Use.LEADS_ON,) if parameter == "folder" and name in RUNS_IN_SHARDS else ()
            assert addresses._use_of(hint) in (Use.WRITTEN, Use.GOES_ON, Use.LOCAL, *own), parameter
