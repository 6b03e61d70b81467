"""`trapline download`: a data set or another file from an address, checked and unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli._common import Force, Json, download_progress, print_json
from trapline.errors import many

if TYPE_CHECKING:
    from trapline.storage import Downloaded


def run(
    url: Annotated[str, typer.Argument(help="Of a file: https://…", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write; with --unpack the new folder.")
    ],
    sha256: Annotated[str | None, typer.Option(help="What the file must have, in hexadecimal.")] = None,
    unpack: Annotated[
        bool, typer.Option("--unpack", help="Unpack a zip or tar archive; only its content is kept.")
    ] = False,
    most: Annotated[
        float, typer.Option(min=0, metavar="GB", help="Refuse more than this, packed or unpacked.")
    ] = 20.0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Fetch the file at URL. Run again to go on where it broke off."""
    from trapline import api

    with download_progress() as show:
        downloaded = api.download(
            url,
            output,
            sha256=sha256,
            unpack=unpack,
            most_bytes=int(most * 1e9),
            force=force,
            progress=show,
        )
    _show(downloaded, output, json)


def _show(downloaded: Downloaded, output: Path, json: bool) -> None:
    names = downloaded.files
    if json:
        facts = {"output": output.as_posix(), "bytes": downloaded.size, "sha256": downloaded.sha256}
        facts |= {"fetched": downloaded.fetched} | ({} if names is None else {"files": len(names)})
        print_json(facts, indent=1)
        return
    what = f"{downloaded.size / 1e6:,.1f} MB" if names is None else many(len(names), "file")
    there = " It was there already." if not downloaded.fetched else ""
    typer.echo(f"Wrote {output}: {what}, SHA-256 {downloaded.sha256}.{there}")
