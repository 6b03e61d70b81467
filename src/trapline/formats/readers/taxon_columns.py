"""Columns of ranks beside one another, and the taxon that they name together."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from trapline.taxonomy import RANKS, without_author

_EPITHET = r"^\p{Ll}[\p{Ll}-]*\.?( \p{Ll}[\p{Ll}-]*\.?)*$"
_UNDETERMINED = r"^(sp|spp|indet|cf|aff)\.?$"
_UNDETERMINED_OF_GENUS = r"^(\p{L}+ )?(sp|spp|ssp|indet)\.?$|^(cf|aff)\.?$"


def finest_taxon(table: pl.DataFrame, ranks: Mapping[str, str], names: str | None = None) -> pl.Series:
    """The finest taxon that each row names; String [rows], null where it names none.

    A species is its genus and its epithet, as in `Odocoileus virginianus`; without an epithet (or with one
    like `sp.`) it is the genus, and so on up to the class. Beside a genus, authors of species are left out.

    Args:
        table: columns of text.
        ranks: rank → its column, of those that are there.
        names: a column for what is no taxon, as in a common name of "Vehicle".
    """
    if "genus" in ranks and "species" in ranks:
        table = table.with_columns(_without_authors(table[ranks["species"]]))
    column = {rank: pl.col(name) for rank, name in ranks.items()}
    fallback = [column[rank] for rank in reversed(RANKS) if rank in column and rank != "species"]
    fallback += [pl.col(names)] if names is not None else []
    if "species" in column:
        species = column["species"]
        if "genus" in column:
            genus = column["genus"]
            whole = pl.coalesce(species.str.starts_with(genus + " "), species.str.contains(" ", literal=True))
            species = pl.when(whole).then(species).otherwise(genus + " " + species)
        undetermined = _UNDETERMINED_OF_GENUS if "genus" in column else _UNDETERMINED
        determined = ~column["species"].str.contains(undetermined)
        fallback.insert(0, pl.when(determined).then(species))
    nothing = pl.lit(None, pl.String)
    return table.with_columns(pl.coalesce(nothing, *fallback).alias("_label"))["_label"]


def _without_authors(species: pl.Series) -> pl.Series:
    """String [rows]: without authors and years, so that `Pallas, 1778` is no part of an epithet."""
    names = species.drop_nulls().unique().to_list()
    short = {name: without_author(name) for name in names}
    return species.replace(short) if names else species


def name_taxa_together(table: pl.DataFrame, genus: str, species: str) -> bool:
    """Whether a column of species and one of genera name taxa together, decided from the whole of them.

    So it is where the species are the second words of binomials, or whole ones: those that do not begin with
    their genus are then of small letters, and most are one word. What else stands beside a genus are names
    of another kind, as in `Red fox`.
    """
    pairs = table.select(genus, species).drop_nulls().unique()
    pairs = pairs.with_columns(_without_authors(pairs[species]))
    epithets = pairs.filter(~pl.col(species).str.starts_with(pl.col(genus) + " "))[species]
    single = ~epithets.str.contains(" ", literal=True)
    return (
        pairs.height > 0 and bool(epithets.str.contains(_EPITHET).all()) and 2 * single.sum() >= len(epithets)
    )
