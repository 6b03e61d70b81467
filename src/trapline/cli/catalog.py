"""`trapline catalog`: read any source of camera-trap media and tell what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.addresses import Use
from trapline.cli._common import (
    Decisions,
    Force,
    Json,
    RowsPerFile,
    SureOnly,
    print_json,
    progress,
    refuse_as_catalog,
)
from trapline.errors import many

if TYPE_CHECKING:
    from rich.console import Console

    from trapline.catalog import Catalog, FileCheck, LinkReport


def run(
    source: Annotated[
        Path, typer.Argument(help="A folder, a table or an existing catalog.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the catalog here (Parquet).")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="auto, or one of: {formats}.")] = "auto",
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="MegaDetector's JSON, to join its boxes by file name.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Put the labels of this source (folders sorted by hand, a corrected table) on the same "
            "photos, known by content.",
        ),
    ] = None,
    decisions: Decisions = None,
    sure_only: SureOnly = False,
    links: Annotated[
        Path | None,
        typer.Option("--links", help="Also make a tree of class folders here, of links."),
        Use.LOCAL,
    ] = None,
    link_kind: Annotated[str, typer.Option("--link-kind", help="symlink or hardlink.")] = "symlink",
    *,
    options: dict[str, Any],
    event_gap: Annotated[
        str | None,
        typer.Option("--event-gap", help="Media closer in time than this are one event, as in 60s."),
    ] = None,
    join_gap: Annotated[
        str | None,
        typer.Option("--join-events", help="Join the source's own events closer in time than this."),
    ] = None,
    content: Annotated[
        bool,
        typer.Option(
            "--content", help="Read every file whole, and keep what it is known by when renamed or moved."
        ),
    ] = False,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            help="quick: files there and equal; full: decode them all, and keep --content; none. "
            "[default: quick]",
        ),
    ] = None,
    rows_per_file: RowsPerFile = None,
    json: Json = False,
    force: Force = False,
) -> None:
    """Read media from any source, print what was found, and write the catalog."""
    from dataclasses import asdict

    from trapline import api
    from trapline.catalog import link_class_folders, refuse_gone, summarise
    from trapline.errors import UsageError

    if check not in (None, "none", "quick", "full"):
        raise UsageError(f"--check takes none, quick or full, not '{check}'.")
    if output is not None:
        refuse_as_catalog(output, force)
    elif rows_per_file is not None:
        raise UsageError("--rows-per-file is of the catalog that is written: name it with -o.")
    catalog = api.read(
        source,
        format=format,
        boxes=boxes,
        labels=labels,
        event_gap=event_gap,
        join_events=join_gap,
        content=content or (check == "full" and output is not None),  # which reads them whole anyhow
        decisions=decisions,
        sure_only=sure_only,
        options=options,
    )
    if options.get("exif") or check in ("quick", "full"):  # asked of the photos, not only of a table
        refuse_gone(catalog)
    files = None if check == "none" else _check(catalog, full=check == "full")
    linked = None if links is None else link_class_folders(catalog, links, kind=link_kind)
    if output is not None:
        catalog.save(output, rows_per_file=rows_per_file)
    if json:
        document = {
            **summarise(catalog),
            "files": files and files.as_dict(),
            "links": linked and asdict(linked),
            "output": output and str(output),
        }
        print_json(document, indent=1)
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
        return check_files(catalog, full=full, on_file=lambda number: display.advance(task, number))


def _linked(report: LinkReport) -> str:
    from dataclasses import asdict

    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(report).items() if count)


def _show(catalog: Catalog, files: FileCheck | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from trapline.catalog import summarise

    summary = summarise(catalog)
    console = Console(soft_wrap=True, highlight=False, markup=False)  # labels may hold brackets
    why = f" ({summary['format']['name']}: {summary['format']['why']})" if summary["format"] else ""
    console.print(f"{summary['source']}{why}", style="bold")
    facts = _facts(summary)
    wide = max(len(name) for name, _ in facts)
    for name, value in facts:
        console.print(f"{name:<{wide}}  {value}")
    of_events = summary["event_labels"]
    for what, number, counts in (
        ("media", summary["labelled"], summary["labels"]),
        ("events", of_events and of_events["events"], of_events and of_events["labels"]),
    ):
        if counts:
            table = Table("label")
            table.add_column(what, justify="right")
            table.add_column("share", justify="right")
            for label, count in counts.items():
                table.add_row(Text(label), f"{count:,}", f"{100 * count / number:.1f} %")
            console.print(table)
    for note in summary["notes"]:
        console.print(f"note: {note}")
    if files is not None:
        _show_files(console, files)


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    times, boxes = summary["times"], summary["boxes"]
    facts = [
        ("media", f"{summary['media']:,}, of which {summary['labelled']:,} labelled"),
        ("labels", f"{len(summary['labels'])}; {many(summary['several_labels'], 'media has')} several"),
        ("locations", _known(summary["locations"], summary["without_location"])),
        ("events", _known(summary["events"], summary["without_event"])),
    ]
    of_events = summary["event_labels"]
    if of_events:
        sentence = (
            f"{many(of_events['events'], 'event')}; {of_events['several_labels']:,} of them have several"
        )
        facts.append(("labels of events", sentence))
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
    if boxes["media_not_searched"] < summary["media"]:
        facts.append(
            (
                "boxes",
                f"{boxes['media_with']:,} media with, "
                f"{boxes['media_with_none_found']:,} where none was found, "
                f"{boxes['media_not_searched']:,} not searched",
            )
        )
    if boxes["joined"]:
        facts.append(_source_of_boxes(boxes["joined"]))
    for part, of_part in summary["parts"].items():
        facts.append(
            (f"part {part}", f"{of_part['media']:,} media, {many(of_part['locations'], 'location')}")
        )
    return facts


def _source_of_boxes(boxes: dict[str, Any]) -> tuple[str, str]:
    """Where the boxes come from: a detector that was run, or a file that was joined."""
    if "fingerprint" in boxes:
        return (
            f"boxes by {boxes['detector']}",
            f"{boxes['media']:,} media looked at, {boxes['failed']:,} failed",
        )
    videos = f"; {boxes['videos']:,} of its entries are videos" if "videos" in boxes else ""
    return (
        f"boxes of {boxes['file']}",
        f"{boxes['matched']:,} media; detector failed on {boxes['failed']:,}; "
        f"{boxes['media_not_in_file']:,} media not in it; "
        f"{boxes['names_not_in_catalog']:,} of its names not in the catalog{videos}",
    )


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
        files_found = getattr(files, name)
        if name == "unreadable":
            shown = [reason.rstrip(".") for _, reason in files_found]  # the reason names the file
        elif name == "damaged":
            shown = [f"{media}: {reason.rstrip('.')}" for media, reason in files_found]
        else:
            shown = [media if isinstance(media, str) else " = ".join(media[:4]) for media in files_found]
        if shown:
            more = "; …" if len(shown) > 3 else ""
            console.print(f"{what}: {len(shown):,} ({'; '.join(shown[:3])}{more})", style="yellow")
    if not any(value for name, value in files.as_dict().items() if name != "depth"):
        console.print(f"Files: all there, none equal ({files.depth} check).")
