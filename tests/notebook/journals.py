"""Journals as the supervisor writes them."""

from __future__ import annotations

from typing import Any

from kernel_gateway.journal import Record

# One red pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


class Script:
    """Writes a journal record by record; each run is one call."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, kind: str, **fields: Any) -> Record:
        second = len(self.records)
        time = f"2026-11-24T10:{second // 60 % 60:02}:{second % 60:02}.000000Z"
        record = {"seq": len(self.records), "time": time, "kind": kind, **fields}
        self.records.append(record)
        return record

    def run(self, source: str, *outputs: Any, cell: str | None = None, exit: str = "ok", **end: Any) -> str:
        run = f"run-{len(self.records)}"
        fields = {k: end.pop(k) for k in ("tool", "tags", "hidden", "source_kind", "turn") if k in end}
        self.add(
            "start",
            run=run,
            cell=cell or run,
            source=source,
            author="model",
            generation=1,
            **{"tool": "python", **fields},
        )
        if outputs:
            self.add("output", run=run, outputs=list(outputs))
        self.add("end", run=run, exit=exit, **{"duration": 0.5, "execution_count": len(self.records), **end})
        return run


def stdout(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def display(data: dict[str, Any], display_id: str | None = None, kind: str = "display_data") -> dict[str, Any]:
    output: dict[str, Any] = {"output_type": kind, "data": data, "metadata": {}}
    if display_id:
        output["transient"] = {"display_id": display_id}
    return output
