"""What a real model asked for on a hosted service, played back as calls of our tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_gateway.scripted_model import Block, text, tool_use

from .person import SHARED

NAMES = ("anthropic-code-execution-20250825.1.json", "anthropic-code-execution-20250825.2.json")
_TOOLS = {"bash_code_execution": "bash", "text_editor_code_execution": "str_replace_based_edit_tool"}


@dataclass(frozen=True)
class Recording:
    name: str
    content: list[dict[str, Any]]

    @classmethod
    def load(cls, name: str) -> Recording:
        return cls(name, json.loads((folder() / name).read_bytes())["content"])

    @property
    def replies(self) -> list[list[Block]]:
        """A reply ends with its call: the recorded model saw each result before it went on."""
        return list(self._replies())

    def _replies(self) -> Iterator[list[Block]]:
        blocks: list[Block] = []
        for block in self.content:
            if block["type"] == "text":
                blocks.append(text(block["text"]))
            elif block["type"] == "server_tool_use":
                yield [*blocks, tool_use(_ours(block["id"]), _TOOLS[block["name"]], **block["input"])]
                blocks = []
        yield blocks

    @property
    def printed(self) -> dict[str, str]:
        """The recorded stdout of each bash call, by the id of our call."""
        results = [b for b in self.content if b["type"] == "bash_code_execution_tool_result"]
        return {_ours(b["tool_use_id"]): b["content"]["stdout"] for b in results}


def folder() -> Path:
    return SHARED / "fixtures"


def _ours(id_: str) -> str:
    return id_.replace("srvtoolu_", "toolu_")
