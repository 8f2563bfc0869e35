"""What all routes share: who may, what a body may be, and how an error is told."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast

import jsonschema
import orjson
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from ...config import Settings, load_settings
from ...errors import BadRequest, GatewayError, NotFound
from ...session.folder import SessionFolder, SessionStore
from ...session.opening import owner_name
from ..turns import Turns

Body = dict[str, Any]
Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# A cell's source and its tool's input fit easily; files go by PUT.
BODY_BYTES = 32 * 1024**2


def guarded(method: Method) -> Method:
    """Only whom Jupyter's identity provider and authorizer let in; a GatewayError becomes its answer."""

    @wraps(method)
    async def answer(self: GatewayHandler, *args: Any, **kwargs: Any) -> None:
        try:
            await method(self, *args, **kwargs)
        except GatewayError as error:
            self.fail(error)

    return cast("Method", web.authenticated(authorized(answer)))  # pyright: ignore[reportUnknownArgumentType, reportArgumentType]


class GatewayHandler(APIHandler):
    """One path. ``bodies`` holds the JSON schema of each method's body."""

    auth_resource = "cell-gateway"

    def initialize(self, bodies: dict[str, Any] | None = None) -> None:
        self._bodies = bodies or {}

    @property
    def gateway(self) -> Any:
        """The server's context."""
        return self.settings["cell_gateway"]

    @property
    def gateway_settings(self) -> Settings:
        found = getattr(self.gateway, "settings", None)
        return found if isinstance(found, Settings) else load_settings()

    @property
    def turns(self) -> Turns:
        found: Turns = self.gateway.turns
        return found

    @property
    def store(self) -> SessionStore:
        return SessionStore(self.gateway_settings.data)

    @property
    def person(self) -> str:
        """Who asks, for the audit. Where only a token is known it is whoever runs the server."""
        user = self.current_user
        name = str(getattr(user, "username", "") or "")
        return owner_name() if not name or getattr(user, "display_name", "").startswith("Anonymous") else name

    def session(self, name: str) -> SessionFolder:
        """By its whole id. Raises NotFound."""
        folder = SessionFolder(self.store.root / name)
        if not _ID.fullmatch(name) or not (folder.internals / "session.json").is_file():
            raise NotFound(f"There is no session {name!r}.", "See them with: GET /api/gateway/sessions")
        return folder

    def body(self) -> Body:
        """The JSON object that was sent, as its schema wants it. No body is an empty object. Raises BadRequest."""
        raw = self.request.body
        if len(raw) > BODY_BYTES:
            raise BadRequest(f"The body has more than {BODY_BYTES:,} bytes.", "Put files with PUT …/files/{path}.")
        try:
            found: Any = orjson.loads(raw) if raw.strip() else {}
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"The body is not valid JSON: {error}.", "Send a JSON object in UTF-8.") from None
        validator: Any = jsonschema.Draft202012Validator(self._bodies[str(self.request.method).lower()])
        problem: Any = next(iter(validator.iter_errors(found)), None)
        if problem is not None:
            place = ".".join(str(p) for p in problem.absolute_path) or "the body"
            raise BadRequest(f"{place}: {problem.message[:300]}.", "See GET /api/gateway/openapi.json")
        return cast("Body", found)

    def flag(self, name: str) -> bool:
        """A query parameter that is 1 or true, or absent."""
        return self.get_query_argument(name, "") in ("1", "true")

    def send(self, value: Any, status: int = 200) -> None:
        self.set_status(status)
        self.finish(orjson.dumps(value, default=str))

    def fail(self, error: GatewayError) -> None:
        """Once a stream has begun, the error is its last event."""
        if self.get_status() == 200 and self._headers_written:
            self.write(event("error", described(error)))
            self.finish()
            return
        self.clear()
        self.send({"error": described(error)}, error.status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        raised = (kwargs.get("exc_info") or (None, None))[1]
        try:
            phrase = HTTPStatus(status_code).phrase
        except ValueError:
            phrase = "Error"
        message = getattr(raised, "log_message", None) or phrase
        steps = {401: _TOKEN, 403: _TOKEN, 405: "See GET /api/gateway/openapi.json"}
        error = {"type": type(raised).__name__ if isinstance(raised, GatewayError) else phrase.replace(" ", "")}
        self.finish(orjson.dumps({"error": {**error, "message": str(message), "next": steps.get(status_code, "")}}))


_TOKEN = "Send the server's token: Authorization: token …"


class NoSuchRoute(GatewayHandler):
    """What is below /api/gateway and is no route."""

    @guarded
    async def get(self) -> None:
        raise NotFound(f"There is no {self.request.path}.", "See GET /api/gateway/openapi.json")

    post = put = delete = patch = get


def described(error: GatewayError) -> dict[str, str]:
    return {"type": type(error).__name__, "message": error.message, "next": error.next_step}


def event(name: str, data: Any) -> bytes:
    """One server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data, default=str) + b"\n\n"
