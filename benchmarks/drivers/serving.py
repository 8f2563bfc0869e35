"""What all drivers share: answer one JSON line by another until the input ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

Operation = Callable[..., dict[str, Any]]


def serve(operations: dict[str, Operation]) -> None:
    """Answers go to the real stdout; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = operations[request.pop("op")](**request)
        except Exception:  # noqa: BLE001  whatever it is, the benchmark shows it and ends
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
