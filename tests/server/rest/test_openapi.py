"""The description and the server are held against each other by requests that schemathesis makes of it."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kernel_gateway.server.rest.openapi import description
from kernel_gateway.server.rest.routes import ROUTES
from tests.server.rest.conftest import TOKEN, Server

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Streams that do not end, and what would make sessions or ask a model without end.
schema: Any = schemathesis.openapi.from_dict(description()).exclude(path_regex="/events$|/questions$|/turns$")


@schema.parametrize()
@settings(
    max_examples=3,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_route_answers_as_it_is_described(case: Any, server: Server) -> None:
    case.call_and_validate(base_url=server.url, headers={"Authorization": f"token {TOKEN}"}, checks=CHECKS)


def test_the_description_names_every_route_once(server: Server) -> None:
    served = server.http.get("/api/gateway/openapi.json").json()
    assert sorted(served["paths"]) == sorted(r.path for r in ROUTES)
    names = [o["operationId"] for path in served["paths"].values() for o in path.values()]
    assert len(names) == len(set(names))
