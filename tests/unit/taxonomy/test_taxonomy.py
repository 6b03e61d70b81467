"""The tree: what is refused and named, lookups by name, and sums that lose nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.errors import DataError, UsageError
from trapline.taxonomy import (
    RANKS,
    Label,
    Taxon,
    Taxonomy,
    ancestor_matrix,
    read_taxonomy,
    sum_at_nodes,
    sum_at_rank,
    taxonomy_from_csv,
    taxonomy_from_folders,
    taxonomy_from_speciesnet,
)

HEADER = "label,class,order,family,genus,species,common_name,rank,kind\n"
CATS = (
    HEADER
    + "bobcat,Mammalia,Carnivora,Felidae,Lynx,Lynx rufus,bobcat,SPECIES,animal\n"
    + "puma,Mammalia,,Felidae,Puma,concolor,mountain lion,,animal\n"
    + "deer,Mammalia,Artiodactyla,Cervidae,,,deer,FAMILY,animal\n"
    + "elk,Mammalia,Artiodactyla,Cervidae,Cervus,Cervus canadensis,,,\n"
    + "empty,,,,,,,,blank\n"
    + "vehicle,,,,,,,,\n"
)


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "taxonomy.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def cats(tmp_path: Path) -> Taxonomy:
    return taxonomy_from_csv(csv_file(tmp_path, CATS))


def test_a_csv_becomes_a_tree_whose_gaps_are_filled_by_other_rows(cats: Taxonomy) -> None:
    assert cats.children() == ("Mammalia",)
    assert cats.children("Cervidae") == ("Cervus",)
    assert cats.path("puma") == ("Mammalia", "Carnivora", "Felidae", "Puma", "Puma concolor")
    assert cats.parent("felidae") == "Carnivora"
    assert cats.rank("deer") == "family"
    assert cats.rank("empty") is None
    assert cats.kind("vehicle") == "vehicle"
    assert set(cats.leaves()) == {"Lynx rufus", "Puma concolor", "Cervus canadensis"}
    assert "Lynx" in cats.parents()


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("x,Mammalia,Carnivora,Cervidae,,,,,\n", "line 8.*two parents|two parents.*line 8"),
        ("x,Mammalia,Carnivora,Lynx,,,,,\n", "line 8 gives Lynx as family, but .*line 2 as genus"),
        ("bobcat,Mammalia,Carnivora,Felidae,Puma,,,,\n", "'bobcat' has two meanings.*line 2.*line 8"),
        ("x,Mammalia,,,,,,GENUS,\n", "line 8 says the rank is genus"),
        ("x,Mammalia,,,,,,TRIBE,\n", "line 8 has the unknown rank 'TRIBE'"),
        ("x,Mammalia,,,,,,,blank\n", "line 8 says blank of the taxon Mammalia"),
        ("x,,,,Vulpes,,,,vehicle\n", "line 8 says vehicle of the taxon Vulpes"),
        ("x,Mammalia,,,,,,,mineral\n", "line 8 has the unknown kind 'mineral'"),
        (",Mammalia,,,,,,,\n", "line 8 has no label"),
        ("x,Mammalia\n", "line 8 has 2 cells"),
        ("x,,,,Lynx,Felis rufus,,,\n", "line 8 puts the species Felis rufus in the genus Lynx.*'synonyms'"),
        ("Felidae,Mammalia,Artiodactyla,Cervidae,,,,,\n", "'Felidae' is the name of the taxon Felidae"),
    ],
)
def test_rows_that_contradict_are_refused_by_file_and_line(tmp_path: Path, rows: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        taxonomy_from_csv(csv_file(tmp_path, CATS + rows))


def test_two_rows_may_not_disagree_through_a_third(tmp_path: Path) -> None:
    text = HEADER + "a,,Carnivora,,Lynx,,,,\nb,,,Felidae,Lynx,,,,\nc,,Artiodactyla,Felidae,,,,,\n"
    with pytest.raises(DataError, match="Lynx has two parents"):
        taxonomy_from_csv(csv_file(tmp_path, text))


def test_what_one_row_says_above_a_taxon_holds_for_its_parent(tmp_path: Path) -> None:
    text = HEADER + "a,,,,Vulpes,Vulpes vulpes,,,\nb,,,Canidae,,Vulpes vulpes,,,\n"
    tree = taxonomy_from_csv(csv_file(tmp_path, text))
    assert tree.path("a") == tree.path("b") == ("Canidae", "Vulpes", "Vulpes vulpes")
    text += "c,,Carnivora,,Vulpes,,,,\nd,,,,Vulpes,Vulpes lagopus,,,\n"
    tree = taxonomy_from_csv(csv_file(tmp_path, text))
    assert tree.path("d") == ("Carnivora", "Canidae", "Vulpes", "Vulpes lagopus")
    text += "e,,,Felidae,,Vulpes lagopus,,,\n"
    with pytest.raises(DataError, match=r"Vulpes has two parents: .*line [36].*line [36]"):
        taxonomy_from_csv(csv_file(tmp_path, text))


@pytest.mark.parametrize(
    "text", ["", "label\nx\n", "name,class\nx,y\n", "label,class,class\nx,y,z\n", HEADER]
)
def test_a_file_that_is_no_taxonomy_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"taxonomy\.csv"):
        taxonomy_from_csv(csv_file(tmp_path, text))


@pytest.mark.parametrize(
    ("genus", "species", "taxon"),
    [
        ("Lepus", "Lepus europaeus Pallas, 1778", "Lepus europaeus"),
        ("Lepus Linnaeus, 1758", "europaeus Pallas, 1778", "Lepus europaeus"),
        ("Lepus", "Lepus capensis de Winton 1898", "Lepus capensis"),
        ("Vulpes", "Vulpes vulpes (L.)", "Vulpes vulpes"),
        ("Eira", "Eira barbara É. Geoffroy Saint-Hilaire", "Eira barbara"),
        ("Sus", "Sus scrofa Erxleben & Müller, 1777", "Sus scrofa"),
        ("", "Lepus_europaeus_Pallas,_1778", "Lepus europaeus"),
        ("Canis", "Canis lupus", "Canis lupus"),
        ("Lepus", "Lepus Europaeus", "Lepus europaeus"),
        ("LEPUS", "LEPUS EUROPAEUS", "Lepus europaeus"),
        ("Lepus", "sp.", "Lepus"),
        ("Lepus", "Lepus spp.", "Lepus"),
        ("", "Lepus sp.", "Lepus"),
        ("Lepus", "Lepus cf. timidus", "Lepus"),
        ("Lepus", "Lepus sp. (juvenile)", "Lepus"),
        ("Genetta", "Genetta genetta", "Genetta genetta"),
    ],
)
def test_a_name_is_read_without_its_author_and_an_undetermined_one_is_its_genus(
    genus: str, species: str, taxon: str, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, f'label,genus,species\nanimal,"{genus}","{species}"\n')
    tree = taxonomy_from_csv(path)
    assert tree.labels["animal"].taxon == taxon
    assert set(tree.taxa) <= {taxon, taxon.split()[0]}


def test_a_subspecies_in_capitals_is_no_author(tmp_path: Path) -> None:
    rows = "label,genus,species,subspecies\ndingo,Canis,lupus,Canis lupus Dingo\n"
    rows += 'wolf,Canis,lupus,"Canis lupus lupus Linnaeus, 1758"\n'
    tree = taxonomy_from_csv(csv_file(tmp_path, rows))
    assert {tree.labels[name].taxon for name in tree.labels} == {"Canis lupus dingo", "Canis lupus lupus"}


def test_one_set_of_several_can_be_read_alone(tmp_path: Path) -> None:
    text = "label,set,genus\ncat,one,Felis\ncat,two,Lynx\n"
    path = csv_file(tmp_path, text)
    with pytest.raises(DataError, match="two meanings"):
        taxonomy_from_csv(path)
    assert taxonomy_from_csv(path, only={"set": "two"}).path("cat") == ("Lynx",)


def test_cycles_and_missing_parents_cannot_be_built() -> None:
    one, two = Taxon("A", "genus", "B"), Taxon("B", "genus", "A")
    with pytest.raises(DataError, match="finer than its parent"):
        Taxonomy({"A": one, "B": two}, {})
    with pytest.raises(DataError, match="not in the tree"):
        Taxonomy({"A": one}, {})
    with pytest.raises(DataError, match="unknown rank"):
        Taxonomy({"A": Taxon("A", "tribe")}, {})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="given to two taxa"):
        Taxonomy({"A": Taxon("A", "genus"), "C": Taxon("C", "genus", synonyms=("a",))}, {})
    with pytest.raises(DataError, match="unknown kind"):
        Taxonomy({}, {"x": Label("x", "mineral")})  # type: ignore[arg-type]


def test_labels_are_found_by_any_of_their_names_and_never_by_position(tmp_path: Path) -> None:
    text = CATS.replace("kind\n", "kind,synonyms\n", 1)
    text = "\n".join(
        line if place == 0 else line + (",Felis concolor|Felis cougar" if line.startswith("puma") else ",")
        for place, line in enumerate(text.splitlines())
    )
    tree = taxonomy_from_csv(csv_file(tmp_path, text))
    asked = ["Blank", "felis_concolor", "Bobcat", "Mountain Lion", "Cervus canadensis", "person"]
    part = tree.for_labels(asked)
    assert list(part.labels) == asked
    assert [label.taxon for label in part.labels.values()] == [
        None,
        "Puma concolor",
        "Lynx rufus",
        "Puma concolor",
        "Cervus canadensis",
        None,
    ]
    assert [label.kind for label in part.labels.values()] == [
        "blank",
        "animal",
        "animal",
        "animal",
        "animal",
        "human",
    ]


def test_labels_that_are_not_in_it_are_all_named_with_the_nearest(cats: Taxonomy) -> None:
    with pytest.raises(DataError, match=r"'bobcta' is not in it\. Did you mean 'bobcat'.*'zebu'"):
        cats.for_labels(["bobcta", "elk", "zebu"])
    with pytest.raises(UsageError, match="no label or taxon"):
        cats.path("zebu")
    with pytest.raises(UsageError, match="has no taxon"):
        cats.taxon("vehicle")


def test_a_common_name_of_two_taxa_decides_nothing(tmp_path: Path) -> None:
    text = HEADER + "a,,,Canidae,Canis,,wolf,,\nb,,,Canidae,Chrysocyon,,wolf,,\n"
    tree = taxonomy_from_csv(csv_file(tmp_path, text))
    with pytest.raises(DataError, match="common name of Canis and Chrysocyon"):
        tree.for_labels(["wolf"])


def test_json_gives_the_same_tree_back(cats: Taxonomy, tmp_path: Path) -> None:
    import json

    content = json.loads(json.dumps(cats.to_json()))
    assert Taxonomy.from_json(content) == cats
    (tmp_path / "t.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_taxonomy(tmp_path / "t.json") == cats
    content["taxa"].append(content["taxa"][0])
    with pytest.raises(DataError, match="more than once"):
        Taxonomy.from_json(content)
    with pytest.raises(DataError, match="format"):
        Taxonomy.from_json({})
    with pytest.raises(DataError, match="no text"):
        Taxonomy.from_json({**content, "taxa": [{"name": 1, "rank": "species"}]})


def test_folders_become_a_tree_whatever_way_names_are_written(tmp_path: Path) -> None:
    for folder in (
        "felidae/panthera/panthera_pardus/panthera_pardus_orientalis",
        "felidae/panthera/panthera_pardus/pardus",
        "felidae/panthera/leo",
        "felidae/acinonyx/acinonyx_jubatus/pardus",
        "canidae",
        "blank",
    ):
        (tmp_path / folder).mkdir(parents=True)
    tree = taxonomy_from_folders(tmp_path)
    assert tree.path("panthera_pardus_orientalis")[-2:] == ("Panthera pardus", "Panthera pardus orientalis")
    assert tree.path("felidae/panthera/panthera_pardus/pardus")[-1] == "Panthera pardus pardus"
    assert tree.path("leo") == ("Felidae", "Panthera", "Panthera leo")
    assert tree.rank("canidae") == "family"
    assert tree.kind("blank") == "blank"
    assert tree.children("Acinonyx") == ("Acinonyx jubatus",)  # a single child is a child like any other


def test_the_folders_of_a_split_are_one_tree(tmp_path: Path) -> None:
    photos = ["taxon_train/felidae/lynx/lynx_lynx/1_a.jpg", "taxon_train/canidae/2_a.jpg"]
    photos += ["taxon_validate/felidae/lynx/lynx_lynx/3_a.jpg", "taxon_validate/felidae/puma/4_a.jpg"]
    for photo in [*photos, "taxon_validate/5_a.jpg"]:
        (tmp_path / photo).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / photo).touch()
    tree = taxonomy_from_folders(tmp_path)
    assert list(tree.labels) == ["canidae", "lynx_lynx", "puma"]
    assert tree.path("lynx_lynx") == ("Felidae", "Lynx", "Lynx lynx")
    assert tree.children() == ("Canidae", "Felidae")
    (tmp_path / "mustelidae").mkdir()  # beside others it is no level of a split
    with pytest.raises(DataError, match="taxon_train/felidae"):
        taxonomy_from_folders(tmp_path)


def test_folders_too_deep_or_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folders"):
        taxonomy_from_folders(tmp_path)
    (tmp_path / "a/b/c/d/e").mkdir(parents=True)
    with pytest.raises(DataError, match="nested 5 deep"):
        taxonomy_from_folders(tmp_path)
    with pytest.raises(UsageError, match="broadest first"):
        taxonomy_from_folders(tmp_path, ranks=("genus", "family"))


def test_speciesnet_strings_keep_their_uuid_and_blank_its_meaning() -> None:
    none = ";".join(["f2efdae9"] + ["no cv result"] * 6)
    tree = taxonomy_from_speciesnet(
        [
            "u1;mammalia;carnivora;felidae;lynx;rufus;bobcat",
            "u1;mammalia;carnivora;felidae;lynx;rufus;bobcat",
            "u2;mammalia;carnivora;felidae;;;cat family",
            "u3;mammalia;rodentia;;;;mouse",
            "u4;mammalia;rodentia;muridae;mus;;mouse",
            "f185;;;;;;blank",
            "1f68;;;;;;animal",
            "990a;mammalia;primates;hominidae;homo;sapiens;human",
            "d1;mammalia;carnivora;canidae;canis;lupus dingo;dingo",
            none,
        ]
    )
    assert tree.taxon("bobcat").uuid == "u1"
    assert tree.path("dingo")[-2:] == ("Canis", "Canis lupus dingo")
    assert tree.path("cat family") == ("Mammalia", "Carnivora", "Felidae")
    assert {"mouse (Rodentia)", "mouse (Mus)"} <= set(tree.labels)
    assert [tree.kind(label) for label in ("blank", "animal", "human")] == ["blank", "animal", "human"]
    with pytest.raises(DataError, match=r"entry 2 .* 7 parts"):
        taxonomy_from_speciesnet(["u;mammalia;;;;;x", "lion"])


def test_sums_go_up_the_tree_and_each_label_is_in_one_group(cats: Taxonomy) -> None:
    labels = ["vehicle", "elk", "deer", "bobcat", "puma", "empty"]
    probabilities = np.array([[0.1, 0.2, 0.3, 0.25, 0.05, 0.1], [np.nan] * 6])
    sums, names = sum_at_nodes(probabilities, cats, labels)
    at = dict(zip(names, sums[0], strict=True))
    assert at["Mammalia"] == pytest.approx(0.8)
    assert at["Cervidae"] == pytest.approx(0.5)
    assert at["Cervus"] == pytest.approx(0.2)
    assert np.isnan(sums[1]).all()
    species, groups = sum_at_rank(probabilities, cats, labels, "species")
    assert groups == ("vehicle", "Cervus canadensis", "Cervidae", "Lynx rufus", "Puma concolor", "empty")
    family, groups = sum_at_rank(probabilities, cats, labels, "family")
    assert groups == ("vehicle", "Cervidae", "Felidae", "empty")
    assert family[0] == pytest.approx([0.1, 0.5, 0.3, 0.1])
    assert species[0].sum() == pytest.approx(1.0)
    with pytest.raises(UsageError, match="6 labels"):
        sum_at_rank(probabilities[:, :2], cats, labels, "family")


@given(st.permutations(["vehicle", "elk", "deer", "bobcat", "puma", "empty"]))
def test_the_order_of_labels_changes_no_sum(labels: list[str]) -> None:
    rows = {line.split(",")[0]: line for line in CATS.splitlines()[1:]}
    known = {name: float(place) for place, name in enumerate(rows)}
    taxa = {
        name: Taxon(name, rank, parent)  # type: ignore[arg-type]
        for name, rank, parent in [
            ("Mammalia", "class", None),
            ("Felidae", "family", "Mammalia"),
            ("Cervidae", "family", "Mammalia"),
        ]
    }
    homes = {"bobcat": "Felidae", "puma": "Felidae", "deer": "Cervidae", "elk": "Cervidae"}
    tree = Taxonomy(taxa, {name: Label(name, "animal", homes.get(name)) for name in rows})
    matrix, names = ancestor_matrix(tree, labels)
    sums = dict(zip(names, np.array([known[label] for label in labels]) @ matrix, strict=True))
    assert sums == {"Mammalia": 6.0, "Felidae": 1.0, "Cervidae": 5.0}


@pytest.mark.field
def test_the_real_table_covers_every_label_of_its_sets(field: Path) -> None:
    tree = read_taxonomy(field / "taxonomy.csv")
    assert tree.path("wild_pig") == tree.path("wild_boar")
    assert tree.kind("hunter") == "human"
    assert tree.kind("empty") == "blank"
    assert len(tree.labels) == 30
    part = tree.for_labels(["bobcat", "coyote", "deer", "opossum", "rabbit", "raccoon"])
    assert all(part.taxa[name].rank in RANKS for name in part.taxa)
    for rank in RANKS:
        sums, _ = sum_at_rank(np.full((1, 6), 1 / 6), part, list(part.labels), rank)
        assert sums.sum() == pytest.approx(1.0)
