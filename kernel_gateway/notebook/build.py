"""The notebook as a pure fold of the journal: same records, same cells, whatever a hostile kernel put into them.

`Fold` takes records one by one and renders again only the cells they touch. ``docs/journal.md`` says what becomes of each kind.
"""

from __future__ import annotations

import base64
import contextlib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import astuple
from typing import Any, cast

from ..journal import BlobStore, Record, internalize
from . import markdown
from .edits import Edits
from .egress import EgressSums
from .ids import Ids
from .outputs import PICTURES, count, mapping, plain, sequence, text, valid_output
from .render import Cell, CellIds, RunState, cells_of, count_bytes, text_cell

SCHEMA = 1
# A picture that a person attached is put into the notebook up to this size, and linked beyond.
EMBED_BYTES = 1024 * 1024
_TITLE_CHARACTERS = 80
_SESSION_FIELDS = ("session", "created", "version", "engine", "image", "isolation", "environment", "origin")

Notebook = dict[str, Any]


def fold(records: Iterable[Record], blobs: BlobStore | None = None, *, edits: bool = True) -> Notebook:
    """The notebook (nbformat 4.5, plain dicts, sources and texts as one string) of a journal or of any beginning of one.

    Always valid, never raises for what records hold, and depends on nothing but the records and the blobs they name. Without ``edits``
    it is as if no person had edited it: what ran, and what that gave.
    """
    folded = Fold(blobs, edits=edits)
    for record in records:
        folded.add(record)
    return folded.notebook()


class Fold:
    """The fold of a journal that grows. What `notebook` returns shares its cells with this object: do not change them."""

    def __init__(self, blobs: BlobStore | None = None, *, edits: bool = True) -> None:
        self.seq = -1
        self._blobs = blobs
        self._ids = Ids()
        self._edits = Edits(self._ids)
        # The cells without edits, as long as no record but edits comes.
        self._natural: list[list[Cell]] | None = None
        self._slots: dict[tuple[str, str], _Slot] = {}
        self._runs: dict[str, RunState] = {}
        # The run that is shown in a cell, by the cell's id.
        self._shown: dict[str, RunState] = {}
        # Where each display id was shown: the run, and the place among its items.
        self._displays: dict[str, list[tuple[RunState, int]]] = {}
        self._session: Record = {}
        self._model: str | None = None
        self._title: str | None = None
        self._turns: dict[str, Record] = {}
        self._inputs: dict[str, Record] = {}
        self._files: dict[str, Record] = {}
        self._egress = EgressSums()
        self._handlers: dict[str, Callable[[Record], None]] = {
            "session": self._add_session,
            "kernel": self._add_kernel,
            "prompt": self._add_prompt,
            "words": self._add_words,
            "message": self._add_message,
            "turn": self._add_turn,
            "input": self._add_input,
            "start": self._add_start,
            "output": self._add_output,
            "end": self._add_end,
            "files": self._add_files,
            "death": self._add_death,
            "interrupt": self._add_interrupt,
            "notice": self._add_notice,
            "egress": self._add_egress,
        }
        if edits:
            self._handlers["edit"] = self._add_edit

    def add(self, record: Record) -> None:
        """The next record. Kinds that this version does not know are passed over."""
        if isinstance(seq := record.get("seq"), int):
            self.seq = max(self.seq, seq)
        kind = record.get("kind")
        if isinstance(kind, str) and kind in self._handlers:
            if kind != "edit":
                self._natural = None
            self._handlers[kind](mapping(internalize(record, self._blobs)))

    def notebook(self) -> Notebook:
        """The notebook of all records so far."""
        return {
            "cells": self._edits.apply(self._groups()),
            "metadata": self._metadata(),
            "nbformat": 4,
            "nbformat_minor": 5,
        }

    def _groups(self) -> list[list[Cell]]:
        if self._natural is None:
            self._natural = [slot.cells() for slot in self._slots.values()]
        return self._natural

    def _add_edit(self, record: Record) -> None:
        for cell in self._edits.add(record, self._groups()):
            if (state := self._shown.get(cell)) is not None:
                state.clear()
                self._touch(state)
                self._natural = None

    # Markdown cells

    def _add_prompt(self, record: Record) -> None:
        body = _said(record)
        if self._title is None and body.strip():
            self._title = _title(body)
        attachments = [mapping(a) for a in sequence(record.get("attachments"))]
        pictures = {text(a["sha256"]): found for a in attachments if (found := self._picture(a))}
        names = {digest: f"{digest[:16]}.{PICTURES[mime]}" for digest, (mime, _) in pictures.items()}
        slot = self._text_slot(record)
        source = markdown.prompt(body, attachments, names)
        cell = text_cell(slot.id, source, "prompt", turn=record.get("turn"), author="person")
        if pictures:
            cell["attachments"] = {names[digest]: {mime: data} for digest, (mime, data) in pictures.items()}
        slot.fixed = [cell]

    def _picture(self, attachment: Record) -> tuple[str, str] | None:
        mime, size = text(attachment.get("mime")), attachment.get("bytes")
        if mime not in PICTURES or not 0 < count_bytes(size) <= EMBED_BYTES or self._blobs is None:
            return None
        with contextlib.suppress(OSError):
            return mime, base64.b64encode(self._blobs.get(text(attachment.get("sha256")))).decode()
        return None

    def _add_words(self, record: Record) -> None:
        source = markdown.words(_said(record), sequence(record.get("files")))
        facts = {k: record.get(k) for k in ("turn", "model", "tool", "tool_use_id")}
        if isinstance(record.get("model"), str):
            self._model = text(record["model"])
        if files := sequence(record.get("files")):
            facts["files"] = files
        slot = self._text_slot(record)
        author = "person" if record.get("author") == "person" else "model"
        slot.fixed = [text_cell(slot.id, source, "words", author=author, **facts)]

    def _add_notice(self, record: Record) -> None:
        slot = self._text_slot(record)
        slot.fixed = [text_cell(slot.id, markdown.notice(_said(record)), "notice")]

    def _text_slot(self, record: Record) -> _Slot:
        cell = record.get("cell")
        name = text(cell) if cell is not None else f"{record.get('kind')}-{text(record.get('seq'))}"
        slot = self._slots.get(("text", name))
        if slot is None:
            slot = self._slots[("text", name)] = _Slot(self._ids.take(name))
            self._edits.ran([slot.id])
        return slot

    # Runs

    def _add_start(self, record: Record) -> None:
        run = text(record.get("run"))
        state = self._runs.setdefault(run, RunState(run))
        if state.start:
            return
        state.start = record
        if state.ids is not None:
            # Its outputs came first and have a place already.
            self._touch(state)
        elif not record.get("hidden"):
            self._place(state, text(record["cell"]) if record.get("cell") is not None else run)

    def _place(self, state: RunState, cell: str) -> None:
        """Show the run at its cell, in place of the one shown there so far."""
        slot = self._slots.setdefault(("code", cell), _Slot())
        before = slot.state
        if before is None or before.ids is None:
            ids = CellIds(*self._ids.take_group(cell, ("", "-above", "-note", "-pictures")))
        else:
            ids, before.ids = before.ids, None
            state.earlier = before.earlier + 1
            before.items.clear()
        slot.state, state.ids = state, ids
        slot.stale = True
        self._shown[ids.main] = state
        self._edits.ran(astuple(ids))

    def _touch(self, state: RunState) -> None:
        if state.ids is not None:
            cell = state.start.get("cell")
            for key in (("code", text(cell) if cell is not None else state.run), ("code", state.run)):
                slot = self._slots.get(key)
                if slot is not None and slot.state is state:
                    slot.stale = True

    def _known(self, record: Record) -> RunState:
        """The run a record speaks of. One whose start is unknown gets a cell all the same: its start may be a damaged line."""
        run = text(record.get("run"))
        state = self._runs.get(run)
        if state is None:
            state = self._runs[run] = RunState(run)
            self._place(state, run)
        return state

    def _add_output(self, record: Record) -> None:
        state = self._known(record)
        shown = state.ids is not None
        if not shown and state.start.get("hidden"):
            # What a hidden run shows changes no recorded output, whatever display id it names.
            return
        for item in sequence(record.get("outputs")):
            output = valid_output(item)
            display_id = mapping(output.get("transient")).get("display_id")
            if output["output_type"] == "update_display_data":
                self._update(display_id, output)
            elif shown:
                state.items.append(output)
                if display_id is not None:
                    self._displays.setdefault(display_id, []).append((state, len(state.items) - 1))
        self._touch(state)

    def _update(self, display_id: str | None, update: Record) -> None:
        """New content for each place that shows this id, in whichever cell, as Jupyter does."""
        places = self._displays.get(display_id or "", [])
        for state, place in places:
            if state.ids is not None:
                state.items[place] = {**state.items[place], "data": update["data"], "metadata": update["metadata"]}
                self._touch(state)

    def _add_end(self, record: Record) -> None:
        state = self._known(record)
        if state.end is None:
            state.end = record
            self._touch(state)

    def _add_files(self, record: Record) -> None:
        state = self._known(record) if record.get("run") is not None else None
        for file in map(mapping, sequence(record.get("files"))):
            if path := text(file.get("path") or ""):
                facts = _file_facts(path, file)
                self._files[path] = facts
                if state is not None:
                    state.files[path] = facts
        if state is not None:
            self._touch(state)

    def _add_death(self, record: Record) -> None:
        state = self._runs.get(text(record.get("run")))
        if state is not None:
            state.death = record
            self._touch(state)

    def _add_interrupt(self, record: Record) -> None:
        state = self._runs.get(text(record.get("run")))
        if state is not None:
            state.interrupt = record
            self._touch(state)

    # Metadata

    def _add_session(self, record: Record) -> None:
        self._session.update({k: plain(v) for k, v in record.items() if k in _SESSION_FIELDS and v is not None})

    def _add_kernel(self, record: Record) -> None:
        facts = ("engine", "isolation", "environment")
        self._session.update({k: plain(v) for k, v in record.items() if k in facts and v})

    def _add_message(self, record: Record) -> None:
        if record.get("role") == "assistant" and isinstance(record.get("model"), str):
            self._model = text(record["model"])

    def _add_turn(self, record: Record) -> None:
        if record.get("state") == "ended":
            self._turns[text(record.get("turn"))] = record

    def _add_input(self, record: Record) -> None:
        if path := text(record.get("path") or ""):
            extra = {k: record.get(k) for k in ("origin", "mime") if record.get(k) is not None}
            self._inputs[path] = _file_facts(path, record) | plain(extra)

    def _add_egress(self, record: Record) -> None:
        self._egress.add(record)

    def _metadata(self) -> dict[str, Any]:
        ours = {
            "schema": SCHEMA,
            **self._session,
            "model": self._model,
            "inputs": list(self._inputs.values()),
            "outputs": [self._files[path] for path in sorted(self._files)],
            **self._egress.metadata(),
            "usage": _usage(self._turns.values()),
        }
        metadata: dict[str, Any] = {
            "kernel_gateway": ours,
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {
                "codemirror_mode": {"name": "ipython", "version": 3},
                "file_extension": ".py",
                "mimetype": "text/x-python",
                "name": "python",
                "nbconvert_exporter": "python",
                "pygments_lexer": "ipython3",
            },
        }
        version = mapping(self._session.get("environment")).get("python")
        if isinstance(version, str):
            metadata["language_info"]["version"] = version
        if self._title is not None:
            metadata["title"] = self._title
        return metadata


class _Slot:
    """A place in the notebook: fixed markdown, or the cells of the run shown there, rendered when asked for."""

    __slots__ = ("_rendered", "fixed", "id", "stale", "state")

    def __init__(self, id_: str = "") -> None:
        self.id = id_
        self.fixed: list[Cell] = []
        self.state: RunState | None = None
        self.stale = False
        self._rendered: list[Cell] = []

    def cells(self) -> list[Cell]:
        if self.state is None:
            return self.fixed
        if self.stale:
            self._rendered = cells_of(self.state)
            self.stale = False
        return self._rendered


def _said(record: Record) -> str:
    found = record.get("text")
    return text(found) if found is not None else ""


def _title(body: str) -> str:
    """The first line; of a longer one its first sentence, or as many words as fit."""
    line = " ".join(body.strip().splitlines()[0].split())
    if len(line) <= _TITLE_CHARACTERS:
        return line
    sentence = re.match(r".{20,}?[.?!](?=\s)", line)
    if sentence and len(sentence[0]) <= _TITLE_CHARACTERS:
        return sentence[0]
    return f"{line[: _TITLE_CHARACTERS - 1].rsplit(' ', 1)[0]}…"


def _file_facts(path: str, file: Record) -> Record:
    return {"path": path, "bytes": plain(file.get("bytes")), "sha256": plain(file.get("sha256"))}


def _usage(turns: Iterable[Record]) -> dict[str, Any]:
    """The sum over turns; ``cost`` in USD, None as soon as one turn's is unknown."""
    sums: dict[str, Any] = {}
    costs: list[float | None] = []
    for turn in turns:
        _add_up(sums, mapping(turn.get("usage")))
        cost = turn.get("cost")
        costs.append(float(cost) if isinstance(cost, (int, float)) and 0 <= cost < 1e12 else None)
    known = [c for c in costs if c is not None]
    return {**sums, "turns": len(costs), "cost": math.fsum(known) if len(known) == len(costs) else None}


def _add_up(sums: dict[str, Any], usage: Record) -> None:
    for key, value in usage.items():
        name = text(key)
        if isinstance(value, dict):
            below = sums.setdefault(name, {})
            if isinstance(below, dict):
                _add_up(cast("dict[str, Any]", below), cast("Record", value))
        elif (number := count(value)) is not None and isinstance(so_far := sums.get(name, 0), int):
            sums[name] = so_far + number
