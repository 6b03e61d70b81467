"""Tables of histories, covariates and scores in; models, predictions and JSON out; R's numbers on real
data."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trapline import ecology
from trapline.cli import main
from trapline.ecology import fit_occupancy, occupancy, predict_grid, read_histories
from trapline.ecology.occupancy_tables import parse_model
from trapline.errors import DataError, UsageError

RANDOM = np.random.default_rng(5)
OCCUPIED = RANDOM.random(50) < 0.6
DETECTIONS = (OCCUPIED[:, None] & (RANDOM.random((50, 4)) < 0.5)).astype(int)
NAMES = [f"0{index}" for index in range(50)]
X = RANDOM.normal(size=50).round(3)


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in [header, *rows]) + "\n", "utf-8")
    return path


def histories(folder: Path, *, named: bool = True, missing: str = "NA") -> Path:
    rows = [[*([name] if named else []), *row] for name, row in zip(NAMES, DETECTIONS.tolist(), strict=True)]
    rows[0][-1] = missing
    header = [*(["location_id"] if named else []), "o1", "o2", "o3", "o4"]
    return write(folder / "history.csv", header, rows)


def expected() -> np.ndarray:
    values = DETECTIONS.astype(float)
    values[0, -1] = np.nan
    return values


def covariates(folder: Path, order: Sequence[int], *, named: bool = True) -> Path:
    rows = [[*([NAMES[row]] if named else []), X[row], "wood" if row % 3 else "field"] for row in order]
    return write(folder / "sites.csv", [*(["Station"] if named else []), "x", "habitat"], rows, ";")


@pytest.mark.parametrize(
    "text",
    [
        "location_id,o1,o2\n01,0,1\n02,NA,0\n",
        '"","o1","o2"\n"01",0,1\n"02",NA,0\n',
        "\ufeffo1;o2;Station\n0;1;01\n;0;02\n",
        '"o1","o2"\n"01",0,1\n"02",NA,0\n',
        "camera trap,o1,o2\n01,0,1\n02,NaN,0\n",
        "site,y.1,y.2\n01,0,1\n02,NA,0\n",
    ],
)
def test_histories_are_read_as_others_write_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "h.csv"
    path.write_text(text, "utf-8")
    table = read_histories(path)
    assert table.locations is not None
    assert [name.lstrip("0") for name in table.locations] == ["1", "2"]
    assert table.detections.tolist() == [[0, 1], [pytest.approx(np.nan, nan_ok=True), 0]]


@pytest.mark.parametrize(
    ("text", "occasions"),
    [
        ("X1,X2\n0,1\n1,0\n", ("X1", "X2")),
        ('"","y.1","y.2"\n"1",0,1\n"2",1,0\n', ("y.1", "y.2")),
        ('"y.1","y.2"\n"1",0,1\n"2",1,0\n', ("y.1", "y.2")),
        ("X1\n0\n1\n", ("X1",)),
        ("o1,o2\n1,1\nNA,0\n", ("o1", "o2")),
    ],
)
def test_histories_without_names_are_known_by_their_order(
    tmp_path: Path, text: str, occasions: tuple[str, ...]
) -> None:
    path = tmp_path / "h.csv"
    path.write_text(text, "utf-8")
    table = read_histories(path)
    assert (table.locations, table.occasions) == (None, occasions)


def test_row_names_that_are_numbers_and_do_not_count_the_rows_are_names(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_text('"","o1","o2"\n"101",0,1\n"205",1,0\n')
    assert read_histories(path).locations == ("101", "205")
    path.write_text("trap,o1,o2\n1,0,1\n2,1,0\n3,0,0\n")
    assert read_histories(path).locations == ("1", "2", "3")


def test_unmarkeds_wide_table_has_its_covariates_with_it(tmp_path: Path) -> None:
    rows = [
        [name, *row, x, *row_of_dates]
        for name, row, x, row_of_dates in zip(
            NAMES, DETECTIONS, X, RANDOM.uniform(1, 9, (50, 4)), strict=True
        )
    ]
    path = write(
        tmp_path / "wide.csv",
        ["site", *(f"y.{n}" for n in range(1, 5)), "x", *(f"d.{n}" for n in range(1, 5))],
        rows,
    )
    table = read_histories(path)
    assert list(table.site_covariates) == ["x"]
    assert table.observation_covariates["d"].shape == (50, 4)
    fit = occupancy(path, psi="x", p="d").best
    assert fit.parameters == 4
    assert fit.survey.locations == tuple(NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("location_id,o1\n1,0\n1,1\n", "1 stands in more than one row"),
        ("location_id,o1\n1,0.5\n", "the column o1 has '0.5'"),
        ("location_id,o1,habitat\n1,0,wood\n2,1,wood\n", "the column habitat has 'wood'.*table of their own"),
        ("location_id,o1\n,0\n", "line 2 has no location"),
        ("o1,o2\n0,1\n,\n1,1\n", "line 3 is empty"),
        ("location_id\na\n", "no column besides the locations"),
        ("location_id,o1\n", "has no rows"),
    ],
)
def test_what_is_no_history_is_refused_with_words(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "h.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        read_histories(path)


def test_locations_are_matched_by_name_in_any_order(tmp_path: Path) -> None:
    order = RANDOM.permutation(50)
    path = histories(tmp_path, missing="")
    fit = occupancy(path, psi="x + habitat", covariates=covariates(tmp_path, [*order])).best
    direct = fit_occupancy(
        expected(),
        psi="x + habitat",
        site_covariates={"x": X, "habitat": ["wood" if row % 3 else "field" for row in range(50)]},
    )
    assert fit.aic == pytest.approx(direct.aic)
    assert list(fit.coefficients["psi"]) == ["(Intercept)", "x", "habitatwood"]
    some = occupancy(path, psi="x", covariates=covariates(tmp_path, range(2, 50))).best
    assert some.survey.left_out == {"00": "lacks x", "01": "lacks x"}
    (tmp_path / "sites.csv").write_text(covariates(tmp_path, range(50)).read_text() + "99;0.1;wood\n")
    assert any(
        "1 location without a history: 99" in note
        for note in occupancy(path, psi="x", covariates=tmp_path / "sites.csv").best.notes
    )


def test_locations_are_matched_by_order_only_where_neither_has_names(tmp_path: Path) -> None:
    bare, sites = histories(tmp_path, named=False), covariates(tmp_path, range(50), named=False)
    assert occupancy(bare, psi="x", covariates=sites).best.survey.locations[:2] == ("row 1", "row 2")
    with pytest.raises(DataError, match="must be as many"):
        occupancy(bare, psi="x", covariates=covariates(tmp_path, range(49), named=False))
    with pytest.raises(DataError, match="rows cannot be matched"):
        occupancy(bare, psi="x", covariates=covariates(tmp_path, range(50)))
    named = histories(tmp_path)
    with pytest.raises(DataError, match="rows cannot be matched"):
        occupancy(named, psi="x", covariates=covariates(tmp_path, range(50), named=False))
    write(tmp_path / "sites.csv", ["site", "x"], [["other", 1]])
    with pytest.raises(DataError, match=r"None of the histories' locations"):
        occupancy(named, psi="x", covariates=tmp_path / "sites.csv")


def test_effort_and_confirmed_detections_are_tables_of_the_same_shape(tmp_path: Path) -> None:
    path = histories(tmp_path)
    effort = RANDOM.uniform(1, 7, (50, 4)).round(2)
    table = write(
        tmp_path / "effort.csv",
        ["Station", "a", "b", "c", "d"],
        [[n, *row] for n, row in zip(NAMES, effort, strict=True)][::-1],
    )
    fit = occupancy(path, p="effort", effort=table).best
    assert fit.aic == pytest.approx(fit_occupancy(expected(), p="effort", effort=effort).aic)
    assert occupancy(path, p="e", observations={"e": table}).best.aic == pytest.approx(fit.aic)
    assert occupancy(path, p="occasion").best.parameters == 5
    sure = write(
        tmp_path / "sure.csv",
        ["Station", *"abcd"],
        [[n, *(row * [1, 0, 1, 0])] for n, row in zip(NAMES, DETECTIONS, strict=True)],
    )
    marked = occupancy(path, confirmed=sure, false_positive="0.03:0.01-0.08").best
    assert set(marked.probabilities) == {"psi", "p", "false_positive", "certain"}
    short = write(tmp_path / "short.csv", ["Station", "a"], [[n, 1] for n in NAMES])
    with pytest.raises(DataError, match="has 1 occasion and the histories have 4"):
        occupancy(path, p="effort", effort=short)


def test_models_are_of_the_same_locations_and_in_the_order_of_their_aic(tmp_path: Path) -> None:
    path, sites = histories(tmp_path), covariates(tmp_path, range(1, 50))
    several = occupancy(
        path, models=["psi: 1", "psi: x p: 1", "psi: habitat + x; p: occasion"], covariates=sites
    )
    assert {len(fit.survey.locations) for fit in several.fits} == {49}
    table = several.table()
    assert table["aic"].is_sorted()
    assert table["weight"].sum() == pytest.approx(1)
    assert table["delta"][0] == 0
    assert any("lowest AIC" in note for note in several.best.notes)
    document = several.as_json()
    assert [one["aic"] for one in document["models"]] == table["aic"].to_list()
    with pytest.raises(UsageError, match="are the same"):
        occupancy(path, models=["psi: x + habitat", "psi: habitat + x"], covariates=sites)
    with pytest.raises(UsageError, match="says both formulas"):
        occupancy(path, psi="x", models=["psi: 1"], covariates=sites)


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("psi: a + b; p: c", ("a + b", "c")),
        ("psi:a+b p:c", ("a+b", "c")),
        ("psi ~ a:b p ~ c*d", ("a:b", "c*d")),
        ("p: effort", ("1", "effort")),
        ("p: effort; psi: x", ("x", "effort")),
    ],
)
def test_a_model_is_written_with_both_formulas(text: str, formulas: tuple[str, str]) -> None:
    assert parse_model(text) == formulas


@pytest.mark.parametrize("text", ["", "x + y", "psi: a; psi: b", "psi:"])
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="model"):
        parse_model(text)


def test_predictions_are_a_row_for_every_location_and_every_cell_of_a_map(tmp_path: Path) -> None:
    path, sites = histories(tmp_path), covariates(tmp_path, range(1, 50))
    models = occupancy(path, psi="x", covariates=sites)
    table = models.predictions()
    assert sorted(table["location_id"]) == sorted(NAMES)
    left = table.filter(pl.col("left_out").is_not_null())
    assert left.select("location_id", "psi", "left_out").rows() == [("00", None, "lacks x")]
    kept = table.drop_nulls("psi")
    assert ((kept["low"] < kept["psi"]) & (kept["psi"] < kept["high"])).all()
    grid = write(tmp_path / "grid.csv", ["cell", "x", "y"], [["g1", X[3], 7], ["g2", "NA", 8]])
    cells = predict_grid(models, grid)
    assert cells.columns == ["location_id", "x", "y", "psi", "low", "high"]
    assert cells["psi"][0] == pytest.approx(table.filter(location_id="03")["psi"].item())
    assert cells["psi"][1] is None


def test_scores_are_a_table_of_files(tmp_path: Path) -> None:
    scores = RANDOM.normal(size=200) + 4 * ((np.repeat(OCCUPIED, 4)) & (RANDOM.random(200) < 0.5))
    seen = ["" if row % 3 else ("yes" if score > 2 else "no") for row, score in enumerate(scores)]
    rows = [
        [name, f"{score:.4f}", one, 1 + row % 2]
        for row, (name, score, one) in enumerate(zip(np.repeat(NAMES, 4), scores, seen, strict=True))
    ]
    path = write(tmp_path / "scores.csv", ["site", "score", "seen", "season"], rows)
    fit = occupancy(path, scores=True).best
    assert set(fit.scales) == {"score_mean_absent", "score_sd_absent", "score_difference", "score_sd_present"}
    assert abs((fit.psi.value or 0) - OCCUPIED.mean()) < 0.15
    assert occupancy(path, scores=True, p="factor(season)").best.parameters == 7
    odds = [[row[0], 1 / (1 + np.exp(-float(row[1]))), row[2]] for row in rows]
    other = write(tmp_path / "probabilities.csv", ["site", "probability", "seen"], odds)
    assert occupancy(other, scores=True).best.psi.value == pytest.approx(fit.psi.value, abs=1e-3)
    audit = write(tmp_path / "audit.csv", ["score", "seen"], [[0.1, 0], [-1, 0], [4.2, 1], [3, 1], [9, ""]])
    fit = occupancy(path, scores=True, audit=audit).best
    assert any("1 file is left out, as nobody looked at them" in note for note in fit.notes)
    with pytest.raises(UsageError, match="effort is of detection histories"):
        occupancy(path, scores=True, effort=audit)
    with pytest.raises(DataError, match="no column called score"):
        occupancy(histories(tmp_path), scores=True)
    with pytest.raises(UsageError, match="add scores"):
        occupancy(histories(tmp_path), audit=audit)


def test_an_audit_may_count_false_positives_by_location(tmp_path: Path) -> None:
    path = histories(tmp_path)
    counts = write(tmp_path / "counts.csv", ["location_id", "checked", "wrong"], [["01", 9, 1], ["q", 30, 2]])
    assert "false_positive_concentration" in occupancy(path, false_positive=str(counts)).best.scales
    write(counts, ["checked", "wrong"], [[9, 1], [30, 2]])
    assert occupancy(path, false_positive=str(counts)).best.scales == {}
    write(counts, ["location_id", "checked"], [["01", 9]])
    with pytest.raises(DataError, match="no column of numbers called wrong"):
        occupancy(path, false_positive=str(counts))
    with pytest.raises(UsageError, match="none of them"):
        occupancy(path, false_positive="lots")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["ecology", "occupancy", *map(str, arguments)])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


def test_the_command_prints_writes_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, sites = histories(tmp_path), covariates(tmp_path, range(1, 50))
    output = tmp_path / "psi.csv"
    options = [path, "--covariates", sites, "--psi", "x", "-o", output]
    status, out, err = run(capsys, *options, "--at", "x=0.5", "--goodness", 3)
    assert status == 0
    assert "psi at x=0.5" in out
    assert "c-hat" in out
    assert "1 location left out, as it lacks x: 00." in err
    assert output.read_text().startswith("location_id,psi,low,high,occupied,left_out,x,habitat\n")
    assert "\n00,NA,NA,NA,NA,lacks x,NA,NA\n" in output.read_text()
    assert run(capsys, *options)[0] == 2
    assert run(capsys, *options, "--force", "--grid", sites)[0] == 0
    assert run(capsys, *options[:-1], path, "--force")[0] == 2
    assert run(capsys, path, "--grid", sites)[0] == 2
    assert run(capsys, path, "--at", "x")[0] == 2
    models = ["--covariates", sites, "--model", "psi: x", "--model", "p: occasion"]
    assert "psi ~ x; p ~ 1" in run(capsys, path, *models)[1]


@pytest.mark.field
@pytest.mark.parametrize(
    ("species", "psi", "p", "aic"),
    [
        ("bobcat", (0.2366, 0.1928, 0.2868), (0.2490, 0.2014, 0.3036), 1830.508),
        ("redfox", (0.1363, 0.1160, 0.1596), (0.4373, 0.3814, 0.4949), 1633.945),
    ],
)
def test_estimates_are_those_of_unmarked(
    field: Path,
    capsys: pytest.CaptureFixture[str],
    species: str,
    psi: tuple[float, ...],
    p: tuple[float, ...],
    aic: float,
) -> None:
    status, out, _ = run(capsys, field / "ecology" / "mesocarnivores" / f"meso_{species}.csv", "--json")
    assert status == 0
    document = json.loads(out)
    assert document["aic"] == pytest.approx(aic, abs=1e-2)
    for name, values in (("psi", psi), ("p", p)):
        assert [document[name][key] for key in ("estimate", "low", "high")] == pytest.approx(values, abs=1e-4)


@pytest.mark.field
@pytest.mark.parametrize(
    ("species", "slopes", "aic"),
    [
        ("bobcat", [(-0.666, 0.148), (-23.842, 5.541), (-0.105, 0.031), (-1.05, 0.132)], 1771.071),
        ("redfox", [(-1.972, 0.121), (-7.395, 4.987), (0.0173, 0.0029), (-0.261, 0.119)], 1576.644),
    ],
)
def test_coefficients_are_those_of_unmarked(
    field: Path, species: str, slopes: list[tuple[float, float]], aic: float
) -> None:
    """R's search ends a little before the maximum where covariates are not scaled: within a thirtieth of a
    standard error."""
    folder = field / "ecology" / "mesocarnivores"
    models = ecology.occupancy(
        folder / f"meso_{species}.csv", covariates=folder / "meso_sitecovs.csv", psi="Dist_5km + HDens_5km"
    )
    document = models.as_json()
    assert document["aic"] == pytest.approx(aic, abs=1e-2)
    ours = [one for part in ("psi", "p") for one in document["coefficients"][part].values()]
    for one, (estimate, error) in zip(ours, slopes, strict=True):
        assert one["estimate"] == pytest.approx(estimate, abs=error / 30)
        assert one["standard_error"] == pytest.approx(error, rel=2e-2)


@pytest.mark.field
def test_coyotes_are_fitted_too(field: Path) -> None:
    folder = field / "ecology" / "mesocarnivores"
    fit = occupancy(
        folder / "meso_coyote.csv", covariates=folder / "meso_sitecovs.csv", psi="Dist_5km + HDens_5km"
    ).best
    assert fit.survey.left_out == {}
    assert fit.probabilities["psi"].method == "wald"
