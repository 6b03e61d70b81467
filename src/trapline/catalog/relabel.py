"""Labels that come back: what people decided of photos, put onto the media they belong to."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trapline.catalog.identity import equal_files, media_files, sizes_of
from trapline.catalog.table import Catalog
from trapline.errors import DataError
from trapline.taxonomy import BLANK


def relabel(catalog: Catalog, labelled: Catalog) -> Catalog:
    """The catalog with the labels that another one has for the same photos.

    A photo is the same if its content is, under any name; where no file of its content is among the media,
    if its id or its path is the same, to the letter or else with its accents in one form (NFC): it is noted
    how many are taken by their names though their contents differ. Copies of one photo under several labels
    are one photo with several. Media that are not among the labelled ones, or whose copies are called blank
    and something else, keep the labels they had; it is noted how many labels were taken, how many say
    something else than before, and which labelled photos are not of this catalog.

    Args:
        catalog: the media.
        labelled: what was read of sorted folders, a corrected table, …; media without a label are left out.

    Raises:
        DataError: nothing is labelled, or none of the labelled photos is of this catalog.
    """
    labelled = labelled.filter(pl.col("labels").is_not_null())
    if not len(labelled):
        raise DataError(f"{labelled.source} has no labels that could be put into the catalog.")
    owners, differing = _owners(catalog, labelled)
    unknown = labelled.table.filter(~pl.int_range(pl.len()).is_in(owners["labelled"].implode()))
    if unknown.height == len(labelled):
        raise DataError(
            f"None of the {len(labelled):,} labelled photos of {labelled.source} is one of the catalog: "
            f"neither by content nor by name (the first is {unknown['file_path'][0]})."
            f"{_describe_unknown(catalog)}{_describe_unknown(labelled)}"
        )
    labels = labelled.table.select("labels").with_row_index("labelled")
    joined = owners.join(labels, on="labelled", maintain_order="left")
    decided = joined.group_by("row").agg(
        pl.col("labels").list.explode(keep_nulls=False, empty_as_null=False).unique(maintain_order=True)
    )
    contradictory = (pl.col("labels").list.len() > 1) & pl.col("labels").list.contains(BLANK)
    refused, decided = decided.filter(contradictory), decided.filter(~contradictory)
    table = catalog.table.with_row_index("row").join(
        decided, on="row", how="left", maintain_order="left", suffix="_new"
    )
    taken = pl.col("labels_new").is_not_null()
    differs = taken & pl.col("labels").is_not_null()
    differs &= pl.col("labels").list.sort() != pl.col("labels_new").list.sort()
    counts = table.select(taken=taken.sum(), differs=differs.fill_null(False).sum()).row(0)
    note = f"labels of {labelled.source}: put on {counts[0]:,} media, {counts[1]:,} of which had others"
    if differing:
        first = catalog.table["file_path"][differing[0]]
        note += f"; {len(differing):,} of them by their names, though they are other files than here"
        note += f" ({first})"
    if unknown.height:
        first = ", ".join(unknown["file_path"].head(3))
        note += f"; {unknown.height:,} labelled photos are not of this catalog ({first})"
    if refused.height:
        first = catalog.table["file_path"][refused["row"].sort()[0]]
        note += (
            f"; {refused.height:,} are labelled both {BLANK} and otherwise and stay as they were ({first})"
        )
    filled = table.with_columns(pl.coalesce("labels_new", "labels").alias("labels")).drop("row", "labels_new")
    return catalog.with_table(filled, replace(catalog.facts, notes=(*catalog.facts.notes, note)))


def _describe_unknown(catalog: Catalog) -> str:
    """For people: that photos cannot be known by their content, and what helps; empty where all can."""
    unknown = sizes_of(media_files(catalog)).count(None)
    if not unknown:
        return ""
    return (
        f" Of {unknown:,} of the photos of {catalog.source} the content is not known: they are not at "
        f"{catalog.root}, and it was not kept. Where they are now says `trapline catalog CATALOG --root "
        "FOLDER`; `--content` keeps it."
    )


def _owners(catalog: Catalog, labelled: Catalog) -> tuple[pl.DataFrame, list[int]]:
    """Pairs of a `row` of the catalog and one of the `labelled` that are the same photo; and the rows whose
    photos have one name and, as far as they can be read, different contents."""
    pairs: list[tuple[int, int]] = []
    first = len(catalog)
    files = [*media_files(catalog), *media_files(labelled)]
    sizes = sizes_of(files)
    for group in equal_files(files, sizes=sizes):
        pairs += [(row, other - first) for row in group if row < first for other in group if other >= first]
    schema = {"row": pl.UInt32, "labelled": pl.UInt32}
    matches = pl.DataFrame(pairs, schema=schema, orient="row")
    exact = [pl.col(name) for name in ("media_id", "file_path")]
    for name in (*exact, *(name.str.normalize("NFC") for name in exact)):
        ours, theirs = (
            side.table.select(name.alias("name"))
            .with_row_index(index)
            .filter(~pl.col(index).is_in(matches[index].implode()))
            for side, index in ((catalog, "row"), (labelled, "labelled"))
        )
        matches = pl.concat([matches, ours.join(theirs, on="name").select(list(schema))])
    by_name = matches[len(pairs) :].sort(list(schema)).iter_rows()
    differing = [row for row, other in by_name if sizes[row] and sizes[first + other]]
    return matches.sort(list(schema)), differing
