"""Sequences in the form of Hakuna Ma-data: labels of bursts and of frames, order, folders of seasons."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import BySeason, frame_order, number_frames, shot_order, summarise
from trapline.errors import DataError
from trapline.formats import read
from trapline.formats.times import parse_times, wall_clock

METADATA = """seq_id,file_name,datetime
SER_S1#B04#1#1,S1/B04/B04_R1/S1_B04_R1_PICT9999.JPG,2010-07-18 16:26:14
SER_S1#B04#1#1,S1/B04/B04_R1/S1_B04_R1_PICT0001.JPG,2010-07-18 16:26:14
SER_S1#B04#1#2,S1/B04/B04_R1/S1_B04_R1_PICT0003.JPG,2010-07-18 16:26:30
SER_S1#B04#1#2,S1/B04/B04_R1/S1_B04_R1_PICT0002.JPG,2010-07-18 16:26:30
SER_S10#C02#2#1,S10/C02/C02_R2/S10_C02_R2_IMAG0001.JPG,2015-01-01 00:00:00
"""
LABELS = """seq_id,empty,hippopotamus,zebra
SER_S1#B04#1#1,1,0,0
SER_S1#B04#1#2,0,1,1
SER_S10#C02#2#1,0,0,1
"""
FRAMES = """file_name,label
S1/B04/B04_R1/S1_B04_R1_PICT0003.JPG,zebra
S1/B04/B04_R1/S1_B04_R1_PICT0003.JPG,hippopotamus
S1/B04/B04_R1/S1_B04_R1_PICT0002.JPG,empty
"""
TEST = "seq_id,file_name,datetime\nSER_S11#D01#1#1,S11/D01/D01_R1/S11_D01_R1_IMAG0001.JPG,\n"


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Write the CSVs of a small data set; a text of None leaves that file out."""

    def write(**changes: str | None) -> Path:
        texts = {"train_metadata": METADATA, "train_labels": LABELS, "test_metadata": TEST} | changes
        for name, text in texts.items():
            if text is not None:
                (tmp_path / f"{name}.csv").write_text(text)
        return tmp_path

    return write


def test_sequences_are_events_with_labels_of_their_own(files: Callable[..., Path]) -> None:
    catalog = read(files())
    table = catalog.table
    assert catalog.facts.format.name == "hakuna_ma_data"
    assert table["event_id"].to_list()[2:] == ["SER_S1#B04#1#2"] * 2 + ["SER_S10#C02#2#1", "SER_S11#D01#1#1"]
    assert table["labels"].null_count() == len(table)
    assert table["event_labels"].to_list()[1:] == [
        ["blank"],
        ["hippopotamus", "zebra"],
        ["hippopotamus", "zebra"],
        ["zebra"],
        None,
    ]
    assert table["season"].to_list() == ["S1"] * 4 + ["S10", "S11"]
    assert table["location_id"].to_list() == ["B04"] * 4 + ["C02", "D01"]
    assert table["deployment_id"].to_list() == ["S1_B04_R1"] * 4 + ["S10_C02_R2", "S11_D01_R1"]
    assert table["published_split"].to_list() == ["train"] * 5 + ["test"]
    assert table["camera_time"].to_list()[4:] == [datetime(2015, 1, 1), None]
    assert catalog.facts.blank_from == {"empty": 2}
    assert len(read(catalog.root, part="test")) == 1
    assert len(read(catalog.root / "train_metadata.csv")) == 5


def test_frames_follow_time_then_number_across_the_wrap(files: Callable[..., Path]) -> None:
    assert read(files(), part="train").table["frame"].to_list() == [1, 2, 2, 1, 1]


def test_rows_in_another_order_are_the_same_media(files: Callable[..., Path]) -> None:
    in_order = read(files(train_frame_labels=FRAMES))
    header, *rows = METADATA.splitlines()
    other = read(files(train_metadata="\n".join([header, *sorted(rows, reverse=True)])))
    assert other.table["media_id"].to_list() != in_order.table["media_id"].to_list()
    assert other.table.sort("media_id").equals(in_order.table.sort("media_id"))
    assert summarise(other) == summarise(in_order)


def test_labels_of_frames_are_kept_beside_those_of_their_sequence(files: Callable[..., Path]) -> None:
    folder = files(train_frame_labels=FRAMES)
    table = read(folder, part="train").table
    assert table["labels"].to_list() == [None, None, ["zebra", "hippopotamus"], ["blank"], None]
    assert table["event_labels"].to_list()[3] == ["hippopotamus", "zebra"]
    weak = read(folder, part="train", event_labels=True).table
    assert weak["labels"].to_list()[3:] == [["blank"], ["zebra"]]


def test_what_does_not_fit_together_is_told(files: Callable[..., Path]) -> None:
    frames = FRAMES + "S1/B04/B04_R1/S1_B04_R1_PICT9999.JPG,zebra\nS9/none.JPG,zebra\n"
    labels = LABELS.replace("SER_S10#C02#2#1", "SER_S9#C02#2#1").replace("zebra", "zebra,zorilla")
    labels = labels.replace("\nSER_S1#B04#1#1,1,0,0", "\nSER_S1#B04#1#1,1,0,0,0")
    labels = labels.replace("#2,0,1,1", "#2,0,1,1,0").replace("#1,0,0,1", "#1,0,0,1,0")
    notes = read(files(train_frame_labels=frames, train_labels=labels), part="train").facts.notes
    assert list(notes[:6]) == [
        "train_labels.csv: no row has the label zorilla",
        "1 sequence has labels but no images, as SER_S9#C02#2#1 in train_labels.csv line 4",
        "1 sequence has images but no row in train_labels.csv",
        "1 label is of images that are not in the metadata, as S9/none.JPG in train_frame_labels.csv line 6",
        "1 image has a label that their sequence does not have, as S1/B04/B04_R1/S1_B04_R1_PICT9999.JPG",
        f"no folder S1, S10 of images is in {files()}",
    ]


@pytest.mark.parametrize("name", ["SnapshotSerengeti_S{:02d}_v2_0", "season {}", "."])
def test_images_are_found_in_any_folder_of_a_season(files: Callable[..., Path], name: str) -> None:
    folder = files()
    for season in (1, 10):
        (folder / name.format(season) / f"S{season}").mkdir(parents=True)
    paths = read(folder, part="train").table["file_path"].to_list()
    prefix = "" if name == "." else name.format(10) + "/"
    assert paths[4] == f"{prefix}S10/C02/C02_R2/S10_C02_R2_IMAG0001.JPG"
    if prefix:
        (folder / "copy" / "S10").mkdir(parents=True)
        with pytest.raises(DataError, match=r"images of S10 could be in .*copy"):
            read(folder, part="train")
        with pytest.raises(DataError, match="nothing at"):
            read(folder / "nowhere")


def test_sequences_of_another_form_take_place_and_season_from_the_folders(files: Callable[..., Path]) -> None:
    text = "seq_id,file_name\n7,S3/A1/R2/x_1.jpg\n8,y.jpg\n"
    table = read(files(train_metadata=text, train_labels=None)).table
    assert table["season"].to_list() == ["S3", None, "S11"]
    assert table["location_id"].to_list() == ["A1", None, "D01"]
    assert table["deployment_id"].to_list() == ["R2", None, "S11_D01_R1"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"train_metadata": "seq_id,file_name,datetime\na,b.jpg\n"}, "train_metadata.csv line 2 has 2 cells"),
        ({"train_metadata": METADATA + "a,b,c,d\n"}, "train_metadata.csv line 7 has 4 cells"),
        ({"train_metadata": METADATA + ",b.jpg,\n"}, "train_metadata.csv line 7 has no seq_id"),
        (
            {"train_metadata": METADATA + METADATA.split("\n")[1]},
            "media_id that occurs more than once: .*line 2",
        ),
        ({"train_metadata": "seq_id,file_name,datetime\na,../b.jpg,\n"}, "train_metadata.csv line 2"),
        (
            {"train_labels": "zebra\n1\n"},
            "train_labels.csv line 1: the column seq_id is missing; it has: zebra",
        ),
        (
            {"train_labels": LABELS + "SER_S9#A#1#1,0,0,2\n"},
            "train_labels.csv line 5 has for the label 'zebra' '2'",
        ),
        (
            {"train_labels": LABELS + "SER_S9#A#1#1,0,0,no\n"},
            "line 5 has for the label 'zebra' 'no', not 0 or 1",
        ),
        ({"train_labels": LABELS + "SER_S9#A#1#1,0,0\n"}, "train_labels.csv line 5 has 3 cells"),
        ({"train_labels": LABELS + "SER_S9#A#1#1,0,0,0\n"}, "line 5 has no label that is 1"),
        (
            {"train_labels": LABELS + "SER_S1#B04#1#2,0,0,1\n"},
            "more than once: train_labels.csv line 3 and .* 5",
        ),
        ({"train_labels": LABELS.replace("#1#1,1,0,0", "#1#1,1,0,1")}, "'blank' beside another label"),
        (
            {"train_frame_labels": "file,label\n"},
            "train_frame_labels.csv line 1: the column file_name is missing",
        ),
    ],
)
def test_wrong_files_are_refused_with_the_line(
    files: Callable[..., Path], changes: dict[str, str], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        read(files(**changes), strict=True)


def test_labels_may_be_written_as_floats(files: Callable[..., Path]) -> None:
    floats = LABELS.replace(",1", ",1.0").replace(",0", ",0.0")
    assert read(files(train_labels=floats)).table["event_labels"].to_list()[4] == ["zebra"]


@given(
    start=st.integers(0, 9999),
    frames=st.integers(1, 40),
    seconds=st.integers(0, 3),
    seed=st.randoms(use_true_random=False),
)
def test_frames_come_out_as_they_were_shot(start: int, frames: int, seconds: int, seed: object) -> None:
    begin = datetime(2015, 1, 1)
    rows = [
        {
            "event_id": "e",
            "file_path": f"{place}.jpg",
            "camera_time": begin + timedelta(seconds=place * seconds // 3),
            "_frame_number": (start + place - 1) % 9999 + 1,
            "shot": place + 1,
        }
        for place in range(frames)
    ]
    seed.shuffle(rows)  # type: ignore[attr-defined]
    numbered = number_frames(pl.DataFrame(rows))
    assert numbered["frame"].to_list() == numbered["shot"].to_list()
    without = number_frames(pl.DataFrame(rows).drop("camera_time"))
    assert without["frame"].to_list() == numbered["shot"].to_list()


ONE = st.tuples(
    st.none() | st.integers(0, 2).map(lambda second: datetime(2015, 1, 1, 0, 0, second)),
    st.none()
    | st.integers(0, 3)
    | st.integers(9990, 9999)
    | st.integers(995, 1005)
    | st.integers(0, 120_000),
)


@given(st.lists(ONE, min_size=1, max_size=12))
def test_one_event_in_plain_python_is_ordered_as_a_table_is(
    media: list[tuple[datetime | None, int | None]],
) -> None:
    times, numbers = [time for time, _ in media], [number for _, number in media]
    names = [f"{place:02}.jpg" for place in range(len(media))]
    table = pl.DataFrame(
        {"event_id": "e", "file_path": names, "camera_time": times, "_frame_number": numbers},
        schema_overrides={"camera_time": pl.Datetime("us"), "_frame_number": pl.Int64},
    )
    in_order = frame_order(number_frames(table)).tolist()
    assert shot_order(times, numbers, names) == in_order


@pytest.mark.parametrize(
    "text",
    [
        "2015-01-02 03:04:05",
        "2015:1:2T3:04:05.1234567",
        "2015/01/02 03:04",
        "2015-01-02 03:04:05+02:00",
        "2015-02-30 00:00:00",
        "25.01.2015 03:04h",
        "02-Jan-2015 3:04 PM",
        "",
    ],
)
def test_one_time_in_plain_python_is_read_as_a_table_is(text: str) -> None:
    rows = pl.DataFrame({"_time_text": ["2000-01-01 00:00:00", text], "_place": ["a", "b"]})
    assert wall_clock(text) == parse_times(rows, None)[0]["camera_time"][1]


def test_a_season_with_labels_of_sequences_only_is_split(files: Callable[..., Path]) -> None:
    catalog = read(files())
    folds = list(BySeason(folds="each").folds(catalog))
    assert [fold.table["split"].to_list() for fold in folds] == [
        ["validation"] * 4 + ["train", None],
        ["train"] * 4 + ["validation", None],
    ]
    record = BySeason(ratios=(50, 50)).apply(catalog).facts.split
    assert record.parts["train"].labels == {"blank": 2, "hippopotamus": 2, "zebra": 2}
    assert record.lacks["validation"] == ("blank", "hippopotamus")


@pytest.mark.field
def test_real_bursts_keep_their_published_counts(field: Path) -> None:
    catalog = read(field / "trailcam-bursts")
    table = catalog.table
    train = table.filter(pl.col("published_split") == "train")
    events = train.unique("event_id")
    assert (len(train), len(table), len(events)) == (1487, 1933, 299)
    assert int((events["event_labels"].list.len() > 1).sum()) == 21
    assert events["event_labels"].explode().value_counts().sort("event_labels").rows()[:3] == [
        ("black_bear", 1),
        ("blank", 22),
        ("bobcat", 40),
    ]
    assert dict(train["labels"].explode().value_counts().rows())["blank"] == 431
    assert table["labels"].null_count() == 446
    in_order = table.sort("event_id", "frame")
    late = in_order.filter(pl.col("camera_time") < pl.col("camera_time").shift().over("event_id"))
    assert late.height == 0
    assert len(list(BySeason(folds="each").folds(catalog))) == 4
