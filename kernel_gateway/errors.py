"""The one tree of errors that a person may see: what happened, and what to do next.

``status`` is the HTTP status and ``exit_code`` the command line's; a module adds its own subclasses beside the code that raises them
when nobody else needs to name them.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of all errors that a person may see; ``next_step`` says what to do about it, or is empty."""

    status, exit_code = 500, 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".rstrip()


class BadRequest(GatewayError):
    """The person or program asked for something that cannot be: a wrong option, name or value. HTTP 400, exit code 2."""

    status, exit_code = 400, 2


class NotFound(BadRequest):
    """A session, file, image or notebook of that name does not exist. HTTP 404."""

    status = 404


class SessionBusy(GatewayError):
    """Another front end holds the session's turn, or its lock. HTTP 409."""

    status = 409


class MessageKnown(BadRequest):
    """A prompt with a key of its sender's that the journal holds already. HTTP 409."""

    status = 409


class FileTooLarge(BadRequest):
    """An upload over the session's limit; refused before the body is read. HTTP 413."""

    status = 413

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(
            f"{name} has {size:,} bytes; this session takes {limit:,}.",
            "Use --mount to show it without copying, or raise limits.upload in config.toml.",
        )
        self.name, self.size, self.limit = name, size, limit


class UnsafePath(BadRequest):
    """A path that leaves the workspace, follows a link, or names something that is not a plain file. HTTP 403."""

    status = 403


class EngineUnavailable(GatewayError):
    """No sandbox can be made here; ``next_step`` holds the exact commands that help. There is no unsandboxed fall-back. HTTP 503."""

    status, exit_code = 503, 2


class ImageUnavailable(GatewayError):
    """The session's image is not built and could not be built. HTTP 503."""

    status, exit_code = 503, 1


class KernelDied(GatewayError):
    """The kernel ended while it was needed; ``cause`` is one of out of memory, timeout, crash, stopped, recorder lost."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"The kernel died: {cause}. {detail}".rstrip())
        self.cause = cause


class SupervisorUnavailable(GatewayError):
    """The session's supervisor could not be started or does not answer."""


class JournalDamaged(GatewayError):
    """The journal cannot be read at all (wrong format or version). A damaged line alone is reported, never raised."""


class DiskFull(GatewayError):
    """The disk is full: new cells are refused, what ran is kept. HTTP 507."""

    status = 507


class ModelError(GatewayError):
    """The model's service answered with an error, or not at all. HTTP 502."""

    status = 502
