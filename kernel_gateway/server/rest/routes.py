"""The one table of routes: what answers, what it takes, what comes back. Handlers, checks and the OpenAPI description are made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ...notebook.export import FORMATS
from ...tools import TOOLS
from . import cells, documents, files, health, network, sessions, turns
from .base import GatewayHandler

Schema = dict[str, Any]
ROOT = "/api/gateway"
_S = f"{ROOT}/sessions"
_I = f"{_S}/{{id}}"
TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
_NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
_PATH: Schema = {"type": "string", "minLength": 1, "maxLength": 4000}
_SECONDS: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 3600}
_JSON, _EVENTS = "application/json", "text/event-stream"


def body(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


@dataclass(frozen=True)
class Operation:
    """``media`` are the types that a good answer of ``status`` may have."""

    summary: str
    body: Schema | None = None
    status: int = 200
    media: tuple[str, ...] = (_JSON,)
    answer: Schema = field(default_factory=lambda: OBJECT)
    query: dict[str, Schema] = field(default_factory=dict[str, Schema])
    upload: bool = False


@dataclass(frozen=True)
class Route:
    path: str
    handler: type[GatewayHandler]
    operations: dict[str, Operation]

    @property
    def pattern(self) -> str:
        """``{path}`` may hold slashes; the handler's arguments are named."""
        text = self.path.replace("{id}", "(?P<name>[^/]+)").replace("{path}", "(?P<path>.+)")
        return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", text)

    @property
    def bodies(self) -> dict[str, Schema]:
        return {method: o.body or body() for method, o in self.operations.items()}


_TOOLS = [t.name for t in TOOLS if t.name != "present_files"]
_FILE = body(("path", "content"), path=_PATH, content=TEXT, encoding={"enum": ["text", "base64"]})
_REPLAY: Schema = {"enum": ["auto", "yes", "files"]}
_FLAG: Schema = {"enum": ["0", "1", "true", "false"]}
_NEW = body(
    name=_NAME,
    engine=TEXT,
    image=TEXT,
    model=TEXT,
    egress={"enum": ["none", "registries", "list", "ask"]},
    limits={"type": "object", "additionalProperties": {"type": ["string", "number"]}},
    inputs={"type": "array", "items": _FILE, "maxItems": 100},
)
_CELL = body(
    ("tool", "input"),
    id={"type": "string", "minLength": 1, "maxLength": 128},
    tool={"enum": _TOOLS},
    input={"type": ["object", "string"]},
    timeout=_SECONDS,
    author={"enum": ["model", "person"]},
)
_TURN = body(
    ("prompt",),
    prompt={"type": "string", "minLength": 1},
    id={"type": "string", "minLength": 1, "maxLength": 128},
    files={"type": "array", "items": _PATH, "maxItems": 100},
    model={"type": "string", "minLength": 1},
    max_turns={"type": "integer", "minimum": 1, "maximum": 1000},
    max_cost={"type": "number", "exclusiveMinimum": 0},
)
_ROW: Schema = {"type": "object", "required": ["id", "state", "cells"]}
_ROWS: Schema = {
    "type": "object",
    "required": ["sessions"],
    "properties": {"sessions": {"type": "array", "items": _ROW}},
}
_RESULT: Schema = {"type": "object", "required": ["session", "run", "cell", "exit", "outputs", "files", "content"]}
_MODES: Schema = {"enum": ["gateway", "tunnel"]}

ROUTES: tuple[Route, ...] = (
    Route(
        _S,
        sessions.Sessions,
        {
            "get": Operation("All sessions, newest first", answer=_ROWS),
            "post": Operation("Make a session and start it", _NEW, 201, answer=_ROW),
        },
    ),
    Route(f"{ROOT}/events", sessions.Watch, {"get": Operation("The list again whenever it changes", media=(_EVENTS,))}),
    Route(
        _I,
        sessions.Session,
        {
            "get": Operation("A session with its cells", answer=_ROW),
            "delete": Operation("Stop it and delete all that it has", status=204, media=()),
        },
    ),
    Route(
        f"{_I}/cells",
        cells.Cells,
        {
            "post": Operation(
                "Run a tool call as a cell; an id runs once", _CELL, media=(_JSON, _EVENTS), answer=_RESULT
            )
        },
    ),
    Route(f"{_I}/turns", turns.Turns, {"post": Operation("Ask the model", _TURN, media=(_EVENTS,))}),
    Route(f"{_I}/turns/current", turns.Current, {"get": Operation("Hear the turn that runs", media=(_EVENTS,))}),
    Route(
        f"{_I}/interrupt",
        cells.Interrupt,
        {"post": Operation("Interrupt the turn, else the cell that runs, or the run named", body(run=TEXT))},
    ),
    Route(
        f"{_I}/restart",
        cells.Restart,
        {
            "post": Operation(
                "A fresh kernel", body(id={"type": "string", "minLength": 1, "maxLength": 128}), answer=_RESULT
            )
        },
    ),
    Route(f"{_I}/stop", sessions.Stop, {"post": Operation("End kernel and supervisor; notebook and files stay")}),
    Route(
        f"{_I}/resume",
        sessions.Resume,
        {
            "get": Operation("What bringing its variables back would run"),
            "post": Operation("Start it again; variables by running its cells again", body(replay=_REPLAY)),
        },
    ),
    Route(
        f"{_I}/fork",
        sessions.Fork,
        {
            "post": Operation(
                "A new session that stands where this one stood after a cell",
                body(("at",), at={"type": ["string", "integer"], "minLength": 1}, name=_NAME),
                201,
            )
        },
    ),
    Route(
        f"{_I}/allow",
        network.Allow,
        {
            "post": Operation(
                "Allow a host",
                body(("host",), host=TEXT, **{"as": _MODES}, methods={"type": "array", "items": TEXT, "maxItems": 20}),
            )
        },
    ),
    Route(f"{_I}/cut", network.Cut, {"post": Operation("End all traffic, until undo", body(undo={"type": "boolean"}))}),
    Route(f"{_I}/audit", network.Audit, {"get": Operation("What was asked of the network", query={"denied": _FLAG})}),
    Route(
        f"{_I}/questions",
        network.Questions,
        {"get": Operation("What code asks of the network, as it asks", media=(_EVENTS,))},
    ),
    Route(
        f"{_I}/questions/{{question}}",
        network.Answer,
        {"post": Operation("Answer a question", body(("allow",), allow={"type": "boolean"}))},
    ),
    Route(
        f"{_I}/notebook",
        documents.Notebook,
        {"get": Operation("The notebook, built from the journal", media=("application/x-ipynb+json",))},
    ),
    Route(
        f"{_I}/export",
        documents.Export,
        {
            "get": Operation(
                "The session as a file", media=("*/*",), query={"to": {"enum": list(FORMATS)}, "inline": _FLAG}
            )
        },
    ),
    Route(
        f"{_I}/pictures/{{picture}}", documents.Picture, {"get": Operation("A picture, or last", media=("image/*",))}
    ),
    Route(f"{_I}/files", files.Files, {"get": Operation("All that lies in the workspace")}),
    Route(
        f"{_I}/files/{{path}}",
        files.File,
        {
            "get": Operation("A file, whole or a Range", media=("*/*",), query={"inline": _FLAG}),
            "put": Operation("Write a file; streamed", status=201, upload=True),
            "delete": Operation("Remove a file", status=204, media=()),
        },
    ),
    Route("/healthz", health.Healthz, {"get": Operation("Whether the server lives; no token")}),
    Route("/readyz", health.Readyz, {"get": Operation("Whether a session can be made; no token")}),
    Route("/metrics", health.Metrics, {"get": Operation("Prometheus metrics", media=("text/plain",))}),
)
