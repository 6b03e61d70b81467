"""`trapline ecology activity`, `overlap`, `richness` and `density`: what they print, write and refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from trapline.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in ("ecology", *words)])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture
def fractions(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    rows = [f"1,tiger,{rng.vonmises(1, 2) / (2 * np.pi) % 1:.4f}" for _ in range(80)]
    rows += [f"2,macaque,{rng.vonmises(3, 3) / (2 * np.pi) % 1:.4f}" for _ in range(90)]
    path = tmp_path / "kerinci.csv"
    path.write_text("Zone,Sps,Time\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def survey(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(2)
    records, stations = tmp_path / "records.csv", tmp_path / "stations.csv"
    rows = [
        f"{station},{species},2021-05-{day:02} "
        f"{(hour + rng.integers(0, 4)) % 24:02}:{rng.integers(0, 60):02}:00"
        for day in range(1, 29)
        for station in ("A", "B", "C")
        for species, hour, chance in (("deer", 5, 0.5), ("fox", 21, 0.3), ("lynx", 2, 0.02))
        if rng.random() < chance
    ]
    records.write_text("Station,Species,DateTimeOriginal\n" + "\n".join(rows) + "\n")
    places = "".join(f"{name},2021-05-01,2021-05-28,46.5,6.{n}\n" for n, name in enumerate("ABCD"))
    stations.write_text(f"Station,Setup_date,Retrieval_date,latitude,longitude\n{places}")
    return records, stations


def test_overlap_of_two_species_is_flat_json(capsys: pytest.CaptureFixture[str], fractions: Path) -> None:
    status, out, err = run(
        capsys,
        "overlap",
        fractions,
        "--species",
        "tiger,macaque",
        "--resamples",
        100,
        "--compare",
        50,
        "--json",
    )
    said = json.loads(out)
    assert status == 0
    assert said["estimator"] == "dhat4"
    assert said["low"] < said["dhat4"] < said["high"]
    assert said["intervals"]["dhat4"] == {
        "estimate": said["dhat4"],
        "low": said["low"],
        "high": said["high"],
    }
    assert said["records"] == [80, 90]
    usual = said["basic0"]
    assert usual["low"] < said["dhat4"] < usual["high"]
    assert usual["intervals"]["dhat4"] == {
        "estimate": said["dhat4"],
        "low": usual["low"],
        "high": usual["high"],
    }
    assert usual["low"] != said["low"]
    assert said["p_one_pattern"] == pytest.approx(1 / 51)
    assert "fractions of the day" in err


def test_overlap_in_words_marks_what_to_report(
    capsys: pytest.CaptureFixture[str], fractions: Path, tmp_path: Path
) -> None:
    figure = tmp_path / "o.svg"
    status, out, _ = run(
        capsys, "overlap", fractions, "--species", "tiger, macaque", "--resamples", 100, "--figure", figure
    )
    assert status == 0
    assert "tiger (80 records) and macaque (90), by the camera's clock:" in out
    assert next(line for line in out.splitlines() if "←" in line).startswith("  dhat4: ")
    assert out.count("by basic0") == 3
    assert figure.read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_activity_by_the_sun_of_stations_writes_table_and_figure(
    capsys: pytest.CaptureFixture[str], survey: tuple[Path, Path], tmp_path: Path
) -> None:
    records, stations = survey
    table, figure = tmp_path / "a.csv", tmp_path / "a.svg"
    words = ("activity", records, "--sun", "average", "--timezone", "Europe/Zurich", "--stations", stations)
    status, out, _ = run(capsys, *words, "-o", table, "--figure", figure, "--resamples", 100)
    assert status == 0
    assert out.startswith("Times by the sun: sunrise at 6:0")
    assert "deer: " in out
    assert len(table.read_text().splitlines()) == 1 + 2 * 96
    assert figure.exists()
    status, _, err = run(capsys, *words, "-o", table, "--resamples", 100)
    assert status == 2
    assert "--force" in err


def test_the_sun_is_not_guessed(capsys: pytest.CaptureFixture[str], survey: tuple[Path, Path]) -> None:
    status, _, err = run(capsys, "activity", survey[0], "--sun", "average")
    assert status == 2
    assert "--sun needs --timezone" in err
    status, _, err = run(capsys, "activity", survey[0], "--sun", "average", "--timezone", "+02:00")
    assert status == 2
    assert "need coordinates" in err
    status, _, err = run(capsys, "activity", survey[0], "--sun", "noon", "--timezone", "+02:00")
    assert status == 2
    assert "average, equinoctial, single" in err


def test_richness_has_chao_and_curves(
    capsys: pytest.CaptureFixture[str], survey: tuple[Path, Path], tmp_path: Path
) -> None:
    records, stations = survey
    words = ("richness", records, "--stations", stations, "--units", "occasions", "--resamples", 100)
    status, out, _ = run(capsys, *words, "--json", "--coverage", 0.9)
    said = json.loads(out)
    assert status == 0
    assert said["size"] == 16
    assert said["chao2"]["low"] <= 3 <= said["chao2"]["high"]
    assert {row["order"] for row in said["curve"]} == {0, 1, 2}
    assert [row["coverage"] for row in said["at_coverage"]] == [0.9] * 3
    table = tmp_path / "curve.csv"
    status, out, _ = run(capsys, *words, "-o", table, "--figure", tmp_path / "c.pdf")
    assert status == 0
    assert "3 species in 16 occasions of 7 days at 4 stations" in out
    assert table.read_text().startswith("order,size,method")


def test_density_refuses_without_what_no_photo_tells(
    capsys: pytest.CaptureFixture[str], survey: tuple[Path, Path]
) -> None:
    words = ("density", survey[0], "--stations", survey[1], "--species", "deer")
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert all(option in err for option in ("--speed", "--radius", "--angle"))
    status, out, _ = run(capsys, *words, "--speed", 4, "--radius", 8, "--angle", 42, "--json")
    said = json.loads(out)
    assert status == 0
    assert said["density"]["low"] < said["density"]["estimate"] < said["density"]["high"]
    assert said["without_error"] == ["speed", "radius", "angle"]


@pytest.mark.field
def test_kerinci_overlaps_as_r_has_it(capsys: pytest.CaptureFixture[str], field: Path) -> None:
    table = field / "ecology" / "kerinci" / "kerinci.csv"
    _, out, _ = run(capsys, "overlap", table, "--species", "tiger,tapir", "--json", "--resamples", 100)
    said = json.loads(out)
    values = [said[name] for name in ("dhat1", "dhat4", "dhat5")]
    assert values == pytest.approx([0.5211, 0.5227, 0.4853], abs=1e-3)
    _, out, _ = run(
        capsys,
        *("overlap", field / "ecology" / "camtrapr" / "recordTableSample.csv", "--species", "PBE,VTA"),
        *("--json", "--resamples", 100),
    )
    assert json.loads(out)["records"] == [18, 5]
