"""What decisions teach: not what an audit keeps, and of whole events the frames that show something."""

from __future__ import annotations

import warnings

import polars as pl

from trapline.catalog import EVENT_LABELS, Catalog, any_decision, has_decisions, known_labels, without_held
from trapline.errors import TraplineWarning
from trapline.observations import is_sure, kind_of
from trapline.taxonomy import default_kind, plain

UNNAMED = "of an animal that is not named"
"""Why a decision teaches nothing where others name their animals: a class beside its own members."""


def unnamed(catalog: Catalog) -> pl.Expr:
    """Of each media, whether all that is known is that it shows an animal, where others of them are named."""
    known = catalog.table.select(known_labels(catalog.table).list.explode(keep_nulls=False)).to_series()
    animals = [name for name in known.drop_nulls().unique() if default_kind(name) in (None, "animal")]
    coarse = [name for name in animals if plain(name) == "animal"]
    if len(coarse) == len(animals):
        return pl.lit(value=False)
    labels = known_labels(catalog.table)
    return ((labels.list.len() == 1) & labels.list.first().is_in(coarse)).fill_null(value=False)


def teachable(catalog: Catalog, *, frames: bool) -> tuple[Catalog, dict[str, int]]:
    """The media from which may be learnt, and why → how many are left out.

    Args:
        catalog: any; without decisions it stays as it is.
        frames: an event that was decided as a whole teaches its label by its media: those with a sure box of
            the label's kind; where no detector looked, each. What is in a photo that it does not box is not
            known, nor which of several labels is in which. False leaves such labels to the events.
    """
    taught, left_out = _teachable(catalog, frames)
    for why, media in left_out.items():
        warnings.warn(f"{media} media {why} are left out.", TraplineWarning, stacklevel=3)
    return taught, left_out


def _teachable(catalog: Catalog, frames: bool) -> tuple[Catalog, dict[str, int]]:
    catalog, held = without_held(catalog)
    left_out = {"held for an audit": held} if held else {}
    if has_decisions(catalog):
        coarse = catalog.table.select(unnamed(catalog) & any_decision("stands")).to_series()
        left_out |= {UNNAMED: int(coarse.sum())} if coarse.any() else {}
        catalog = catalog.with_table(catalog.table.filter(~coarse))
    if not frames or not has_decisions(catalog) or EVENT_LABELS not in catalog.table.columns:
        return catalog, left_out
    whole = (
        any_decision("stands", "of_event") & pl.col("labels").is_null() & pl.col(EVENT_LABELS).is_not_null()
    )
    rows = catalog.table.select("boxes", labels=pl.when(whole).then(EVENT_LABELS))
    why = [None if labels is None else _why_untaught(boxes, labels) for boxes, labels in rows.iter_rows()]
    reason = pl.Series(why, dtype=pl.String)
    taught = pl.when(pl.lit(reason).is_null()).then(pl.lit(rows["labels"]))
    table = catalog.table.with_columns(pl.coalesce("labels", taught).alias("labels"))
    left_out |= dict(reason.drop_nulls().value_counts(name="media", sort=True).iter_rows())
    return catalog.with_table(table).filter(pl.lit(reason).is_null()), left_out


def _why_untaught(boxes: list[dict[str, object]] | None, labels: list[str]) -> str | None:
    if len(labels) > 1:
        return "of an event with several labels"
    kind = default_kind(labels[0]) or "animal"
    shown = boxes is None or any(is_sure(box) and kind_of(box) in (kind, None) for box in boxes)
    return None if shown else "without a sure box of what their event shows"
