"""Errors of the model's service, translated once: a sentence, a next step, and whether asking again may help."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import anthropic
import httpx2

from ..errors import ModelError

RESUME = "The turn can be resumed: what ran is kept and nothing runs twice."


class ModelFailure(ModelError):
    """A model call failed. ``is_transient``: the reply broke off half-way, which the SDK does not retry by itself."""

    def __init__(self, message: str, next_step: str, *, is_transient: bool = False, kind: str = "") -> None:
        super().__init__(message, next_step)
        self.is_transient, self.kind = is_transient, kind


@contextmanager
def model_errors() -> Generator[None, None, None]:
    """Around the SDK alone, so that nobody else's ValueError is taken for the model's."""
    try:
        yield
    except anthropic.APIStatusError as error:
        raise _status(error) from error
    except anthropic.APITimeoutError as error:
        raise ModelFailure("The model's service did not answer in time.", RESUME, kind="timeout") from error
    except anthropic.APIConnectionError as error:
        reason = error.__cause__ or error
        raise ModelFailure(
            f"The model's service at {error.request.url.host} cannot be reached ({type(reason).__name__}: {reason}).",
            f"Check the network and ANTHROPIC_BASE_URL. {RESUME}",
            kind="connection",
        ) from error
    except anthropic.AnthropicError as error:
        raise ModelFailure(f"The anthropic SDK gave up: {error}", RESUME) from error
    except httpx2.TimeoutException as error:
        raise ModelFailure("The model fell silent in the middle of its reply.", RESUME, is_transient=True) from error
    except httpx2.HTTPError as error:
        message = f"The connection broke in the middle of the model's reply ({type(error).__name__})."
        raise ModelFailure(message, RESUME, is_transient=True, kind="cut") from error
    except json.JSONDecodeError as error:
        raise ModelFailure(
            "The model's service sent a damaged event.", RESUME, is_transient=True, kind="damaged"
        ) from error
    except (ValueError, RuntimeError, IndexError) as error:
        # The SDK's words for tool input that is no JSON, and for events out of order.
        message = f"The model's reply could not be read: {str(error)[:200]}"
        raise ModelFailure(message, RESUME, is_transient=True, kind="unreadable") from error


# By `error.type` of the body, which is right even where the status is 200 because the stream had begun.
_NEXT_STEPS = {
    "authentication_error": "The key was refused: check ANTHROPIC_API_KEY.",
    "permission_error": "This key may not use that model: choose another with --model, or another key.",
    "billing_error": "Check the account's billing.",
    "not_found_error": "Check the name given to --model, and ANTHROPIC_BASE_URL.",
    "request_too_large": "The conversation is too large for one request: start a new session, its files can be handed over.",
    "rate_limit_error": f"Wait a little. {RESUME}",
    "overloaded_error": f"The service is overloaded; try again in a minute. {RESUME}",
    "timeout_error": RESUME,
    "api_error": f"The fault is the service's. {RESUME}",
    "invalid_request_error": "The service refused the request as it is; if this looks like our mistake, please report it.",
}
_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TRANSIENT = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})


def _status(error: anthropic.APIStatusError) -> ModelFailure:
    kind, words = _details(error.body)
    status = error.status_code
    kind = kind or _BY_STATUS.get(status, "api_error" if status >= 500 or status == 200 else "invalid_request_error")
    name = f"{kind}" if status == 200 else f"HTTP {status}, {kind}"
    request = f", request {error.request_id}" if error.request_id else ""
    message = f"The model's service answered with an error ({name}{request}): {words or 'no details'}"
    # Before the stream the SDK has tried again already; after the 200 nobody has.
    return ModelFailure(
        message, _NEXT_STEPS.get(kind, RESUME), is_transient=status == 200 and kind in _TRANSIENT, kind=kind
    )


def _details(body: object) -> tuple[str, str]:
    """``error.type`` and ``error.message``; local servers also send a bare string, or nothing that is JSON."""
    if not isinstance(body, dict):
        return "", str(body or "")[:300]
    inner = cast("dict[str, Any]", body).get("error")
    if not isinstance(inner, dict):
        return "", str(inner or body)[:300]
    fields = cast("dict[str, Any]", inner)
    return str(fields.get("type") or ""), str(fields.get("message") or "")[:300]
