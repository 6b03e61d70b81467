"""The curve of a review judges what its page fills in."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from trapline.catalog import Catalog
from trapline.prediction import Predictions, fixed_columns
from trapline.review import Audit, DecidedMedia, Decision, DecisionLog
from trapline.review.answering import audit_answers


def test_the_curve_has_the_detectors_word_where_the_model_cannot_say_that_nothing_is_there(
    tmp_path: Path,
) -> None:
    ids = [f"m{number}" for number in range(12)]
    rows = pl.DataFrame({"media_id": ids, "file_path": [f"{name}.jpg" for name in ids]})
    made = Catalog.from_rows(rows, tmp_path, "twelve empty photos")
    boxes = pl.Series("boxes", [[]] * len(ids), made.table.schema["boxes"])
    catalog = made.with_table(made.table.with_columns(boxes))
    table = catalog.table.select(
        (pl.col(name) if name in catalog.table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in fixed_columns("media").items()
    ).with_columns(status=pl.lit("ok"), fox=pl.lit(0.9, pl.Float32), hare=pl.lit(0.1, pl.Float32))
    answers = Predictions(table, ("fox", "hare"), "media", "f" * 16, "single-label", catalog=catalog)
    with DecisionLog.create(tmp_path / "d.db") as log:
        events = [f"media:{name}" for name in ids]
        audit = Audit.open(log, events, [("fox",)] * len(ids), 1)
        for number in range(6):
            draw = audit.next("audit", set())
            assert draw is not None
            name = draw.event.removeprefix("media:")
            media = (DecidedMedia(name, f"{name}.jpg", None, None),)
            log.add(
                Decision(
                    f"d{number}", "Ada", datetime.now(UTC), draw.event, media, True, "blank", asked="audit"
                )
            )
        value, _, _ = audit_answers(log, catalog, answers)
    assert value == 1.0
