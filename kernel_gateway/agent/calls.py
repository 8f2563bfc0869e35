"""A tool call becomes a run, and its record becomes the ``tool_result`` that the model gets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import tools
from ..journal import BlobStore, read
from ..session.beneath import opened_folder
from ..session.policy import Policy
from ..supervisor.client import SessionClient
from ..supervisor.runs import RunRequest, RunResult
from ..tools.base import BadToolInput, Plan, Tool
from .changes import LISTED, Found, WorkspaceChanges, describe
from .conversation import Conversation, cell_id
from .history import INTERRUPTED, not_run
from .listener import Listener
from .pictures import Pictures, SentPicture
from .reply import Block


@dataclass
class Answer:
    """The result of one call, and the pictures in it."""

    block: Block
    pictures: list[SentPicture] = field(default_factory=list[SentPicture])


@dataclass
class Calls:
    """Runs the calls of one turn, one after another. ``running`` is the run key to interrupt, while there is one."""

    conversation: Conversation
    listener: Listener
    policy: Policy
    changes: WorkspaceChanges
    pictures: Pictures
    turn: str
    # The calls may have been begun by a front end that is gone: what they put out before we came is in the journal alone.
    is_resumed: bool = False
    running: str | None = None
    is_interrupted: bool = False
    presented: list[Found] = field(default_factory=list[Found])
    changed: dict[str, Found] = field(default_factory=dict[str, Found])

    async def answer(self, block: Block) -> Answer:
        """Run ``block`` unless its run is known already, and return when its result is on disk.

        A failure of the cell, of the tool's input or of the tool's name is an answer; what hinders any cell from
        running raises GatewayError.
        """
        if self.is_interrupted:
            return Answer(not_run(block["id"], f"not run: {INTERRUPTED}"))
        try:
            tool, plan = _plan(block)
        except BadToolInput as error:
            self.listener.notice(f"The model's call of {block.get('name')} does not fit the tool: {error.message}")
            return Answer(not_run(block["id"], f"Nothing was run: {error}"))
        if plan.kind == "present":
            return self._answer(tool, block, await self._present(block, plan), [])
        result = await self._run(block, plan)
        extra = await self._note_changes(result)
        self.listener.tool_end(result)
        answer = self._answer(tool, block, result, extra)
        return await self._with_pictures(answer, result)

    async def interrupt(self) -> None:
        """The calls not begun are answered without running; the one that runs is interrupted."""
        self.is_interrupted = True
        if self.running:
            await self.conversation.client.interrupt(self.running)

    async def _run(self, block: Block, plan: Plan) -> RunResult:
        limit = min(plan.timeout or self.policy.cell_timeout, self.policy.cell_timeout_max)
        request = RunRequest(
            run=f"{self.turn}:{block['id']}",
            cell=cell_id(self.turn, block["id"]),
            source=plan.source,
            tool=block["name"],
            turn=self.turn,
            tool_use_id=block["id"],
            timeout=limit,
            needs=plan.needs,
        )
        client = self.conversation.client
        perform = client.restart if plan.kind == "restart" else client.run
        self.listener.tool_start(request.tool, request.cell, request.source)
        self.running = request.run
        try:
            result = await perform(request, self.listener.outputs)
        finally:
            self.running = None
        return (await asyncio.to_thread(_recorded, client, request.run) or result) if self.is_resumed else result

    async def _note_changes(self, result: RunResult) -> list[str]:
        """Record which files the run changed, once; returns what the listing leaves out, in words."""
        recorded = [r for r in self.conversation.records if r["kind"] == "files" and r["run"] == result.run]
        files, total = (recorded[0]["files"], recorded[0]["total"]) if recorded else await self.changes.scan()
        result.files = files
        self.changed.update({f["path"]: f for f in files})
        if files and not recorded:
            await self.conversation.record("files", run=result.run, files=files, total=total)
        return [f"({total - LISTED:,} more files are new or changed and not listed)"] if total > LISTED else []

    async def _present(self, block: Block, plan: Plan) -> RunResult:
        """Nothing runs: a markdown cell links the files. A missing one makes it an error, the others are shown."""
        cell = cell_id(self.turn, block["id"])
        self.listener.tool_start(block["name"], cell, "")
        files = await asyncio.to_thread(_describe_all, self.conversation, plan.paths)
        found = [f for f in files if f["bytes"] is not None]
        if not self.conversation.has("words", cell=cell) and found:
            fields = {"tool": block["name"], "tool_use_id": block["id"], "files": found}
            await self.conversation.record("words", cell=cell, turn=self.turn, text="", model=None, **fields)
        missing = [f["path"] for f in files if f["bytes"] is None]
        result = RunResult(f"{self.turn}:{block['id']}", cell, "error" if missing else "ok", files=found)
        if missing:
            result.ename, result.evalue = "FileNotFoundError", f"not in the workspace: {', '.join(missing)}"
            result.notice = f"{result.evalue}."
        self.presented += found
        self.listener.tool_end(result)
        return result

    def _answer(self, tool: Tool, block: Block, result: RunResult, extra: Sequence[str]) -> Answer:
        content = [*tool.result(block["input"], result), *({"type": "text", "text": text} for text in extra)]
        return Answer({"type": "tool_result", "tool_use_id": block["id"], "content": content} | _error_mark(result))

    async def _with_pictures(self, answer: Answer, result: RunResult) -> Answer:
        label = f"cell {result.execution_count}" if result.execution_count else f"the cell {result.cell}"
        content, sent = await self.pictures.prepare(answer.block["content"], label)
        content = [b for b in content if b.get("type") != "text" or str(b.get("text", "")).strip()]
        block = {**answer.block, "content": content or [{"type": "text", "text": "(no output)"}]}
        if any(b.get("type") != "text" for b in content):
            # The API refuses pictures in a result that is marked as an error; its text says what went wrong anyhow.
            block.pop("is_error", None)
        return Answer(block, sent)


def _error_mark(result: RunResult) -> dict[str, Any]:
    return {} if result.exit == "ok" else {"is_error": True}


def _plan(block: Block) -> tuple[Tool, Plan]:
    """Raises BadToolInput, also for a tool that does not exist."""
    tool = tools.find(str(block.get("name")))
    return tool, tool.plan(block["input"])


def _recorded(client: SessionClient, run: str) -> RunResult | None:
    return RunResult.from_records(run, read(client.folder.journal).records, BlobStore(client.folder.blobs))


def _describe_all(conversation: Conversation, paths: Sequence[str]) -> list[Found]:
    with opened_folder(conversation.client.folder.workspace) as root:
        return [_describe(root, path) for path in paths]


def _describe(root: int, path: str) -> Found:
    return describe(root, path) or {"path": path, "bytes": None, "sha256": None}
