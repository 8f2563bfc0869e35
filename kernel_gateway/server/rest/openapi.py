"""The OpenAPI 3.1 description, made of the table of routes."""

from __future__ import annotations

import re
from typing import Any

from ... import __version__
from .base import GatewayHandler, guarded
from .routes import ROUTES, Operation, Route

_ERROR = {"$ref": "#/components/schemas/Error"}
_TEXT = {"type": "string", "minLength": 1}


def description(base_url: str = "/") -> dict[str, Any]:
    """``base_url`` is the server's own."""
    paths = {r.path: {m: _operation(r, m, o) for m, o in r.operations.items()} for r in ROUTES}
    error = {
        "type": "object",
        "required": ["type", "message", "next"],
        "properties": {key: {"type": "string"} for key in ("type", "message", "next")},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cell Gateway", "version": __version__},
        "servers": [{"url": base_url.rstrip("/") or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
            "schemas": {"Error": {"type": "object", "required": ["error"], "properties": {"error": error}}},
        },
    }


def _operation(route: Route, method: str, operation: Operation) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", route.path)
    parameters = [{"name": n, "in": "path", "required": True, "schema": _TEXT} for n in names]
    parameters += [{"name": n, "in": "query", "schema": s} for n, s in operation.query.items()]
    name = f"{method}_{route.handler.__name__}".lower()
    told: dict[str, Any] = {"operationId": name, "summary": operation.summary, "parameters": parameters}
    if operation.body is not None:
        is_required = bool(operation.body["required"])
        told["requestBody"] = {"required": is_required, "content": {"application/json": {"schema": operation.body}}}
    if operation.upload:
        schema = {"type": "string", "format": "binary"}
        told["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": schema}}}
    return {**told, "responses": _responses(operation)}


def _responses(operation: Operation) -> dict[str, Any]:
    content = {m: {"schema": operation.answer} if m == "application/json" else {} for m in operation.media}
    good: dict[str, Any] = {"description": operation.summary} | ({"content": content} if content else {})
    bad = {"description": "What went wrong, and what to do next", "content": {"application/json": {"schema": _ERROR}}}
    return {str(operation.status): good, "4XX": bad, "5XX": bad}


class OpenApi(GatewayHandler):
    @guarded
    async def get(self) -> None:
        self.send(description(self.base_url))
