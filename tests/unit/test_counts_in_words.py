"""Counts stand before nouns of their number, wherever they are told."""

import re
from pathlib import Path

import pytest
from PIL import Image

from trapline.cli import main
from trapline.errors import many

OF_ONE = re.compile(
    r"\b1 (locations|photos|files|events|rows|labels|boxes|deployments|stations|visits|seasons|days|sets"
    r"|records|decisions|animals|models|folds|answers|videos|columns|occasions|parts|groups|images"
    r"|media (are|were|have))\b"
)


@pytest.mark.parametrize(
    ("count", "what", "words"),
    [
        (1, "location", "1 location"),
        (0, "location", "0 locations"),
        (3, "location", "3 locations"),
        (1200, "box", "1,200 boxes"),
        (2, "day", "2 days"),
        (2, "entry", "2 entries"),
        (2, "media", "2 media"),
        (2, "species", "2 species"),
        (2, "taxon", "2 taxa"),
        (1, "photo has no time", "1 photo has no time"),
        (2, "photo has no time", "2 photos have no time"),
        (2, "row cannot be used and is", "2 rows cannot be used and are"),
    ],
)
def test_a_count_is_said_with_its_noun(count: int, what: str, words: str) -> None:
    assert many(count, what) == words


def test_no_command_says_several_of_one_photo_at_one_location(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, catalog = tmp_path / "card", str(tmp_path / "c.parquet")
    card.mkdir()
    Image.new("RGB", (20, 10), "green").save(card / "a.jpg")
    (card / "labels.csv").write_text("path,label,location\na.jpg,fox,L1\n")
    commands = [
        ["catalog", str(card / "labels.csv"), "-o", catalog],
        ["explore", catalog, "-o", str(tmp_path / "e.html")],
        ["split", catalog, "-o", str(tmp_path / "s.parquet")],
        ["write", catalog, "-f", "summary", "-o", str(tmp_path / "s.csv")],
        ["write", catalog, "-f", "megadetector", "-o", str(tmp_path / "m.json")],
    ]
    for command in commands:
        with pytest.raises(SystemExit):
            main(command)
    told = "".join(capsys.readouterr())
    assert "1 photo" in told
    assert "1 location" in told
    page = re.sub(r"<[^>]*>", " ", (tmp_path / "e.html").read_text("utf-8"))
    assert [match[0] for match in OF_ONE.finditer(told + page)] == []


def test_the_programs_that_open_a_format_are_told_where_it_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("path,label\na.jpg,fox\n")
    for name in ("timelapse", "AddaxAI"):
        with pytest.raises(SystemExit):
            main(["write", str(tmp_path / "a.csv"), "-f", name, "-o", str(tmp_path / "m.json")])
        assert f"no writer '{name}'; did you mean 'megadetector'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["write", "--help"])
    assert "megadetector (Timelapse, AddaxAI)" in " ".join(capsys.readouterr().out.split())
