"""Labels of several columns, cells that say nothing, and rows of a table that are of no photo."""

from pathlib import Path

import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read


def table(folder: Path, text: str, **options: object) -> Catalog:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return read(path, **options)


def timelapse(columns: str, *rows: str) -> str:
    below = [f"{n}.jpg,,2024-05-01 10:00:00,{row}\n" for n, row in enumerate(rows)]
    return f"File,RelativePath,DateTime,{columns}\n" + "".join(below)


def plain(columns: str, *rows: str) -> str:
    return f"file,{columns}\n" + "".join(f"{n}.jpg,{row}\n" for n, row in enumerate(rows))


def says(catalog: Catalog, part: str) -> bool:
    return any(part in note for note in catalog.facts.notes)


KINDS = pytest.mark.parametrize("write", [plain, timelapse])


@KINDS
@pytest.mark.parametrize(
    ("first", "second"),
    [("Species1", "Species2"), ("species_1", "species_2"), ("Species", "Species 2"), ("Label", "Label.1")],
)
def test_numbered_columns_are_labels_together(write, first: str, second: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = write(
        f"{first},Count1,{second},Count2", "fox,1,hare,2", "fox,1,,", ",,fox,3", ",,,", "fox,1,fox,2"
    )
    catalog = table(tmp_path, text)
    assert catalog.table["labels"].to_list() == [["fox", "hare"], ["fox"], ["fox"], None, ["fox"]]
    assert says(catalog, f"labels from '{first}', '{second}'")
    alone = table(tmp_path, text, columns={"label": first})
    assert alone.table["labels"].to_list() == [["fox"], ["fox"], None, None, ["fox"]]


@KINDS
def test_columns_that_are_named_are_labels_together(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = write("Art,Zweitart", "fox,hare", "fox|deer,-", "NA,")
    catalog = table(tmp_path, text, columns={"label": "Art,Zweitart"}, label_separator="|")
    assert catalog.table["labels"].to_list() == [["fox", "hare"], ["fox", "deer"], None]
    one = table(tmp_path, write('"Art,Zweitart"', "fox"), columns={"label": "Art,Zweitart"})
    assert one.table["labels"].to_list() == [["fox"]]
    with pytest.raises(DataError, match="there is no column 'Art,Dritte'"):
        table(tmp_path, text, columns={"label": "Art,Dritte"})


@KINDS
@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("TRUE", "FALSE"), ("true", ""), ("1.0", "0.0")])
def test_columns_of_0_and_1_are_told_of_and_are_labels_when_named(
    write, yes: str, no: str, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    text = write("fox,hare,note", f"{yes},{no},a", f"{yes},{yes},b", f"{no},{no},c")
    kept = table(tmp_path, text)
    assert kept.labels == []
    assert says(kept, "fox, hare hold only 0 and 1")
    assert says(kept, "--column label=fox,hare")
    catalog = table(tmp_path, text, columns={"label": "fox,hare"})
    assert catalog.table["labels"].to_list() == [["fox"], ["fox", "hare"], None]
    assert says(catalog, "labels are the names of the columns 'fox', 'hare' that are 1")


def test_numbered_labels_beside_scores_may_be_a_models_answers(tmp_path: Path) -> None:
    text = "file,label1,score1,label2,score2\na.jpg,fox,0.9,hare,0.1\n"
    catalog = table(tmp_path, text)
    assert catalog.labels == []
    assert says(catalog, "label1,label2 stand beside scores")
    assert table(tmp_path, text, columns={"label": "label1,label2"}).labels == ["fox", "hare"]


@KINDS
@pytest.mark.parametrize("word", ["-", "--", "–", "?", "???"])
def test_a_sign_alone_says_nothing_and_is_counted(write, word: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = write("Species,Station,Remark", f"{word},{word},{word}", "fox,A,x", f"{word},B,y")
    catalog = table(tmp_path, text)
    assert catalog.table["labels"].to_list() == [None, ["fox"], None]
    assert catalog.table["location_id"].to_list() == [None, "A", "B"]
    assert says(catalog, f"'{word}' in Species (2)")
    assert word in catalog.table[catalog.table.columns[-1]].to_list()  # remarks stay as they are
    kept = table(tmp_path, text, not_missing=[word])
    assert (kept.table["labels"][0].to_list(), kept.table["location_id"][0]) == ([word], word)


@pytest.mark.parametrize("row", ["Total,,3", "Sum,2,3", "name of the file,what is seen,number"])
def test_a_row_that_is_of_no_photo_is_listed(row: str, tmp_path: Path) -> None:
    text = f"file,species,count\na.jpg,fox,1\n{row}\nb.jpg,hare,2\n"
    catalog = table(tmp_path, text)
    assert catalog.table["file_path"].to_list() == ["a.jpg", "b.jpg"]
    assert says(catalog, f"t.csv line 3 names no photo: '{row.split(',')[0]}' has no ending")
    with pytest.raises(DataError, match="line 3 names no photo"):
        table(tmp_path, text, strict=True)


def test_files_without_an_ending_are_photos_where_they_are_there_or_many_are_such(tmp_path: Path) -> None:
    (tmp_path / "Total").write_bytes(b"")
    assert table(tmp_path, "file,species\na.jpg,fox\nb.jpg,fox\nTotal,hare\n").table.height == 3
    assert table(tmp_path, "file,species\nIMG_1,fox\nIMG_2,fox\n").table.height == 2
    assert table(tmp_path, "file,species\nIMG_1,fox\nb.jpg,fox\n").table.height == 2


def test_names_of_columns_below_groups_of_them_are_no_photo(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv line 2 names the columns \(file, species\)"):
        table(tmp_path, "Image,Annotation\nfile,species\na.jpg,fox\nb.jpg,hare\n")
    merged = table(tmp_path, "Image,,Annotation,\nfile,site,species,count\na.jpg,A,fox,1\nb.jpg,B,hare,2\n")
    assert merged.table["labels"].to_list() == [["fox"], ["hare"]]
    assert says(merged, "line 1, 'Image,,Annotation,'")


@pytest.mark.parametrize("names", ["path,filename", "filePath,fileName", "image_path,image", "file,photo"])
def test_folders_in_a_column_of_paths_stand_before_the_files(names: str, tmp_path: Path) -> None:
    catalog = table(tmp_path, f"{names},species\nA/x,1.jpg,fox\nA/y,1.jpg,hare\n,2.jpg,fox\n")
    assert catalog.table["file_path"].to_list() == ["A/x/1.jpg", "A/y/1.jpg", "2.jpg"]
    assert catalog.table["labels"].to_list() == [["fox"], ["hare"], ["fox"]]
    assert says(catalog, "holds folders and")
    whole = table(tmp_path, f"{names},species\nA/x/1.jpg,1.jpg,fox\nA/y/1.jpg,1.jpg,hare\n")
    assert whole.table["file_path"].to_list() == ["A/x/1.jpg", "A/y/1.jpg"]


def test_a_table_of_addresses_alone_says_that_nothing_is_fetched(tmp_path: Path) -> None:
    text = "image_id,media_url,species_common_name\n1,https://host.example/a/1.jpg,Coyote\n"
    with pytest.raises(DataError, match="media_url holds addresses, from which nothing is fetched"):
        table(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"SQLite format 3\0rest", "a database"),
        (b"\0\1\0\0Standard Jet DB\0", "a database"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a workbook of old Excel"),
        (b"\n<!DOCTYPE html><html>", "a page for browsers"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_what_is_called_a_table_and_is_none_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"no table as text but {kind}"):
        read(tmp_path / "t.csv")
