"""`trapline catalog`: read any source of camera-trap media and tell what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli._common import Force, Json, progress, refuse_as_catalog

if TYPE_CHECKING:
    from datetime import timedelta

    from rich.console import Console

    from trapline.catalog import Catalog, FileCheck, LinkReport


def run(
    source: Annotated[
        Path, typer.Argument(help="A folder, a table or an existing catalog.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the catalog here (Parquet).")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The name of a reader, or auto.")] = "auto",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="ROLE=NAME",
            help="What a column is for, as in label=species (again for more).",
        ),
    ] = None,
    label_separator: Annotated[
        str | None, typer.Option("--label-separator", help="What stands between several labels in one cell.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Of a table as text, as in cp1252.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", help="The folder that a table's paths start from.", exists=True, file_okay=False
        ),
    ] = None,
    location: Annotated[
        str | None, typer.Option("--location", help="Card folder: the one location of all photos.")
    ] = None,
    location_level: Annotated[
        int | None,
        typer.Option(
            "--location-level", help="Card folder: which folder level is the location [1]; 0: none."
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern", help="Folders: a regular expression over paths, as in '(?P<location>C\\d+)'."
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option("--levels", help="Class folders: what each folder level is, as in location/label."),
    ] = None,
    label_from: Annotated[
        str | None,
        typer.Option("--label-from", help="Class folders: deepest folder or whole path is the label."),
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="MegaDetector's JSON, to join its boxes by file name.")
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", help="Also make a tree of class folders here, of links.")
    ] = None,
    link_kind: Annotated[str, typer.Option("--link-kind", help="symlink or hardlink.")] = "symlink",
    part: Annotated[
        str | None, typer.Option("--part", help="DrivenData, Hakuna Ma-data: train or test only.")
    ] = None,
    classified_by: Annotated[
        str | None,
        typer.Option("--classified-by", help="Camtrap DP: labels by human, machine or all [human]."),
    ] = None,
    event_labels: Annotated[
        bool,
        typer.Option(
            "--event-labels", help="Camtrap DP, Hakuna Ma-data: labels of events count for their photos."
        ),
    ] = False,
    keep_urls: Annotated[
        bool, typer.Option("--keep-urls", help="Camtrap DP: keep the rows of media that are URLs.")
    ] = False,
    unpack_to: Annotated[
        Path | None, typer.Option("--unpack-to", help="Camtrap DP: unpack a zip's photos into this folder.")
    ] = None,
    blank: Annotated[
        list[str] | None,
        typer.Option("--blank", metavar="LABEL", help="A label that means 'nothing there' (again for more)."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Of the cameras' clocks, as Area/City.")
    ] = None,
    exif: Annotated[
        bool,
        typer.Option("--exif", help="Tables, class folders: take the times from the photos' EXIF data."),
    ] = False,
    time_format: Annotated[str | None, typer.Option("--time-format", help="As in '%d/%m/%Y %H:%M'.")] = None,
    clock_shifts: Annotated[
        Path | None,
        typer.Option("--clock-shifts", help="A CSV of cameras whose clocks were wrong, and by how much."),
    ] = None,
    event_gap: Annotated[
        str | None,
        typer.Option("--event-gap", help="Media closer in time than this are one event, as in 60s."),
    ] = None,
    join_gap: Annotated[
        str | None,
        typer.Option("--join-events", help="Join the source's own events closer in time than this."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check", help="quick: files there and equal; full: decode them all; none. [default: quick]"
        ),
    ] = None,
    json: Json = False,
    force: Force = False,
) -> None:
    """Read media from any source, print what was found, and write the catalog."""
    from dataclasses import asdict

    from trapline.catalog import join_events, link_class_folders, refuse_gone, summarise
    from trapline.errors import UsageError
    from trapline.formats import join_boxes, read

    if check not in (None, "none", "quick", "full"):
        raise UsageError(f"--check takes none, quick or full, not '{check}'.")
    if output is not None:
        refuse_as_catalog(output, force)
    given: dict[str, Any] = {
        "columns": _columns(column),
        "label_separator": label_separator,
        "encoding": encoding,
        "root": root,
        "part": part,
        "location": location,
        "location_level": location_level,
        "pattern": pattern,
        "levels": levels,
        "label_from": label_from,
        "classified_by": classified_by,
        "event_labels": event_labels or None,
        "keep_urls": keep_urls or None,
        "unpack_to": unpack_to,
        "blank": blank,
        "timezone": timezone,
        "time_format": time_format,
        "clock_shifts": clock_shifts,
        "exif": exif or None,
        "event_gap": _gap(event_gap, "--event-gap"),
    }
    catalog = read(
        source, format=format, **{name: value for name, value in given.items() if value is not None}
    )
    if boxes is not None:
        catalog = join_boxes(catalog, boxes)
    join = _gap(join_gap, "--join-events")
    if join is not None:
        catalog = join_events(catalog, join)
    if exif or check in ("quick", "full"):  # asked of the photos, and not only of what a table says of them
        refuse_gone(catalog)
    files = None if check == "none" else _check(catalog, full=check == "full")
    linked = None if links is None else link_class_folders(catalog, links, kind=link_kind)
    if output is not None:
        catalog.save(output)
    if json:
        import json as writer

        found = {
            **summarise(catalog),
            "files": files and files.as_dict(),
            "links": linked and asdict(linked),
            "output": output and str(output),
        }
        typer.echo(writer.dumps(found, indent=1, default=str))
    else:
        _show(catalog, files)
        if linked is not None:
            typer.echo(f"Links in {links}: {_linked(linked)}")
        if output is not None:
            typer.echo(f"Written: {output}")


def _check(catalog: Catalog, *, full: bool) -> FileCheck:
    from trapline.catalog import check_files

    with progress() as display:
        task = display.add_task("checking files", total=len(catalog) * (1 + full), rate="")
        return check_files(catalog, full=full, on_file=lambda: display.advance(task))


def _columns(pairs: list[str] | None) -> dict[str, str] | None:
    from trapline.errors import UsageError

    if pairs is None:
        return None
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--column takes ROLE=NAME, as in label=species; not '{pair}'.")
    return {role: name for role, _, name in (pair.partition("=") for pair in pairs)}


def _gap(text: str | None, option: str) -> timedelta | None:
    import re
    from datetime import timedelta

    from trapline.errors import UsageError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h)?", text.strip())
    if found is None:
        raise UsageError(f"{option} takes a time as in 60s, 5min or 1h; not '{text}'.")
    unit = {"s": 1, None: 1, "min": 60, "m": 60, "h": 3600}[found[2]]
    return timedelta(seconds=float(found[1]) * unit)


def _linked(report: LinkReport) -> str:
    from dataclasses import asdict

    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(report).items() if count)


def _show(catalog: Catalog, files: FileCheck | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from trapline.catalog import summarise

    found = summarise(catalog)
    console = Console(soft_wrap=True, highlight=False, markup=False)  # labels may hold brackets
    why = f" ({found['format']['name']}: {found['format']['why']})" if found["format"] else ""
    console.print(f"{found['source']}{why}", style="bold")
    facts = _facts(found)
    wide = max(len(name) for name, _ in facts)
    for name, value in facts:
        console.print(f"{name:<{wide}}  {value}")
    of_events = found["event_labels"]
    for what, number, counts in (
        ("media", found["labelled"], found["labels"]),
        ("events", of_events and of_events["events"], of_events and of_events["labels"]),
    ):
        if counts:
            table = Table("label")
            table.add_column(what, justify="right")
            table.add_column("share", justify="right")
            for label, count in counts.items():
                table.add_row(Text(label), f"{count:,}", f"{100 * count / number:.1f} %")
            console.print(table)
    for note in found["notes"]:
        console.print(f"note: {note}")
    if files is not None:
        _show_files(console, files)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    times, boxes = found["times"], found["boxes"]
    facts = [
        ("media", f"{found['media']:,}, of which {found['labelled']:,} labelled"),
        ("labels", f"{len(found['labels'])}; {found['several_labels']:,} media have several"),
        ("locations", _known(found["locations"], found["without_location"])),
        ("events", _known(found["events"], found["without_event"])),
    ]
    of_events = found["event_labels"]
    if of_events:
        said = f"{of_events['events']:,} events; {of_events['several_labels']:,} of them have several"
        facts.append(("labels of events", said))
    if times["known"]:
        zone = (
            f"{times['zone_aware']:,} with their zone"
            if times["zone_aware"]
            else "no zone (--timezone gives one)"
        )
        sources = ", ".join(f"{name} {count:,}" for name, count in times["sources"].items())
        facts.append(
            ("times", f"{times['known']:,}, {times['first']} to {times['last']}; {zone}; from {sources}")
        )
    else:
        facts.append(("times", "none"))
    if boxes["media_not_searched"] < found["media"]:
        facts.append(
            (
                "boxes",
                f"{boxes['media_with']:,} media with, "
                f"{boxes['media_with_none_found']:,} where none was found, "
                f"{boxes['media_not_searched']:,} not searched",
            )
        )
    joined = boxes["joined"]
    if joined:
        facts.append(
            (
                f"boxes of {joined['file']}",
                f"{joined['matched']:,} media; detector failed on {joined['failed']:,}; "
                f"{joined['media_not_in_file']:,} media not in it; "
                f"{joined['names_not_in_catalog']:,} of its names not in the catalog",
            )
        )
    for part, of_part in found["parts"].items():
        facts.append((f"part {part}", f"{of_part['media']:,} media, {of_part['locations']:,} locations"))
    return facts


def _known(number: int, without: int) -> str:
    if not number:
        return "none"
    return f"{number:,}" + (f"; {without:,} media without" if without else "")


def _show_files(console: Console, files: FileCheck) -> None:
    for name, what in (
        ("missing", "Missing files"),
        ("unreadable", "Files that cannot be read"),
        ("damaged", "Damaged files"),
        ("same_path", "Files named by several media"),
        ("duplicates", "Groups of equal files"),
        ("conflicts", "Groups of equal files with different labels"),
        ("near_duplicates", "Groups that look alike, of different events"),
        ("near_conflicts", "Groups that look alike, with different labels"),
    ):
        found = getattr(files, name)
        if name in ("unreadable", "damaged"):
            shown = [reason.rstrip(".") for _, reason in found]  # the reason names the file
        else:
            shown = [media if isinstance(media, str) else " = ".join(media[:4]) for media in found]
        if shown:
            more = "; …" if len(shown) > 3 else ""
            console.print(f"{what}: {len(shown):,} ({'; '.join(shown[:3])}{more})", style="yellow")
    if not any(value for name, value in files.as_dict().items() if name != "depth"):
        console.print(f"Files: all there, none equal ({files.depth} check).")
