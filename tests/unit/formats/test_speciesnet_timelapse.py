"""SpeciesNet's JSON and Timelapse's CSV as catalogs."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import DataError, TraplineError, UsageError
from trapline.formats import read

DETECTION = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
ENTRY = {
    "filepath": "a/1.jpg",
    "detections": [DETECTION, DETECTION | {"category": "2", "label": "human"}],
    "prediction": "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox",
    "prediction_score": 0.8,
}


def json_file(folder: Path, document: Any) -> Path:
    path = folder / "predictions.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_predictions_bring_boxes_and_no_labels(tmp_path: Path) -> None:
    entries = [
        ENTRY,
        {"filepath": "a\\2.jpg", "failures": ["DETECTOR", "CLASSIFIER"], "model_version": "4"},
        {"filepath": "a/3.jpg", "detections": []},
        {"filepath": "https://example.org/4.jpg", "detections": []},
    ]
    catalog = read(json_file(tmp_path, {"predictions": entries}))
    assert catalog.facts.format.name == "speciesnet"
    assert catalog.table["file_path"].to_list() == ["a/1.jpg", "a/2.jpg", "a/3.jpg"]
    boxes = catalog.table["boxes"].to_list()
    assert [box["category"] for box in boxes[0]] == ["animal", "person"]
    assert boxes[1:] == [None, []]
    assert catalog.labels == []
    assert catalog.table["speciesnet_prediction"][0].endswith("red fox")
    assert any("1 entry left out: URLs" in note for note in catalog.facts.notes)
    assert any("on 1 photo a part of SpeciesNet failed" in note for note in catalog.facts.notes)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"images": []}, "neither 'predictions' nor 'instances'"),
        ({"predictions": [{"file": "x"}]}, r"predictions\[0\] has no 'filepath'"),
        (
            {"predictions": [ENTRY, ENTRY | {"detections": 3}]},
            r"predictions\[1\] has detections that are no list",
        ),
        (
            {"predictions": [ENTRY | {"detections": [DETECTION | {"bbox": [0, 0, 500, 3]}]}]},
            r"\[0\] has a wrong",
        ),
        ({"predictions": [ENTRY | {"detections": [{"conf": 1}]}]}, r"\[0\] has a wrong detection"),
        ({"predictions": [ENTRY | {"detections": False}]}, "detections that are no list"),
        ({"predictions": [ENTRY | {"prediction_score": "much"}]}, "has the prediction_score 'much'"),
        ({"predictions": [ENTRY, ENTRY | {"prediction": "another"}]}, "more than once"),
        ({"predictions": []}, "No media"),
    ],
)
def test_speciesnet_entries_that_are_wrong_are_named(document: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=complaint):
        read(json_file(tmp_path, document), format="speciesnet", strict=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["filepath", "detections", "bbox", "conf", "category", "prediction_score"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(entries=st.lists(JSON, max_size=3))
def test_speciesnet_nonsense_raises_nothing_but_our_error(
    entries: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = json_file(tmp_path_factory.mktemp("fuzz"), {"predictions": entries})
    with contextlib.suppress(TraplineError):
        read(path, format="speciesnet")


@pytest.mark.field
def test_speciesnets_own_lists_are_read(field: Path) -> None:
    folder = field / "fixtures" / "speciesnet_testdata"
    good = read(folder / "test_data" / "instances.json", root=folder)
    assert sum(path.is_file() for path in good.paths()) == len(good)
    bad = read(folder / "test_data" / "instances_with_errors.json", root=folder)
    assert bad.facts.others["speciesnet"]["left_out_as_urls"] == 4
    assert bad.table["file_path"][0] == "test_data/missing.jpg"


TIMELAPSE = (
    "RootFolder,File,RelativePath,DateTime,DeleteFlag,Species,Count,Station\n"
    "proj,IMG1.JPG,st1\\card 1,2021-03-01 06:00:00,false,fox,1,st1\n"
    "proj,IMG1.JPG,st1\\card 1,2021-03-01 06:00:00,false,badger,2,st1\n"
    "proj,IMG2.JPG,st1\\card 1,2021-03-01 06:00:05,true,empty,0,st1\n"
    "proj,IMG3.JPG,,2021-03-02 06:00:00,false,,,st2\n"
)


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "ImageData.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_timelapse_export_is_recognised_and_read(tmp_path: Path) -> None:
    catalog = read(csv_file(tmp_path, TIMELAPSE))
    assert catalog.facts.format.name == "timelapse"
    table = catalog.table
    assert table["file_path"].to_list() == ["st1/card 1/IMG1.JPG", "st1/card 1/IMG2.JPG", "IMG3.JPG"]
    assert table["labels"].to_list() == [["fox", "badger"], ["blank"], None]
    assert table["location_id"].to_list() == ["st1", "st1", "st2"]
    assert table["camera_time"][1].second == 5
    assert table["timelapse_Count"].to_list() == ["1; 2", "0", None]
    assert table["timelapse_DeleteFlag"].to_list() == ["false", "true", "false"]


def test_older_exports_and_own_columns_are_read_when_named(tmp_path: Path) -> None:
    text = TIMELAPSE.replace("DateTime", "Date,Time").replace("2021-03-0", "0").replace("Species", "Wer")
    text = "\n".join(
        line.replace(" 06", "-Mar-2021,06") if line.startswith("proj") else line for line in text.splitlines()
    )
    catalog = read(csv_file(tmp_path, text), columns={"label": "Wer"}, time_format="%d-%b-%Y %H:%M:%S")
    assert catalog.table["camera_time"][2].day == 2
    assert catalog.labels == ["badger", "blank", "fox"]
    assert read(csv_file(tmp_path, text), time_format="%d-%b-%Y %H:%M:%S").labels == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("RelativePath", "Where"), "lacks the column RelativePath"),
        (("proj,IMG3.JPG", "proj,"), "line 5 names no file"),
        (("badger,2,st1", "badger,2,st7"), "line 2.*disagree on the location"),
        (("06:00:00,false,badger", "07:00:00,false,badger"), "disagree on the time"),
    ],
)
def test_a_timelapse_export_that_is_wrong_is_named_by_line(
    change: tuple[str, str], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=complaint):
        read(csv_file(tmp_path, TIMELAPSE.replace(*change)), format="timelapse", strict=True)
    with pytest.raises(UsageError, match="not path"):
        read(csv_file(tmp_path, TIMELAPSE), format="timelapse", columns={"path": "File"})
    with pytest.raises(DataError, match="no column 'Tier'"):
        read(csv_file(tmp_path, TIMELAPSE), columns={"label": "Tier"})


@pytest.mark.parametrize(
    ("offset", "clock"),
    [("-8.00", "05:05:03"), ("5,75", "18:50:03"), ("0", "13:05:03"), ("", "13:05:03")],
)
def test_timelapse_times_in_utc_are_the_cameras_by_the_offset_beside_them(
    offset: str, clock: str, tmp_path: Path
) -> None:
    source = tmp_path / "t.csv"
    source.write_text(
        f'File,RelativePath,DateTime,UtcOffset\na.jpg,,2019-12-24T13:05:03.000Z,"{offset}"\n',
        encoding="utf-8",
    )
    table = read(source).table
    assert str(table["camera_time"][0]) == f"2019-12-24 {clock}"
    assert str(table["timestamp"].dt.replace_time_zone(None)[0]) == "2019-12-24 13:05:03"


def test_whole_paths_of_another_folder_say_that_it_is_to_be_named(tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    cards.mkdir()
    entries = [{"filepath": (cards / name).as_posix()} for name in ("A/1.jpg", "x.jpg")]
    path = tmp_path / "elsewhere" / "instances.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"instances": entries}))
    with pytest.raises(DataError, match=r"not below .*A/1.jpg'.*with --root FOLDER"):
        read(path)
    assert read(path, root=cards).table["file_path"].to_list() == ["A/1.jpg", "x.jpg"]
