"""From rows of names to a tree, with errors that name the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trapline.errors import DataError
from trapline.taxonomy.names import RANKS, Kind, Rank, plain, scientific, undetermined, without_author
from trapline.taxonomy.tree import Label, Taxon, Taxonomy


@dataclass(frozen=True)
class Row:
    """One label and the taxa above it, as a source gives them.

    Attributes:
        where: file and line, or folder, for errors.
        label: the label's name.
        kind: what it stands for.
        lineage: rank → scientific name, as far as the source fills them.
        common_name: of the label.
        synonyms: of the finest taxon.
        uuid: of the finest taxon.
    """

    where: str
    label: str
    kind: Kind
    lineage: dict[Rank, str]
    common_name: str | None = None
    synonyms: tuple[str, ...] = ()
    uuid: str | None = None

    @property
    def taxon(self) -> str | None:
        """The finest taxon of the row."""
        filled = [self.lineage[rank] for rank in RANKS if rank in self.lineage]
        return filled[-1] if filled else None


@dataclass
class _Node:
    rank: Rank
    where: str
    above: dict[Rank, tuple[str, str]]  # rank → name, where it was said
    common_names: dict[str, None]
    synonyms: dict[str, None]
    uuid: str | None = None


def build(rows: Sequence[Row], source: str) -> Taxonomy:
    """Join rows into one tree; rows that say the same more than once are welcome.

    Raises:
        DataError: two rows give a taxon two parents, a name two ranks, or a label two meanings; or one puts
            a species into a genus that is not that of its name.
    """
    nodes: dict[str, _Node] = {}
    for row in rows:
        _check_binomial(row)
        _add_lineage(nodes, row)
    _check_against_ancestors(nodes)
    _pass_up(nodes)
    ordered = sorted(nodes, key=lambda name: RANKS.index(nodes[name].rank))
    taxa = {name: _taxon(name, nodes[name]) for name in ordered}
    return Taxonomy(taxa, _labels(rows), source)


def full_names(lineage: dict[Rank, str]) -> dict[Rank, str]:
    """The scientific names of a lineage, epithets put behind the genus or species they belong to.

    Authors are left out, and a species that is not determined (`sp.`) is its genus.
    """
    names: dict[Rank, str] = {}
    for rank in RANKS:
        written = lineage.get(rank, "")
        if rank == "species" and (genus := undetermined(written)) is not None:
            if genus:
                names.setdefault("genus", scientific(genus))
            continue
        name = scientific(_without_author(written, rank))
        broader = names.get("genus") if rank == "species" else names.get("species")
        if name and rank in ("species", "subspecies") and broader and " " not in name:
            name = f"{broader} {name.lower()}"
        if name:
            names[rank] = name
    return names


def _without_author(name: str, rank: Rank) -> str:
    """See `without_author`; of a subspecies the third word is no author (`Canis lupus Dingo`)."""
    short = without_author(name)
    words = len(name.replace("_", " ").split())
    return name if rank == "subspecies" and words == 3 and " " in short else short


def _add_lineage(nodes: dict[str, _Node], row: Row) -> None:
    above: dict[Rank, tuple[str, str]] = {}
    for rank in RANKS:
        name = row.lineage.get(rank)
        if name is None:
            continue
        node = nodes.setdefault(name, _Node(rank, row.where, {}, {}, {}))
        if node.rank != rank:
            raise DataError(f"{row.where} gives {name} as {rank}, but {node.where} as {node.rank}.")
        for broader, statement in above.items():
            _put_below(name, node, broader, statement)
        above[rank] = (name, row.where)
    if row.taxon is not None:
        node = nodes[row.taxon]
        if row.common_name:
            node.common_names[row.common_name] = None
        node.synonyms.update(dict.fromkeys(row.synonyms))
        if row.uuid and node.uuid not in (None, row.uuid):
            raise DataError(f"{row.where} gives {row.taxon} another uuid than an earlier row.")
        node.uuid = node.uuid or row.uuid


def _check_binomial(row: Row) -> None:
    """The name of a species begins with its genus, that of a subspecies with its species."""
    pairs: list[tuple[Rank, Rank]] = [
        ("species", "genus"),
        ("subspecies", "species"),
        ("subspecies", "genus"),
    ]
    for rank, above in pairs:
        name, broader = row.lineage.get(rank), row.lineage.get(above)
        if name and broader and not name.startswith(f"{broader} "):
            raise DataError(
                f"{row.where} puts the {rank} {name} in the {above} {broader}, which is not what its name "
                "says. Correct one of the two; former names go into the column 'synonyms'."
            )


def _put_below(name: str, node: _Node, rank: Rank, statement: tuple[str, str]) -> None:
    """Note the taxon (name, where it was said) that a node has above it at a rank."""
    known = node.above.setdefault(rank, statement)
    if known[0] != statement[0]:
        raise DataError(
            f"{name} has two parents: {statement[1]} puts it in the {rank} {statement[0]}, "
            f"{known[1]} in {known[0]}."
        )


def _pass_up(nodes: dict[str, _Node]) -> None:
    """What is known above a taxon is above its parent as well, though another row named the parent."""
    for node in sorted(nodes.values(), key=lambda node: -RANKS.index(node.rank)):
        above = [rank for rank in RANKS if rank in node.above]
        for rank in above[:-1]:
            parent = node.above[above[-1]][0]
            _put_below(parent, nodes[parent], rank, node.above[rank])


def _check_against_ancestors(nodes: dict[str, _Node]) -> None:
    """Two rows may disagree through a third: Lynx in Felidae and Carnivora, Felidae in another order."""
    for name, node in nodes.items():
        for broader, (above, where) in node.above.items():
            for rank, (top, elsewhere) in nodes[above].above.items():
                statement = node.above.get(rank)
                if statement is not None and statement[0] != top:
                    raise DataError(
                        f"{name} has two parents: {statement[1]} puts it in the {rank} {statement[0]}, but "
                        f"{elsewhere} puts its {broader} {above} ({where}) in {top}."
                    )


def _taxon(name: str, node: _Node) -> Taxon:
    above = [node.above[rank][0] for rank in RANKS if rank in node.above]
    parent = above[-1] if above else None
    return Taxon(name, node.rank, parent, tuple(node.common_names), tuple(node.synonyms), node.uuid)


def _labels(rows: Sequence[Row]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    first: dict[str, tuple[str, Label]] = {}
    for row in rows:
        label = Label(row.label, row.kind, row.taxon, row.common_name)
        where, known = first.setdefault(plain(row.label), (row.where, label))
        if (known.kind, known.taxon) != (label.kind, label.taxon):
            raise DataError(
                f"The label '{row.label}' has two meanings: {where} says {_meaning(known)}, "
                f"{row.where} says {_meaning(label)}. Read one set at a time, or rename one of them."
            )
        labels.setdefault(row.label, label)
    return labels


def _meaning(label: Label) -> str:
    return f"{label.kind} {label.taxon}" if label.taxon else f"{label.kind} without a taxon"
