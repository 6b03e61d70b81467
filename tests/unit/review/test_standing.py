"""What the decisions of an event's media come to, by one rule for the page, the audit and the overview."""

import polars as pl
import pytest

from trapline.review.standing import CURRENT, together


@pytest.mark.parametrize(
    ("said", "comes_to"),
    [
        (["seen hare", "seen fox", "blank"], ["fox", "hare"]),
        (["blank", "blank"], ["blank"]),
        (["blank", "cannot tell"], []),
        (["cannot tell", "seen fox"], ["fox"]),
        (["cannot tell"], []),
    ],
)
def test_of_an_event_everything_that_is_seen_counts_and_blank_only_if_all_is(
    said: list[str], comes_to: list[str]
) -> None:
    words = [one.removeprefix("cannot ").split() for one in said]
    rows = pl.DataFrame(
        {
            "event": ["another", *["this"] * len(said)],
            "verdict": ["blank", *["cannot tell" if word == ["tell"] else word[0] for word in words]],
            "labels": [[], *[[{"label": label, "count": None} for label in word[1:]] for word in words]],
        },
        schema_overrides={"labels": CURRENT["labels"]},
    )
    rows = rows.with_columns(labels=pl.when(pl.col("verdict") == "seen").then("labels").otherwise([]))
    events = dict(rows.group_by("event").agg(together()).iter_rows())
    assert events == {"another": ["blank"], "this": comes_to}
