"""A person's edits of the notebook: what they change in the cells that other records make, and the difference of two notebooks.

An ``edit`` record holds a list of changes, which ``docs/journal.md`` describes. Whatever a record holds, the notebook stays valid.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..journal import Record
from .ids import Ids
from .outputs import mapping, plain, sequence, text
from .render import SETUP_TAG, Cell
from .visible import CELL_TYPES, attachments_of, source_of, visible_metadata

Change = dict[str, Any]
# The cells of each record or run, those of one together, in the order in which the journal first names them.
Groups = Sequence[Sequence[Cell]]

# Tags that say something of a run, and so come and go with it.
_RUN_TAGS = ("raises-exception", SETUP_TAG, "kernel-gateway-restart")


def changes(before: Sequence[Cell], after: Sequence[Cell]) -> list[Change]:
    """What a person did to come from one to the other; of two cells with one id the first counts.

    Outputs that are not as they were count only where none are left, as cleared; an execution count and what is no person's part of
    the metadata do not count. A cell that was moved is one change, however many it passed.
    """
    old, new = _by_id(before), _by_id(after)
    found: list[Change] = [{"op": "delete", "cell": name} for name in old if name not in new]
    staying = _staying(list(old), [name for name in new if name in old])
    last: str | None = None
    for name, cell in new.items():
        if name not in old:
            found.append({"op": "insert", "cell": name, "after": last, **_content(cell)})
        else:
            if name not in staying:
                found.append({"op": "move", "cell": name, "after": last})
            found += _changed(name, old[name], cell)
        last = name
    return found


def _by_id(cells: Iterable[Cell]) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(cell["id"], cell)
    return found


def _content(cell: Cell) -> Change:
    cell_type = cell["cell_type"]
    found: Change = {"cell_type": cell_type, "source": source_of(cell["source"])}
    if metadata := visible_metadata(cell.get("metadata"), cell_type):
        found["metadata"] = metadata
    if attachments := attachments_of(cell.get("attachments"), cell_type):
        found["attachments"] = attachments
    return found


def _changed(name: str, old: Cell, new: Cell) -> Iterator[Change]:
    before, after = _content(old), _content(new)
    empty: dict[str, Any] = {"metadata": {}, "attachments": {}}
    different = {k: v for k, v in {**empty, **after}.items() if {**empty, **before}[k] != v}
    if different:
        yield {"op": "change", "cell": name, **different}
    is_code = old["cell_type"] == new["cell_type"] == "code"
    if is_code and old.get("outputs") and not new.get("outputs"):
        yield {"op": "clear", "cell": name}


def _staying(before: list[str], after: list[str]) -> set[str]:
    """As many as possible whose order among themselves is the same: a longest increasing subsequence of places."""
    place = {name: n for n, name in enumerate(before)}
    ends: list[int] = []
    links: list[tuple[str, int]] = []
    lengths: list[int] = []
    for n, name in enumerate(after):
        length = bisect_left(lengths, place[name])
        links.append((name, ends[length - 1] if length else -1))
        ends[length : length + 1] = [n]
        lengths[length : length + 1] = [place[name]]
    found: set[str] = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        name, at = links[at]
        found.add(name)
    return found


@dataclass
class _Patch:
    """What edits say of one cell. None: nothing.

    ``is_own``: it is a person's cell, whatever a record that named it before made; ``shown_type`` is what it was when its source was
    edited; ``has_run``: it ran after its metadata was edited.
    """

    cell_type: str | None = None
    source: str | None = None
    metadata: Mapping[str, Any] | None = None
    attachments: Mapping[str, Any] | None = None
    is_own: bool = False
    shown_type: str | None = None
    has_run: bool = False


class Edits:
    """All edits so far, over the cells that the other records make. Same records, same result, one at a time or all at once."""

    def __init__(self, ids: Ids | None = None) -> None:
        """``ids`` are those of the other cells: no new cell gets one of them."""
        self._ids = ids or Ids()
        self._patches: dict[str, _Patch] = {}
        # Every cell with a place, also deleted ones: where one runs again it comes back there. None: as the journal has it.
        self._order: _Order | None = None
        # What was given last, and the types of its cells: a person's edits follow one another.
        self._seen: Groups | None = None
        self._made: dict[str, str] = {}
        self._is_placed = False
        self._deleted: set[str] = set()
        self._inserted: set[str] = set()
        # Names that a person's new cell could not have.
        self._renamed: dict[str, str] = {}

    def add(self, record: Record, natural: Groups) -> list[str]:
        """The next ``edit`` record; ``natural`` are the cells without any edit, the same list as long as they are the same.

        Returns those whose outputs were cleared.
        """
        made, cleared = self._look(natural), list[str]()
        for change in map(mapping, sequence(record.get("changes"))):
            if change.get("op") in ("insert", "move") and not self._is_placed:
                self._order, self._is_placed = _Order(self._places(natural)), True
            name = self._name(text(change.get("cell")), made)
            match change.get("op"):
                case "insert":
                    self._insert(name, change, made)
                case "delete" if self._is_known(name, made):
                    self._deleted.add(name)
                case "move" if self._is_known(name, made):
                    self._move(name, change.get("after"), made)
                case "change" if self._is_known(name, made):
                    self._change(name, change, made)
                case "clear" if name in made:
                    cleared.append(name)
                case _:
                    pass
        return cleared

    def ran(self, ids: Iterable[str]) -> None:
        """A record made these cells, or made them anew: it wins over older edits of what they say, and they are shown again."""
        for name in ids:
            self._deleted.discard(name)
            patch = self._patches.get(name)
            if patch is not None and patch.metadata is None:
                del self._patches[name]
            elif patch is not None:
                self._patches[name] = _Patch(metadata=patch.metadata, has_run=True)

    def apply(self, natural: Groups) -> list[Cell]:
        """The cells as a reader sees them."""
        if self._order is None and not self._patches and not self._deleted:
            return [cell for group in natural for cell in group]
        made = {cell["id"]: cell for group in natural for cell in group}
        return [
            self._cell(name, made.get(name))
            for name in self._places(natural)
            if name not in self._deleted and (name in made or name in self._inserted)
        ]

    def _look(self, natural: Groups) -> dict[str, str]:
        if natural is not self._seen:
            self._seen, self._is_placed = natural, False
            self._made = {cell["id"]: text(cell["cell_type"]) for group in natural for cell in group}
        return self._made

    def _name(self, wanted: str, made: Mapping[str, str]) -> str:
        return wanted if self._is_known(wanted, made) else self._renamed.get(wanted, wanted)

    def _is_known(self, name: str, made: Mapping[str, str]) -> bool:
        return name in made or name in self._inserted

    def _insert(self, name: str, change: Change, made: Mapping[str, str]) -> None:
        """One that is known is as the change says from now on: it was deleted before, or the record came twice."""
        if not self._is_known(name, made):
            wanted, name = name, self._ids.reserve(name)
            if wanted != name:
                self._renamed[wanted] = name
            self._inserted.add(name)
            found = change.get("cell_type")
            self._patches[name] = _Patch(found if found in CELL_TYPES else "code", is_own=True)
        self._deleted.discard(name)
        self._change(name, {"source": "", "metadata": {}, "attachments": {}, **change}, made)
        self._move(name, change.get("after"), made)

    def _move(self, name: str, after: Any, made: Mapping[str, str]) -> None:
        assert self._order is not None
        self._order.put(name, None if after is None else self._name(text(after), made))

    def _change(self, name: str, change: Change, made: Mapping[str, str]) -> None:
        patch = self._patches.setdefault(name, _Patch())
        shown = self._shown_type(patch, made.get(name))
        if "source" in change:
            patch.source, patch.shown_type = source_of(change["source"]), shown
        if "metadata" in change:
            patch.metadata, patch.has_run = plain(mapping(change["metadata"])), False
        if "attachments" in change:
            patch.attachments = plain(mapping(change["attachments"]))
        if (wanted := change.get("cell_type")) in CELL_TYPES and wanted != shown:
            patch.cell_type, patch.is_own = wanted, True

    def _shown_type(self, patch: _Patch, made: str | None) -> str:
        if made is None or patch.is_own:
            return patch.cell_type or "code"
        return made if patch.source is None or patch.shown_type is None else patch.shown_type

    def _places(self, natural: Groups) -> list[str]:
        """Every cell in order; those that came since the last edit beside what they belong to, else at the end."""
        if self._order is None:
            return [cell["id"] for group in natural for cell in group]
        placed, ahead, behind, new = set(self._order), dict[str, list[str]](), dict[str, list[str]](), list[str]()
        for group in natural:
            names = [cell["id"] for cell in group]
            anchors = [name for name in names if name in placed]
            if not anchors:
                new += names
                continue
            anchor = None
            for name in names:
                if name in placed:
                    anchor = name
                elif anchor is None:
                    ahead.setdefault(anchors[0], []).append(name)
                else:
                    behind.setdefault(anchor, []).append(name)
        around = ([*ahead.get(name, ()), name, *behind.get(name, ())] for name in self._order)
        return [name for names in around for name in names] + new

    def _cell(self, name: str, made: Cell | None) -> Cell:
        patch = self._patches.get(name)
        if patch is None and made is not None:
            return made
        patch = patch or _Patch()
        if made is None or patch.is_own or (patch.source is not None and patch.shown_type != made["cell_type"]):
            return _own_cell(name, patch, made)
        return _edited_cell(patch, made)


def _own_cell(name: str, patch: _Patch, made: Cell | None) -> Cell:
    """A cell that never ran, or a text of a person's. Of ``made`` it has what no edit says otherwise."""
    before: Cell = made or {"cell_type": "code", "source": "", "metadata": {}}
    cell_type = patch.cell_type or patch.shown_type or before["cell_type"]
    source = before["source"] if patch.source is None else patch.source
    metadata = visible_metadata(before["metadata"] if patch.metadata is None else patch.metadata, cell_type)
    attachments = before.get("attachments") if patch.attachments is None else patch.attachments
    ours = {"author": "person", "exit": "unrun"} if cell_type == "code" else {"kind": "person", "author": "person"}
    cell: Cell = {
        "cell_type": cell_type,
        "id": name,
        "metadata": {**metadata, "kernel_gateway": ours},
        "source": source,
    }
    if cell_type == "code":
        return {**cell, "execution_count": None, "outputs": []}
    found = attachments_of(attachments, cell_type)
    return {**cell, "attachments": found} if found else cell


def _edited_cell(patch: _Patch, made: Cell) -> Cell:
    cell = dict(made)
    if patch.source is not None:
        cell["source"] = patch.source
    if patch.attachments is not None:
        cell.pop("attachments", None)
        if found := attachments_of(patch.attachments, made["cell_type"]):
            cell["attachments"] = found
    metadata = dict(made["metadata"]) if patch.metadata is None else _metadata(patch, made)
    if cell["source"] != made["source"] or cell.get("attachments") != made.get("attachments"):
        metadata["kernel_gateway"] = {**metadata.get("kernel_gateway", {}), "edited": True}
    cell["metadata"] = metadata
    return cell


def _metadata(patch: _Patch, made: Cell) -> dict[str, Any]:
    """A person's part from the edit, and ours from the record; tags that speak of a run are those of the last one."""
    found = visible_metadata(patch.metadata, made["cell_type"])
    if patch.has_run:
        tags = [t for t in found.pop("tags", []) if t not in _RUN_TAGS]
        tags += [t for t in sequence(made["metadata"].get("tags")) if t in _RUN_TAGS and t not in tags]
        found |= {"tags": tags} if tags else {}
    kept = {k: v for k, v in made["metadata"].items() if k in ("kernel_gateway", "execution")}
    return {**found, **kept}


class _Order:
    """Names in a row; to put one elsewhere takes no longer in a long row."""

    def __init__(self, names: Iterable[str]) -> None:
        # Both ends are the empty name, which no cell has.
        self._next, self._before = {"": ""}, {"": ""}
        for name in names:
            self._link(name, self._before[""])

    def __iter__(self) -> Iterator[str]:
        name = self._next[""]
        while name:
            yield name
            name = self._next[name]

    def put(self, name: str, after: str | None) -> None:
        """At the beginning for None; at the end when ``after`` is not here."""
        if name in self._next:
            before, following = self._before.pop(name), self._next.pop(name)
            self._next[before], self._before[following] = following, before
        self._link(name, "" if after is None else after if after and after in self._next else self._before[""])

    def _link(self, name: str, after: str) -> None:
        following = self._next[after]
        self._next[after], self._before[name], self._next[name], self._before[following] = name, after, following, name
