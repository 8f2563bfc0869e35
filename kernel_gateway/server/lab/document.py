"""The shared document of a notebook, made to show what a fold of the journal shows, and asked what people changed in it.

A cell that people changed since it was last shown keeps their change: what they wrote becomes a record first, and comes back
with the next fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from jupyter_ydoc import YNotebook
from pycrdt import Array, Map, Text

from ...notebook.render import Cell

_STREAM = "stream"
# The cell in which words of the model stand that no record holds yet.
_PREVIEW = "cell-gateway-words"


class SharedNotebook:
    """One document. All calls are on the event loop; each of `show`, `set_state` and `preview` is one transaction."""

    def __init__(self, document: YNotebook, on_change: Callable[[], None]) -> None:
        """``on_change`` is called after a change that was not made here."""
        self._document = document
        self._ydoc = document.ydoc
        self._ycells: Any = document.ycells
        # What was last shown of each cell, in its order.
        self._shown: dict[str, Cell] = {}
        self._is_own = False
        self._on_change = on_change
        self._subscription = self._ydoc.observe(self._changed)
        # Cells below which words of ours stand.
        self._told: set[str] = set()

    def close(self) -> None:
        self._ydoc.unobserve(self._subscription)

    def _changed(self, event: Any) -> None:
        if not self._is_own:
            self._on_change()

    def adopt(self, cells: Sequence[Cell]) -> None:
        """Begin: the document holds some state of ``cells``, and what differs in those cells is not a person's change."""
        self.preview("")
        known = {cell["id"] for cell in cells}
        self._shown = {cell["id"]: cell for cell in self._read(outputs=True) if cell["id"] in known}
        self.show(cells)

    @property
    def shown(self) -> list[Cell]:
        return list(self._shown.values())

    def cells(self) -> list[Cell]:
        """The document's cells, without previews and empty code cells; ``outputs`` are those last shown, or none when
        somebody cleared them.
        """
        found: list[Cell] = []
        for cell in self._read(outputs=False):
            before = self._shown.get(cell["id"])
            if cell["id"] == _PREVIEW or (before is None and _is_blank(cell)):
                continue
            if cell["cell_type"] == "code":
                kept = before.get("outputs", []) if before is not None else []
                cell["outputs"] = kept if cell["outputs"] else []
            found.append(cell)
        return found

    def accept(self, cells: Sequence[Cell], refused: Set[str] = frozenset()) -> None:
        """``cells``, as `cells` gave them, are recorded but for those ``refused``: what differs from them now was changed since."""
        before, self._shown = self._shown, {}
        for cell in cells:
            name = cell["id"]
            if name not in refused:
                self._shown.setdefault(name, cell)
            elif name in before:
                self._shown.setdefault(name, before[name])

    def source(self, cell_id: str) -> str | None:
        """None when there is no such cell."""
        place = self._place(cell_id)
        return None if place is None else str(self._ycells[place]["source"])

    def is_code(self, cell_id: str) -> bool:
        place = self._place(cell_id)
        return place is not None and self._ycells[place].get("cell_type") == "code"

    def remove(self, cell_id: str) -> None:
        """For a cell that no record holds."""
        place = self._place(cell_id)
        if place is not None:
            with self._own():
                del self._ycells[place]

    def set_state(self, cell_id: str, state: str) -> None:
        """``running`` or ``idle``, as Lab shows beside a code cell."""
        place = self._place(cell_id)
        if place is not None and self._ycells[place].get("execution_state") != state:
            with self._own():
                self._ycells[place]["execution_state"] = state

    def tell(self, cell_id: str, text: str) -> None:
        """Words of ours below a code cell, which no record holds; an empty text takes them away."""
        place = self._place(cell_id)
        if place is None or not isinstance(self._ycells[place].get("outputs"), Array):
            return
        said = [{"output_type": _STREAM, "name": "stderr", "text": f"{text}\n"}] if text else []
        shown = self._shown.get(cell_id, {}).get("outputs", [])
        youtputs: Any = self._ycells[place]["outputs"]
        if text or cell_id in self._told:
            self._told = self._told | {cell_id} if text else self._told - {cell_id}
            with self._own():
                _replace(youtputs, [*shown, *said])

    def show(self, cells: Sequence[Cell]) -> None:
        """Make the document show ``cells``, less what people changed since the last time."""
        wanted = {cell["id"]: cell for cell in cells}
        self._withdraw_trust(wanted)
        shown = dict(wanted)
        with self._own():
            ids = self._delete_gone(wanted)
            for place, cell_id in enumerate(ids):
                if cell_id in wanted:
                    shown[cell_id] = self._update(place, self._shown.get(cell_id), wanted[cell_id])
            self._insert_new(ids, cells)
            self._reorder(ids, cells)
        self._shown = {name: cell for name, cell in shown.items() if name in self._shown or name in ids}

    def preview(self, text: str) -> None:
        """Words of the model as they come: a cell at the end that no record holds yet. An empty text takes it away."""
        place = self._place(_PREVIEW)
        if not text and place is None:
            return
        with self._own():
            if not text:
                del self._ycells[place]
            elif place is None:
                cell = {"cell_type": "markdown", "id": _PREVIEW, "metadata": {}, "source": text}
                self._insert(self._end(), cell)
            else:
                _extend(self._ycells[place]["source"], text)

    def _end(self) -> int:
        """The place behind the last cell that was shown: an empty cell that a person waits to write into stays the last."""
        places = [n for n, ycell in enumerate(self._ycells) if ycell.get("id") in self._shown]
        return places[-1] + 1 if places else len(self._ycells)

    def _own(self) -> _Own:
        return _Own(self, self._ydoc)

    def _read(self, *, outputs: bool) -> list[Cell]:
        return [_cell(ycell, outputs=outputs) for ycell in self._ycells]

    def _place(self, cell_id: str) -> int | None:
        return next((n for n, ycell in enumerate(self._ycells) if ycell.get("id") == cell_id), None)

    def _insert(self, place: int, cell: Cell) -> None:
        self._ycells.insert(place, self._document.create_ycell(cell))
        if _state(cell) == "running":
            self._ycells[place]["execution_state"] = "running"

    def _withdraw_trust(self, wanted: Mapping[str, Cell]) -> None:
        """Before what takes it away is shown: a browser takes each transaction by itself. Lab, too, trusts cells that people run."""
        with self._own():
            for ycell in self._ycells:
                cell = wanted.get(str(ycell.get("id")))
                if cell is not None and cell is not self._shown.get(cell["id"]) and not cell["metadata"].get("trusted"):
                    metadata = ycell.get("metadata")
                    if isinstance(metadata, Map) and metadata.get("trusted"):
                        metadata["trusted"] = False

    def _delete_gone(self, wanted: Mapping[str, Cell]) -> list[str]:
        """The ids that are left, in the document's order."""
        ids: list[str] = [str(ycell.get("id")) for ycell in self._ycells]
        for place in reversed(range(len(ids))):
            if ids[place] in self._shown and ids[place] not in wanted:
                del self._ycells[place]
                del ids[place]
        return ids

    def _insert_new(self, ids: list[str], cells: Sequence[Cell]) -> None:
        """Each after those before it. What was shown and is not there any more was deleted by a person just now."""
        new = {cell["id"] for cell in cells} - set(ids) - self._shown.keys()
        place = 0
        for cell in cells if new else ():
            name = cell["id"]
            if name in new:
                self._insert(place, cell)
                ids.insert(place, name)
                place += 1
            elif name in ids:
                place = max(place, ids.index(name) + 1)

    def _reorder(self, ids: list[str], cells: Sequence[Cell]) -> None:
        """Only where the journal's order changed and nobody changed it here meanwhile."""
        now = [c["id"] for c in cells if c["id"] in self._shown and c["id"] in ids]
        before = [name for name in self._shown if name in now]
        here = [name for name in ids if name in now]
        if now == before or here != before:
            return
        by_id = {cell["id"]: cell for cell in cells}
        slots = [n for n, name in enumerate(ids) if name in now]
        # What somebody is just writing goes with its cell.
        sources = {ids[place]: str(self._ycells[place]["source"]) for place in slots}
        for place, name in zip(slots, now, strict=True):
            if ids[place] != name:
                # Yjs 13 knows no move.
                del self._ycells[place]
                self._insert(place, {**by_id[name], "source": sources[name]})
                ids[place] = name

    def _update(self, place: int, before: Cell | None, cell: Cell) -> Cell:
        """What is shown of it now: not yet what would overwrite what a person did meanwhile."""
        if before is cell:
            return cell
        ycell: Any = self._ycells[place]
        if before is None:
            # A person's new cell, which may have been written on since it was recorded.
            before = {**cell, "source": None, "metadata": {}, "outputs": None, "attachments": None}
        elif ycell.get("cell_type") != cell["cell_type"]:
            return self._change_type(place, before, cell)
        if before["source"] not in (None, cell["source"]) and str(ycell["source"]) == before["source"]:
            _rewrite(ycell["source"], cell["source"])
        _update_map(ycell["metadata"], before["metadata"], cell["metadata"])
        if cell.get("attachments") and cell.get("attachments") != before.get("attachments"):
            ycell["attachments"] = cell["attachments"]
        return self._update_code(ycell, before, cell) if cell["cell_type"] == "code" else cell

    def _change_type(self, place: int, before: Cell, cell: Cell) -> Cell:
        if before["cell_type"] == cell["cell_type"]:
            # By a person.
            return cell
        if str(self._ycells[place]["source"]) != before["source"]:
            return before
        del self._ycells[place]
        self._insert(place, cell)
        return cell

    def _update_code(self, ycell: Any, before: Cell, cell: Cell) -> Cell:
        if ycell.get("execution_count") != cell["execution_count"]:
            ycell["execution_count"] = cell["execution_count"]
        if not isinstance(ycell.get("outputs"), Array):
            ycell["outputs"] = Array([])
        if ycell.get("execution_state") != _state(cell):
            ycell["execution_state"] = _state(cell)
        outputs, last = ycell["outputs"], before.get("outputs")
        if last and not len(outputs):
            # A person cleared them, which is no record yet.
            return {**cell, "outputs": last}
        if cell["id"] in self._told:
            if last != cell["outputs"]:
                self._told.discard(cell["id"])
                _replace(outputs, cell["outputs"])
        elif last is None or len(outputs) != len(last):
            _replace(outputs, cell["outputs"])
        else:
            _update_outputs(outputs, last, cell["outputs"])
        return cell


class _Own:
    """A transaction whose changes are known to be ours: observers are called when it is committed."""

    def __init__(self, shared: SharedNotebook, ydoc: Any) -> None:
        self._shared, self._transaction = shared, ydoc.transaction()

    def __enter__(self) -> None:
        self._shared._is_own = True  # pyright: ignore[reportPrivateUsage]
        self._transaction.__enter__()

    def __exit__(self, *raised: Any) -> None:
        try:
            self._transaction.__exit__(*raised)
        finally:
            self._shared._is_own = False  # pyright: ignore[reportPrivateUsage]


def _cell(ycell: Any, *, outputs: bool) -> Cell:
    """As nbformat has it; without ``outputs`` a list that is only empty when they are."""
    cell: Cell = {
        "id": str(ycell.get("id")),
        "cell_type": str(ycell.get("cell_type")),
        "source": str(ycell.get("source")),
    }
    cell["metadata"] = _plain(ycell.get("metadata"))
    if attachments := _plain(ycell.get("attachments")):
        cell["attachments"] = attachments
    if cell["cell_type"] == "code":
        found = ycell.get("outputs")
        number = len(found) if isinstance(found, Array) else 0
        cell["outputs"] = [_plain(o) for o in found] if outputs and number else [{}] * number
        cell["execution_count"] = _whole(ycell.get("execution_count"))
    return cell


def _state(cell: Cell) -> str:
    exit_kind = cell["metadata"].get("kernel_gateway", {}).get("exit")
    return "running" if exit_kind == "running" else "idle"


def _plain(value: Any) -> Any:
    found = _whole(value.to_py() if isinstance(value, (Map, Array)) else value)
    return {} if found is None else found


def _whole(value: Any) -> Any:
    """Numbers that come from a browser are floats."""
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_blank(cell: Cell) -> bool:
    return cell["cell_type"] == "code" and not cell["source"].strip()


def _update_map(ymap: Any, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in before.keys() - now.keys():
        if key in ymap:
            del ymap[key]
    for key, value in now.items():
        if key not in before or before[key] != value or (key == "trusted" and ymap.get(key) != value):
            ymap[key] = value


def _update_outputs(youtputs: Any, before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> None:
    """Stream text grows in place; from the first other difference on, outputs are replaced."""
    if before is now:
        return
    same = 0
    while same < min(len(before), len(now)) and before[same] == now[same]:
        same += 1
    if same < min(len(before), len(now)) and _has_grown(before[same], now[same]):
        text = youtputs[same]["text"]
        text += now[same]["text"][len(before[same]["text"]) :]
        same += 1
    if same < len(before):
        del youtputs[same : len(youtputs)]
    if same < len(now):
        youtputs.extend([_youtput(output) for output in now[same:]])


def _replace(youtputs: Any, outputs: Sequence[Mapping[str, Any]]) -> None:
    del youtputs[0 : len(youtputs)]
    youtputs.extend([_youtput(output) for output in outputs])


def _has_grown(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    is_stream = before["output_type"] == now["output_type"] == _STREAM and before["name"] == now["name"]
    return is_stream and now["text"].startswith(before["text"])


def _youtput(output: Mapping[str, Any]) -> Map[Any]:
    if output["output_type"] == _STREAM:
        return Map({**output, "text": Text(output["text"])})
    return Map(dict(output))


def _rewrite(ytext: Any, text: str) -> None:
    ytext.clear()
    if text:
        ytext += text


def _extend(ytext: Any, text: str) -> None:
    before = str(ytext)
    if text.startswith(before):
        if len(text) > len(before):
            ytext += text[len(before) :]
    else:
        _rewrite(ytext, text)
