"""What AddaxAI's models say in its tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trapline.formats.addaxai_tables import AddaxaiExport, open_addaxai, recognise_addaxai
from trapline.formats.answers.registry import VERIFIED, ToolAnswers, answer_reader
from trapline.tables import read_numbers, reject_rows
from trapline.taxonomy import BLANK


@answer_reader("addaxai", recognise=recognise_addaxai)
def read_addaxai_answers(source: Path) -> ToolAnswers:
    """AddaxAI's tables of files or of detections: of each file what its models say of the surest detection.

    Where the classifier said nothing it is the detector's category. A file without a detection, of which only
    the table of files knows, is `blank`, with what its surest detection leaves of 1 if that is known. Of what
    a person verified, only later tables of detections keep the model's word.

    Args:
        source: the CSV or TSV; that of the other kind is read too where it lies beside it.
    """
    export = open_addaxai(source)
    files = reject_rows(export.base, pl.col("relative_path").is_null(), "names no file")
    best = _surest_detections(export)
    rows = files.unique(export.key, keep="first", maintain_order=True).join(
        best, left_on=export.key, right_on="_key", how="left", maintain_order="left"
    )
    most = read_numbers(rows["max_confidence"], most=1) if "max_confidence" in rows.columns else None
    left = 1.0 if most is None else 1 - most.fill_null(0.0)
    whole = export.is_new and "absolute_path" in rows.columns  # relative: below the folder of a deployment
    rows = rows.select(
        (pl.coalesce("absolute_path", "relative_path") if whole else pl.col("relative_path")).alias("name"),
        export.is_empty.alias("empty"),
        export.is_verified.alias("verified"),
        pl.coalesce("_label", pl.when(export.is_empty).then(pl.lit(BLANK))).alias("label"),
        pl.coalesce("_score", pl.when(export.is_empty).then(left)).alias("score"),
    )
    names, labels, scores = (rows[name].to_list() for name in ("name", "label", "score"))
    told = [
        {label: score} if label is not None and score is not None else {}
        for label, score in zip(labels, scores, strict=True)
    ]
    reasons = [
        None
        if answer
        else VERIFIED
        if verified and not export.is_new
        else "it has no label with a confidence"
        for answer, verified in zip(told, rows["verified"], strict=True)
    ]
    notes = [f"read together: {', '.join(export.names)}"] if len(export.names) > 1 else []
    if most is None and rows["empty"].any():
        notes.append("how sure it is that a photo is blank is not told: 1 stands for it")
    return ToolAnswers.of_scores(
        told,
        names,
        reasons,
        tool="AddaxAI",
        task="single-label",
        kept=1,
        entry="file {}".format,
        notes=notes,
    )


def _surest_detections(export: AddaxaiExport) -> pl.DataFrame:
    """`_key` of each file with a detection, and of its surest one `_label` and `_score` by the models.

    Without the table of detections, that of later versions tells of the surest detection itself.
    """
    table = export.detections
    if table is None:
        if not export.is_new:
            return pl.DataFrame(schema={"_key": pl.String, "_label": pl.String, "_score": pl.Float64})
        table = export.base.filter(~export.is_empty & ~export.is_verified).rename(
            {"observation_type": "detection_category"}
        )
    confidence = "detection_confidence" if export.is_new else "confidence"
    number = {
        name: read_numbers(table[name], most=1)
        for name in (confidence, "classification_confidence", "ai_classification_confidence")
        if name in table.columns
    }
    table = table.with_columns(**number)
    label, score = pl.col("label" if not export.is_new else "detection_category"), pl.col(confidence)
    if export.is_new:
        # what a person chose has taken the model's place, whose word is kept beside it
        own = "ai_classification" if "ai_classification_confidence" in number else "classification"
        classified = pl.col(f"{own}_label").is_not_null() & pl.col(f"{own}_confidence").is_not_null()
        label = pl.when(classified).then(f"{own}_label").otherwise(label)
        score = pl.when(classified).then(f"{own}_confidence").otherwise(score)
    return (
        table.select(
            pl.col(export.key).alias("_key"),
            pl.col(confidence).alias("_sure"),
            label.alias("_label"),
            score.alias("_score"),
        )
        .drop_nulls()
        .sort("_sure", descending=True, maintain_order=True)
        .unique("_key", keep="first", maintain_order=True)
        .drop("_sure")
    )
