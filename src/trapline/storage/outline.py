"""A folder at an address as readers of folders see it: its folders and names on this machine, and its tables.

What reads a source looks at names, at other tables beside it and into folders, on a disk. So that every
reader can do so, those of guests too, one listing makes a folder of this machine: with the same folders, an
empty file for each photo, and the tables as they are. Photos themselves stay where they are.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from trapline.errors import DataError
from trapline.storage.cache_folder import user_cache_folder
from trapline.storage.copies import below, copy_file
from trapline.storage.remote_path import RemotePath, RemoteStat

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".xmp", ".csv.gz", ".tsv.gz", ".txt.gz", ".json.gz")
"""Of files that are there whole. A zip is, if it is the source itself."""

MOST_BYTES = 8 * 2**30
MOST_BESIDE_A_TABLE = 200_000
"""Files beside and below a table that are there by name; of more, only folders and tables are."""
MOST_OF_A_FOLDER = 2_000_000
_AT_ONCE = 8


@contextmanager
def outlined(source: RemotePath) -> Iterator[dict[Path, RemotePath]]:
    """The outline of a folder, or of the one in which a file lies, as long as the context is open.

    Yields:
        its folder on this machine, and the folder at the address that it stands for.

    Raises:
        DataError: nothing is there; there are too many files, or the tables are too large.
    """
    is_file = source.is_file()
    folder = source.parent if is_file else source
    scratch_folder = user_cache_folder().absolute() / "cloud"
    scratch_folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="outline-", dir=scratch_folder))
    try:
        here = scratch / (folder.name or "bucket")
        here.mkdir()
        _draw(folder, here, source.name if is_file else None)
        yield {here: folder}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _draw(folder: RemotePath, here: Path, only: str | None) -> None:
    """Make the outline.

    Args:
        folder: at the address.
        here: on this machine.
        only: the file in it that is the source; None where the folder is.
    """
    tables: list[tuple[str, RemoteStat]] = []
    folders = {""}
    count = 0
    for name, stat in folder.walk():
        above, _, last = name.rpartition("/")
        if not last:  # what some tools put to have an empty folder
            continue
        if above not in folders:
            below(here, above).mkdir(parents=True, exist_ok=True)
            folders.add(above)
        beside = only is None or "/" not in name
        if name == only or (beside and last.lower().endswith(TABLE_ENDINGS)):
            tables.append((name, stat))
            continue
        count += 1
        if only is None and count > MOST_OF_A_FOLDER:
            raise DataError(
                f"{folder} has more than {MOST_OF_A_FOLDER:,} files. Name a table of its photos, or read it "
                "folder by folder."
            )
        if only is None or count <= MOST_BESIDE_A_TABLE:
            below(here, name).touch()
    if only is None and not count and not tables:
        raise DataError(f"There is nothing at {folder}. Check the path.")
    if sum(stat.size for _, stat in tables) > MOST_BYTES:
        raise DataError(
            f"The tables in {folder} have more than {MOST_BYTES // 2**30} GiB. Put those that belong "
            "together into a folder of their own."
        )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda table: copy_file(folder / table[0], table[1], here / table[0]), tables))
