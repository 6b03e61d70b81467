"""The tree: taxa, labels, and the questions one asks of them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from trapline.errors import DataError, UsageError
from trapline.taxonomy.names import KINDS, RANKS, Kind, Rank, default_kind, plain

FORMAT_VERSION = "1"


@dataclass(frozen=True)
class Taxon:
    """A node of the tree.

    Attributes:
        name: the scientific name ("Lynx rufus"), unique in the tree.
        rank: one of `RANKS`.
        parent: the name of the nearest broader taxon; None at the top.
        common_names: as the sources give them.
        synonyms: other scientific names of the same taxon.
        uuid: SpeciesNet's and Wildlife Insights' id of the taxon, where the source gave it.
    """

    name: str
    rank: Rank
    parent: str | None = None
    common_names: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    uuid: str | None = None


@dataclass(frozen=True)
class Label:
    """A class name of a data set or model, and what it stands for.

    Attributes:
        name: as it is written in labels and models.
        kind: one of `KINDS`.
        taxon: the name of its taxon, as far as the label warrants ("deer" may stop at a family); None for
            what has none (`blank`, a vehicle).
        common_name: for people; the label itself where the source gives none.
    """

    name: str
    kind: Kind
    taxon: str | None = None
    common_name: str | None = None


@dataclass(frozen=True)
class Taxonomy:
    """A checked tree of taxa and the labels that map onto it, by name and never by position.

    Attributes:
        taxa: every node by its scientific name, broader before finer.
        labels: every label by its name, in the order of the source.
        source: what was read, for people.

    Raises:
        DataError: a rank or kind is unknown, a parent does not exist, a child is not finer than its parent
            (which every cycle breaks), a label's taxon does not exist, or a name means two taxa.
    """

    taxa: Mapping[str, Taxon]
    labels: Mapping[str, Label]
    source: str = "a taxonomy"
    _by_name: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for taxon in self.taxa.values():
            self._check_taxon(taxon)
        for label in self.labels.values():
            self._check_label(label)
        object.__setattr__(self, "_by_name", self._index_of_names())
        for label in self.labels.values():
            other = self._by_name.get(plain(label.name))
            if other is not None and other not in self.path(label.name):  # "puma" may be Puma concolor
                raise DataError(
                    f"{self.source}: the label '{label.name}' is the name of the taxon {other} but is mapped "
                    f"to {label.taxon or 'no taxon'}. Rename the label or correct its taxon."
                )

    def _check_taxon(self, taxon: Taxon) -> None:
        if taxon.rank not in RANKS:
            raise DataError(
                f"{self.source}: {taxon.name} has the unknown rank '{taxon.rank}'; "
                f"ranks are: {', '.join(RANKS)}."
            )
        if taxon.parent is None:
            return
        if taxon.parent not in self.taxa:
            raise DataError(f"{self.source}: the parent of {taxon.name}, {taxon.parent}, is not in the tree.")
        parent = self.taxa[taxon.parent]
        if parent.rank in RANKS and RANKS.index(parent.rank) >= RANKS.index(taxon.rank):
            raise DataError(
                f"{self.source}: {taxon.name} ({taxon.rank}) cannot be below {parent.name} ({parent.rank}): "
                "a child must be finer than its parent, and no taxon may be above itself."
            )

    def _check_label(self, label: Label) -> None:
        if label.kind not in KINDS:
            raise DataError(
                f"{self.source}: the label '{label.name}' has the unknown kind '{label.kind}'; "
                f"kinds are: {', '.join(KINDS)}."
            )
        if label.taxon is not None and label.taxon not in self.taxa:
            raise DataError(
                f"{self.source}: the taxon of the label '{label.name}', {label.taxon}, is not in the tree."
            )

    def _index_of_names(self) -> dict[str, str]:
        index: dict[str, str] = {}
        for taxon in self.taxa.values():
            for name in (taxon.name, *taxon.synonyms):
                other = index.setdefault(plain(name), taxon.name)
                if other != taxon.name:
                    raise DataError(
                        f"{self.source}: the name '{name}' is given to two taxa, {other} and {taxon.name}."
                    )
        return index

    # ---- nodes

    @cached_property
    def _children(self) -> dict[str | None, tuple[str, ...]]:
        children: dict[str | None, list[str]] = {}
        for taxon in self.taxa.values():
            children.setdefault(taxon.parent, []).append(taxon.name)
        return {parent: tuple(names) for parent, names in children.items()}

    def parent(self, taxon: str) -> str | None:
        """The nearest broader taxon; None at the top."""
        return self.taxon(taxon).parent

    def children(self, taxon: str | None = None) -> tuple[str, ...]:
        """The taxa right below one; of None the tops of the tree."""
        return self._children.get(None if taxon is None else self.taxon(taxon).name, ())

    def parents(self) -> tuple[str, ...]:
        """Every taxon that has children, broader before finer."""
        return tuple(name for name in self.taxa if name in self._children)

    def leaves(self) -> tuple[str, ...]:
        """Every taxon without children."""
        return tuple(name for name in self.taxa if name not in self._children)

    def taxon(self, name: str) -> Taxon:
        """The taxon of a label, or of a scientific name or synonym.

        Raises:
            UsageError: there is no such name, or the label has no taxon.
        """
        label = self.labels.get(name)
        name_of_taxon = label.taxon if label is not None else self._by_name.get(plain(name))
        if name_of_taxon is None:
            raise UsageError(
                f"The label '{name}' has no taxon."
                if label is not None
                else f"{self.source} has no label or taxon called '{name}'.{self._near(name)}"
            )
        return self.taxa[name_of_taxon]

    # ---- labels

    def path(self, name: str) -> tuple[str, ...]:
        """The taxa from the top down to that of a label or taxon; empty for a label without a taxon."""
        label = self.labels.get(name)
        if label is not None and label.taxon is None:
            return ()
        taxon: Taxon | None = self.taxon(name)
        ancestors = []
        while taxon is not None:
            ancestors.append(taxon.name)
            taxon = None if taxon.parent is None else self.taxa[taxon.parent]
        return tuple(reversed(ancestors))

    def lineage(self, name: str) -> dict[Rank, str]:
        """Rank → taxon from the top down to that of a label or taxon; ranks that are missing are absent."""
        return {self.taxa[taxon].rank: taxon for taxon in self.path(name)}

    def rank(self, name: str) -> Rank | None:
        """The rank at which a label or taxon stops; None for a label without a taxon."""
        path = self.path(name)
        return self.taxa[path[-1]].rank if path else None

    def kind(self, label: str) -> Kind:
        """What a label stands for.

        Raises:
            UsageError: there is no such label.
        """
        if label not in self.labels:
            raise UsageError(f"{self.source} has no label called '{label}'.{self._near(label)}")
        return self.labels[label].kind

    def for_labels(self, names: Sequence[str]) -> Taxonomy:
        """The part of the tree that these labels need, with exactly these labels in this order.

        Each is looked up by name: as a label, then as a scientific name or synonym, then as a common name,
        all without regard to case and underscores. `blank`, `empty`, `human`, `person`, `vehicle` and
        `other` need no row.

        Raises:
            DataError: a name is not found, or means two taxa; all of them are named.
        """
        mapped: dict[str, Label] = {}
        problems = []
        for name in names:
            label = self._look_up(name)
            if isinstance(label, str):
                problems.append(label)
            else:
                mapped[name] = replace(label, name=name)
        if problems:
            raise DataError(f"{self.source} does not cover every label: {'; '.join(problems).rstrip('.')}.")
        needed = {taxon for label in mapped.values() if label.taxon for taxon in self.path(label.taxon)}
        taxa = {name: taxon for name, taxon in self.taxa.items() if name in needed}
        return Taxonomy(taxa, mapped, self.source)

    def _look_up(self, name: str) -> Label | str:
        """The label that a name means, or what is wrong with it."""
        if name in self.labels:
            return self.labels[name]
        wanted = plain(name)
        same = [label for label in self.labels.values() if plain(label.name) == wanted]
        if same:
            return same[0]
        if wanted in self._by_name:
            return self._label_of_taxon(name, self._by_name[wanted])
        known = [taxon for taxon in self.taxa.values() if wanted in map(plain, taxon.common_names)]
        if len(known) > 1:
            return f"'{name}' is a common name of {' and '.join(taxon.name for taxon in known)}"
        if known:
            return self._label_of_taxon(name, known[0].name)
        kind = default_kind(name)
        if kind is not None:
            alike = (label for label in self.labels.values() if default_kind(label.name) == kind)
            return next(alike, Label(name, kind))
        return f"'{name}' is not in it.{self._near(name)}"

    def _label_of_taxon(self, name: str, taxon: str) -> Label:
        kind: Kind = "human" if "Homo" in self.path(taxon) or taxon == "Homo sapiens" else "animal"
        common = self.taxa[taxon].common_names
        return Label(name, kind, taxon, common[0] if common else None)

    def _near(self, name: str) -> str:
        names = {plain(known): known for known in (*self.labels, *self.taxa)}
        near = difflib.get_close_matches(plain(name), names, 1)
        return f" Did you mean '{names[near[0]]}'?" if near else ""

    # ---- JSON

    def to_json(self) -> dict[str, Any]:
        """The whole taxonomy, JSON-able; `from_json` makes an equal one."""
        return {
            "format_version": FORMAT_VERSION,
            "source": self.source,
            "taxa": [_drop_empty(vars(taxon)) for taxon in self.taxa.values()],
            "labels": [_drop_empty(vars(label)) for label in self.labels.values()],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str = "The taxonomy") -> Taxonomy:
        """What `to_json` made, checked anew.

        Raises:
            DataError: it is not such a thing, or breaks a rule of the tree.
        """
        if content.get("format_version") != FORMAT_VERSION:
            raise DataError(
                f"{where} has the format {content.get('format_version')!r}; "
                f"this Trapline reads '{FORMAT_VERSION}'."
            )
        try:
            taxa = [Taxon(**_make_tuples(each)) for each in content["taxa"]]
            labels = [Label(**each) for each in content["labels"]]
            source = str(content["source"])
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where} cannot be read as a taxonomy: {error}") from error
        for names in ([taxon.name for taxon in taxa], [label.name for label in labels]):
            if not all(isinstance(name, str) for name in names):
                raise DataError(f"{where} has a name that is no text.")
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            if twice:
                raise DataError(f"{where} names '{twice[0]}' more than once.")
        return cls({taxon.name: taxon for taxon in taxa}, {label.name: label for label in labels}, source)


def _drop_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, ())
    }


def _make_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
