"""Every reader: what it recognises, what it reads, and what it refuses."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trapline.catalog import AtRandom, Catalog, check_leaks
from trapline.errors import DataError, UsageError
from trapline.formats import READERS, join_boxes, read
from trapline.formats.readers.registry import choose_reader


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_csv", ".csv")).write_text(text)
    return folder


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


# --- the registry


@pytest.mark.parametrize("name", list(READERS))
def test_each_reader_says_what_it_reads_and_refuses_what_is_not_there(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    assert reader.description.endswith(".")
    assert reader.recognise(tmp_path / "missing") is None
    with pytest.raises(DataError, match="nothing at"):
        read(tmp_path / "missing", format=name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        read(tmp_path / "empty", format=name)
    with pytest.raises(UsageError, match="has no option 'colour'"):
        read(tmp_path / "empty", format=name, colour="red")


def test_an_unknown_kind_of_file_names_the_formats(tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(DataError, match=r"no format that Trapline recognises.*csv"):
        read(tmp_path / "a.doc")


def test_a_catalog_is_read_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.jpg")
    read(tmp_path, exif=False).save(tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet").table["location_id"].to_list() == ["A"]
    with pytest.raises(UsageError, match="a catalog already"):
        read(tmp_path / "c.parquet", blank=["nothing"])


# --- DrivenData

FEATURES = "id,filepath,site\na,train_features/a.jpg,S1\nb,train_features/b.jpg,S2\n"
LABELS = "id,blank,hog\nb,0.0,1.0\na,1.0,0.0\n"
TEST = "id,filepath,site\nc,test_features/c.jpg,S3\n"


@pytest.mark.parametrize(
    "names",
    [
        ("train_features", "train_labels", "test_features"),
        ("training_set_features", "training_set_labels", "test_set_features"),
    ],
)
def test_drivendata_joins_by_id_under_both_sets_of_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(
        tmp_path, **{f"{name}_csv": text for name, text in zip(names, (FEATURES, LABELS, TEST), strict=True)}
    )
    catalog = read(tmp_path)
    assert catalog.facts.format.name == "drivendata"
    assert catalog.table["media_id"].to_list() == ["a", "b", "c"]
    assert catalog.table["labels"].to_list() == [["blank"], ["hog"], None]
    assert catalog.table["location_id"].to_list() == ["S1", "S2", "S3"]
    assert catalog.table["published_split"].to_list() == ["train", "train", "test"]
    assert len(read(tmp_path, part="test")) == 1
    assert len(read(tmp_path / f"{names[0]}.csv")) == 2


def test_drivendata_metadata_of_other_media_are_counted_and_named(tmp_path: Path) -> None:
    metadata = "id,seq_id\nb,q1\nz9,q7\nz8,q7\n"
    write(tmp_path, train_features_csv=FEATURES, train_labels_csv=LABELS, train_metadata_csv=metadata)
    (note,) = [note for note in read(tmp_path).facts.notes if "train_metadata.csv" in note]
    assert note.startswith(
        "2 of 3 ids of train_metadata.csv are not among the features and are left out: 'z9'"
    )
    assert "line 3" in note


def test_drivendata_metadata_give_events_times_and_the_published_split(tmp_path: Path) -> None:
    metadata = "id,seq_id,timestamp,published_split,note\nb,q1,2020-01-02 03:04:05,val,windy\n"
    write(tmp_path, train_features_csv=FEATURES, train_labels_csv=LABELS, train_metadata_csv=metadata)
    table = read(tmp_path).table
    assert table["event_id"].to_list() == [None, "q1"]
    assert table["camera_time"].to_list() == [None, datetime(2020, 1, 2, 3, 4, 5)]
    assert table["published_split"].to_list() == ["train", "val"]
    assert table["note"].to_list() == [None, "windy"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"train_features_csv": "id,site\na,S1\n"},
            "line 1: the column filepath is missing; it has: id, site",
        ),
        (
            {"train_features_csv": FEATURES + "a,x.jpg,S1\n"},
            "train_features.csv line 2.*train_features.csv line 4",
        ),
        ({"train_labels_csv": "hog\n1\n"}, "train_labels.csv line 1: the column id is missing"),
        ({"train_labels_csv": "id\na\n"}, "no label columns"),
        ({"train_labels_csv": LABELS + "b,1,0\n"}, "'b' occurs more than once: train_labels.csv line 2 and"),
        (
            {"train_labels_csv": LABELS + "z,1,0\n"},
            "train_labels.csv line 4 has labels for the id 'z', which is not",
        ),
        (
            {"train_labels_csv": "id,blank,hog\na,0.3,0.7\n"},
            "line 2 has for the label 'blank' '0.3', not 0 or 1",
        ),
        ({"train_labels_csv": "id,blank,hog\na,,1\n"}, "line 2 has for the label 'blank' nothing"),
        ({"train_labels_csv": "id,blank,hog\na,0,0\n"}, "line 2 has no label that is 1"),
        (
            {"train_labels_csv": "id,blank,hog\na,1,1\n"},
            "train_features.csv line 2 has 'blank' beside another label",
        ),
    ],
)
def test_wrong_drivendata_files_are_refused_with_file_and_line(
    tmp_path: Path, files: dict[str, str], complaint: str
) -> None:
    write(tmp_path, **{"train_features_csv": FEATURES, "train_labels_csv": LABELS, **files})
    with pytest.raises(DataError, match=complaint):
        read(tmp_path, strict=True)


def test_a_class_without_media_is_told(tmp_path: Path) -> None:
    write(tmp_path, train_features_csv=FEATURES, train_labels_csv="id,blank,hog,eland\na,1,0,0\nb,0,1,0\n")
    assert read(tmp_path).facts.notes == ("train_labels.csv: no row has the label eland",)


# --- class folders


def test_class_folders_with_a_split_level(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "train/fox/1.jpg",
        "train/empty/2.jpg",
        "val/fox/3.JPG",
        "test/4.jpg",
        "train/fox/._1.jpg",
        "train/notes.txt",
    )
    (tmp_path / "val/hare").mkdir()
    catalog = read(tmp_path)
    assert catalog.facts.format.name == "class_folders"
    found = {row["file_path"]: (row["split"], row["labels"]) for row in catalog.table.iter_rows(named=True)}
    assert found == {
        "test/4.jpg": ("test", None),
        "train/empty/2.jpg": ("train", ["blank"]),
        "train/fox/1.jpg": ("train", ["fox"]),
        "val/fox/3.JPG": ("validation", ["fox"]),
    }
    notes = " ".join(catalog.facts.notes)
    assert "1 hidden files" in notes
    assert "1 .txt files" in notes
    assert "folders without a picture: val/hare" in notes


def test_nested_taxa_give_the_deepest_folder_or_the_whole_path(tmp_path: Path) -> None:
    touch(tmp_path, "felidae/lynx/lynx_lynx/12_a.jpg", "felidae/lynx/lynx_lynx/12_b.jpg", "canidae/3_a.jpg")
    catalog = read(tmp_path)
    assert catalog.facts.format.name == "class_folders"
    assert "families of animals (canidae)" in catalog.facts.format.why
    assert catalog.labels == ["canidae", "lynx_lynx"]
    assert catalog.table["event_id"].to_list() == ["3", "12", "12"]
    assert catalog.table["frame"].to_list() == [1, 1, 2]
    assert read(tmp_path, format="class_folders", label_from="path").labels == [
        "canidae",
        "felidae/lynx/lynx_lynx",
    ]


def test_crops_of_one_observation_are_one_event_also_among_other_files(tmp_path: Path) -> None:
    crops = [
        "fox/12_a.jpg",
        "fox/12_b.jpg",
        "fox/obs400_A.jpg",
        "deer/obs400_B.jpg",
        "deer/7_z.jpg",
        "deer/7_aa.jpg",
    ]
    touch(tmp_path, *crops, "fox/cover.jpg", "deer/IMG_a.jpg", "deer/IMG_b.jpg", "empty/scene_x_ab.jpg")
    for photo in tmp_path.rglob("*.jpg"):
        photo.write_bytes(photo.name.encode())  # equal files would stay together by themselves
    catalog = read(tmp_path, format="class_folders")
    found = dict(catalog.table.select("file_path", "event_id").iter_rows())
    assert [found[crop] for crop in crops] == ["12", "12", "obs400", "obs400", "7", "7"]
    assert sum(event is None for event in found.values()) == 4
    frames = dict(catalog.table.select("file_path", "frame").iter_rows())
    assert [frames[crop] for crop in crops] == [1, 2, 1, 2, 26, 27]
    assert check_leaks(AtRandom(ratios=(60, 40)).apply(catalog)).events == ()
    assert any("6 of 10 files are named <observation>_<letters>" in note for note in catalog.facts.notes)


def test_names_of_which_no_two_share_an_observation_make_no_events(tmp_path: Path) -> None:
    touch(tmp_path, "fox/IMG_0001_HD.jpg", "fox/IMG_0002_HD.jpg", "deer/IMG_0003_HD.jpg")
    catalog = read(tmp_path, format="class_folders")
    assert catalog.table["event_id"].null_count() == 3
    assert not any("observation" in note for note in catalog.facts.notes)


@pytest.mark.parametrize(
    "photos",
    [
        ["mammalia/carnivora/felidae/lynx/1.jpg", "mammalia/carnivora/canidae/2.jpg"],
        ["Felidae/Lynx/Lynx lynx/1.jpg", "@eaDir/x.jpg"],
    ],
)
def test_trees_that_lead_to_families_everywhere_are_taxa(photos: list[str], tmp_path: Path) -> None:
    assert choose_reader(touch(tmp_path, *photos))[0].name == "class_folders"


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        (["felidae/lynx/1.jpg", "north/2.jpg"], "felidae is a family of animals and north is none"),
        (["felidae/1.jpg", "vehicle/2.jpg"], "vehicle is none"),
        (["lynx/lynx_lynx/1.jpg", "vulpes/vulpes_lagopus/2.jpg"], "may be a genus and its species"),
        (["north/north_left/1.jpg", "south/south_right/2.jpg"], "or a location and its camera"),
    ],
)
def test_what_may_be_labels_or_cameras_is_refused(photos: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as refused:
        read(touch(tmp_path, *photos))
    assert "--format class-folders" in str(refused.value)
    assert "--format photo-folder" in str(refused.value)
    read(tmp_path, format="photo_folder")
    read(tmp_path, format="class_folders")


@pytest.mark.parametrize(
    "photos",
    [
        ["C1/DCIM/100RECNX/1.jpg", "C2/DCIM/100RECNX/1.jpg"],
        ["CA01/CA01_R1/1.jpg", "CA02/CA02_R1/1.jpg"],
        ["north/2020-01-01/1.jpg", "south/2020-01-02/1.jpg"],
        ["20200101/20200101_a/1.jpg"],
        ["north/north_left/1.jpg", "south/card/2.jpg"],
        ["lynx valley/1.jpg", "Idaeberg/2.jpg"],
        ["1.jpg"],
    ],
)
def test_cards_are_never_taken_for_labels(photos: list[str], tmp_path: Path) -> None:
    assert choose_reader(touch(tmp_path, *photos))[0].name == "photo_folder"


def test_a_folder_name_in_two_places_is_no_label_by_itself(tmp_path: Path) -> None:
    touch(tmp_path, "S1/fox/1.jpg", "S2/fox/1.jpg")
    with pytest.raises(DataError, match=r"'fox' occurs in several folders \(S1/fox, S2/fox\)"):
        read(tmp_path, format="class_folders")
    catalog = read(tmp_path, format="class_folders", levels="location/label")
    assert catalog.table["location_id"].to_list() == ["S1", "S2"]
    assert catalog.labels == ["fox"]
    with pytest.raises(DataError, match="less deep"):
        read(tmp_path, format="class_folders", levels="split/location/label")


# --- card folders


def photo(path: Path, time: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if time is not None:
        exif.get_ifd(0x8769)[0x9003] = time
        exif[0x010F] = "Acme"
    Image.new("L", (8, 8)).save(path, exif=exif)


def test_a_card_folder_has_exif_times_locations_and_events(tmp_path: Path) -> None:
    for n, time in enumerate(("2020:01:01 10:00:00", "2020:01:01 10:00:02", "2020:01:01 11:00:00", None)):
        photo(tmp_path / f"C1/DCIM/100RECNX/IMG_000{n}.JPG", time)
    photo(tmp_path / "C2/IMG_0000.JPG", "2020:01:01 10:00:01")
    photo(tmp_path / "20200101/IMG_0000.JPG", None)  # eight digits are no folder of a camera's making
    photo(tmp_path / "DCIM/IMG_0009.JPG", "2020:01:01 10:00:01")
    catalog = read(tmp_path)
    assert catalog.facts.format.name == "photo_folder"
    table = catalog.table
    assert table["location_id"].to_list() == ["20200101", "C1", "C1", "C1", "C1", "C2", None]
    assert table["event_id"].to_list() == [
        None,
        "C1/2020-01-01T10:00:00",
        "C1/2020-01-01T10:00:00",
        "C1/2020-01-01T11:00:00",
        None,
        "C2/2020-01-01T10:00:01",
        "2020-01-01T10:00:01",
    ]
    assert table["frame"].to_list() == [None, 1, 2, 1, None, 1, 1]
    assert table["timestamp_source"].to_list() == ["none"] + ["exif"] * 3 + ["none"] + ["exif"] * 2
    assert table["timestamp"].null_count() == 7
    assert table["camera_make"].drop_nulls().unique().to_list() == ["Acme"]
    assert table["labels"].null_count() == 7
    assert any("EXIF: 2 photos have no time" in note for note in catalog.facts.notes)


def test_a_pattern_finds_location_and_time_in_names(tmp_path: Path) -> None:
    photo(tmp_path / "card/K12_20200504_213055_2.jpg", "2006:01:01 00:00:00")
    photo(tmp_path / "card/other.jpg", "2006:01:01 00:00:00")
    pattern = r"(?P<location>K\d+)_(?P<time>\d{8}_\d{6})_(?P<frame>\d)"
    table = read(tmp_path, pattern=pattern, time_format="%Y%m%d_%H%M%S").table
    assert table["location_id"].to_list() == ["K12", "card"]
    assert table["camera_time"].to_list() == [datetime(2020, 5, 4, 21, 30, 55), datetime(2006, 1, 1)]
    assert table["timestamp_source"].to_list() == ["filename", "exif"]
    assert table["frame"].to_list() == [2, 1]


@pytest.mark.parametrize(
    ("pattern", "error"), [("(", UsageError), (r"\d+", UsageError), ("(?P<location>Z9)", DataError)]
)
def test_a_pattern_that_cannot_work_is_refused(tmp_path: Path, pattern: str, error: type[Exception]) -> None:
    touch(tmp_path, "A/1.jpg")
    with pytest.raises(error):
        read(tmp_path, pattern=pattern, exif=False)


@pytest.mark.parametrize("form", ["csv", "class_folders"])
def test_a_source_without_times_takes_those_of_the_photos_when_asked(tmp_path: Path, form: str) -> None:
    for n, time in enumerate(("2020:01:01 10:00:00", "2020:01:01 10:00:09", "2020:01:02 10:00:00", None)):
        photo(tmp_path / f"train/fox/{n}.jpg", time)
    table = tmp_path / "labels.csv"
    table.write_text("path,label,site\n" + "".join(f"train/fox/{n}.jpg,fox,A\n" for n in range(5)))
    source = table if form == "csv" else tmp_path
    without = read(source, format=form)
    assert without.table["camera_time"].null_count() == len(without)
    found = read(source, format=form, exif=True, event_gap=timedelta(minutes=1))
    assert found.table["camera_time"].to_list()[:3] == [
        datetime(2020, 1, 1, 10), datetime(2020, 1, 1, 10, 0, 9), datetime(2020, 1, 2, 10)
    ]  # fmt: skip
    assert found.table["timestamp_source"].to_list()[2:4] == ["exif", "none"]
    assert found.table["event_id"].n_unique() == 3  # two, and none for the photo without a time
    assert any("1 photo has no time" in note for note in found.facts.notes)
    if form == "csv":  # the fifth is not there: it stays a row
        assert len(found) == 5
        assert any("no column holds times; `trapline catalog --exif`" in note for note in without.facts.notes)


@pytest.mark.parametrize(
    ("header", "told"),
    [("path,label,camera", "one of camera does"), ("path,label", "add one"), ("path,label,site", "")],
)
def test_a_table_without_known_locations_says_how_to_name_them(
    tmp_path: Path, header: str, told: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"{header}\na.jpg,fox,A\n" if header.count(",") == 2 else f"{header}\na.jpg,fox\n")
    notes = [note for note in read(table).facts.notes if "hold locations" in note]
    assert len(notes) == bool(told)
    assert all(told in note and "--column location=NAME" in note for note in notes)


def test_times_are_not_taken_from_two_places(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label,time\na.jpg,fox,2020-01-01 10:00:00\n")
    with pytest.raises(UsageError, match="--column time="):
        read(table, exif=True)


def test_one_location_for_all(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.jpg", "2.jpg")
    assert read(tmp_path, location="ridge", exif=False).table["location_id"].to_list() == ["ridge", "ridge"]
    assert read(tmp_path, location_level=0, exif=False).table["location_id"].null_count() == 2


# --- COCO Camera Traps


def coco(folder: Path, **changes: Any) -> Path:
    document: dict[str, Any] = {
        "info": {"version": "1", "description": "d"},
        "images": [
            {
                "id": "i1",
                "file_name": "a\\1.jpg",
                "width": 100,
                "height": 50,
                "location": 7,
                "seq_id": "s",
                "frame_num": 0,
                "datetime": "2020-01-01 10:00:00",
            },
            {"id": "i2", "file_name": "a/2.jpg", "width": 100, "height": 50},
            {"id": "i3", "file_name": "a/3.jpg"},
        ],
        "categories": [
            {"id": 0, "name": "Bird"},
            {"id": 5, "name": "empty"},
            {"id": 6, "name": "Fox"},
            {"id": 7, "name": "Fox"},
        ],
        "annotations": [
            {
                "id": "1",
                "image_id": "i1",
                "category_id": 0,
                "bbox": [10, 10, 20, 10],
                "sequence_level_annotation": True,
            },
            {"id": "2", "image_id": "i1", "category_id": 6, "bbox": [50, 10, 80, 10]},
            {"id": "3", "image_id": "i1", "category_id": 7},
            {"id": "4", "image_id": "i2", "category_id": 5},
        ],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps({**document, **changes}))
    return path


def test_coco_categories_go_by_name_and_boxes_become_fractions(tmp_path: Path) -> None:
    catalog = read(coco(tmp_path))
    assert catalog.facts.format.name == "coco_camera_traps"
    table = catalog.table
    assert table["labels"].to_list() == [["Bird", "Fox"], ["blank"], None]
    assert table["location_id"].to_list() == ["7", None, None]
    assert table["event_id"].to_list() == ["s", None, None]
    assert table["frame"].to_list() == [0, None, None]
    assert table["camera_time"][0] == datetime(2020, 1, 1, 10)
    assert table["sequence_level"].to_list() == [True, False, None]
    bird, fox = table["boxes"][0].to_list()
    assert bird == {
        "category": "Bird",
        "conf": 1.0,
        "x": 0.1,
        "y": 0.2,
        "width": pytest.approx(0.2),
        "height": pytest.approx(0.2),
    }
    assert fox["x"] + fox["width"] == 1.0
    assert table["boxes"].null_count() == 2
    notes = " ".join(catalog.facts.notes)
    assert "the categories 6 and 7 are both called 'Fox'" in notes
    assert "1 box clipped, past" in notes


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"images": {}}, "'images' is no list"),
        ({"images": []}, "names no images"),
        ({"images": [{"id": "i1"}]}, r"images\[0\] has no 'file_name'"),
        (
            {"images": [{"id": "i1", "file_name": "a"}, {"id": "i1", "file_name": "b"}], "annotations": []},
            r"more than once: .*images\[0\]",
        ),
        ({"annotations": [{"image_id": "i9", "category_id": 0}]}, r"annotations\[0\] has the image_id i9"),
        (
            {"annotations": [{"image_id": "i1", "category_id": 99}]},
            r"annotations\[0\] has the category_id 99",
        ),
        (
            {"annotations": [{"image_id": "i3", "category_id": 0, "bbox": [1, 2, 3, 4]}]},
            "no width and height",
        ),
        ({"annotations": [{"image_id": "i1", "category_id": 0, "bbox": [1, 2, 3]}]}, "not four numbers"),
        (
            {"annotations": [{"image_id": "i1", "category_id": c} for c in (0, 5)]},
            r"images\[0\] has 'blank' beside another label",
        ),
    ],
)
def test_wrong_coco_is_refused_with_the_entry(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        read(coco(tmp_path, **changes), strict=True)


# --- MegaDetector


def batch(folder: Path, entries: list[dict[str, Any]], **more: Any) -> Path:
    path = folder / "md.json"
    document = {
        "info": {"format_version": "1.5", "detector": "md"},
        "detection_categories": {"1": "animal"},
        "images": entries,
    }
    path.write_text(json.dumps({**document, **more}))
    return path


def detection(**changes: Any) -> dict[str, Any]:
    return {"category": "1", "conf": 0.5, "bbox": [0.1, 0.2, 0.3, 0.4], **changes}


def test_boxes_are_joined_with_and_without_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.jpg", "A/2.jpg", "B/3.jpg", "B/4.jpg", "B/5.jpg")
    catalog = read(tmp_path, exif=False)
    path = batch(
        tmp_path,
        [
            {"file": "A/1.jpg", "detections": [detection()]},
            {"file": "cards\\A\\2.jpg", "detections": []},
            {"file": "3.jpg", "detections": [detection(bbox=[0.9999, 0, 0.0003, 1.0])]},
            {"file": "B/4.jpg", "failure": "Failure image access", "detections": None},
            {"file": "Z/9.jpg", "detections": []},
        ],
    )
    joined = join_boxes(catalog, path)
    boxes = joined.table["boxes"].to_list()
    assert boxes[0] == [
        {
            "category": "animal",
            "conf": 0.5,
            "x": 0.1,
            "y": 0.2,
            "width": pytest.approx(0.3),
            "height": pytest.approx(0.4),
        }
    ]
    assert boxes[1] == []
    assert boxes[2][0]["x"] + boxes[2][0]["width"] == 1.0
    assert boxes[3:] == [None, None]
    facts = joined.facts.boxes
    assert (facts.matched, facts.failed, facts.media_not_in_file, facts.names_not_in_catalog) == (
        4,
        1,
        1,
        1,
    )


def test_boxes_go_to_every_media_that_is_the_file(tmp_path: Path) -> None:
    rows = [
        {"media_id": name, "file_path": path} for name, path in (("a", "1.jpg"), ("b", "1.jpg"), ("c", "2"))
    ]
    catalog = Catalog.from_rows(rows, tmp_path, "rows")
    joined = join_boxes(catalog, batch(tmp_path, [{"file": "x/1.jpg", "detections": [detection()]}]))
    assert [boxes and len(boxes) for boxes in joined.table["boxes"].to_list()] == [1, 1, None]
    facts = joined.facts.boxes
    assert (facts.matched, facts.media_not_in_file, facts.names_not_in_catalog) == (2, 1, 0)


@pytest.mark.parametrize(
    ("images", "more", "complaint"),
    [
        (
            [{"file": "1.jpg", "detections": []}],
            {},
            r"images\[0\] \(1.jpg\) could be any of 2 media: A/1.jpg, B/1.jpg",
        ),
        (
            [{"file": name, "detections": []} for name in ("A/1.jpg", "x/A/1.jpg")],
            {},
            "both match the media A/1.jpg",
        ),
        ([{"file": "Z/9.jpg", "detections": []}], {}, "names no media of the catalog: 'Z/9.jpg' there"),
        ([{"file": "A/1.jpg", "detections": [detection(category="7")]}], {}, r"images\[0\].*category '7'"),
        ([{"file": "A/1.jpg", "detections": [detection(bbox=[10, 20, 30, 40])]}], {}, "not .* fractions"),
        (
            [{"file": "A/1.jpg", "detections": [{"category": "1", "conf": 1}]}],
            {},
            r"images\[0\].*wrong detection",
        ),
        ([{"file": "A/1.jpg"}], {}, "neither detections nor a failure"),
        ([{"detections": []}], {}, r"images\[0\] has no 'file'"),
        (
            [],
            {"images": None, "annotations": []},
            "not in MegaDetector's batch format: its 'images' are no list",
        ),
        ([], {"images": None, "annotations": 7}, "run_detector_batch"),
        ([], {"detection_categories": None}, "'detection_categories' are no names by id"),
    ],
)
def test_wrong_boxes_are_refused_with_the_entry(
    tmp_path: Path, images: list[dict[str, Any]], more: dict[str, Any], complaint: str
) -> None:
    touch(tmp_path, "A/1.jpg", "B/1.jpg")
    with pytest.raises(DataError, match=complaint):
        join_boxes(read(tmp_path, exif=False), batch(tmp_path, images, **more))


def test_what_is_not_json_is_named_with_its_line(tmp_path: Path) -> None:
    touch(tmp_path, "A/1.jpg")
    (tmp_path / "md.json").write_text('{"images":\n oops}')
    with pytest.raises(DataError, match="line 2 column 2 is not JSON"):
        join_boxes(read(tmp_path, exif=False), tmp_path / "md.json")


def test_the_reader_that_was_taken_says_why(tmp_path: Path) -> None:
    touch(tmp_path, "empty/1.jpg", "fox/2.jpg")
    reader, why = choose_reader(tmp_path)
    assert (reader.name, why) == ("class_folders", "it has a folder 'empty' beside others")
    assert choose_reader(touch(tmp_path / "cards", "C1/1.jpg"))[0].name == "photo_folder"
