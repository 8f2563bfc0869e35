"""One tool call as a cell of a session; its id runs once, however often it is sent."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from ... import tools
from ...agent.changes import WorkspaceChanges
from ...agent.conversation import cell_id
from ...errors import BadRequest
from ...journal import read
from ...session.policy import Policy
from ...supervisor.client import OnOutput, SessionClient
from ...supervisor.runs import Output, RunRequest, RunResult
from ...tools.base import Plan, Tool
from .base import GatewayHandler, guarded
from .stream import Events, StreamHandler, background
from .waking import awake


class Cells(StreamHandler):
    @guarded
    async def post(self, name: str) -> None:
        folder, body = self.session(name), self.body()
        tool = tools.find(body["tool"])
        arguments = _arguments(body["tool"], body["input"])
        plan = tool.plan(arguments)
        request = _request(body, plan, Policy.from_json(folder.read().get("policy", {})))
        events = Events()

        async def work() -> dict[str, Any]:
            async with awake(self.gateway_settings, folder) as client:
                result = await run_once(client, plan, request, lambda outputs: events.put("output", _plain(outputs)))
            return told(folder.id, tool, arguments, result)

        events.put("start", {"session": folder.id, "run": request.run, "cell": request.cell})
        task = asyncio.create_task(work())
        background(self.settings, task)
        if not self.wants_events:
            # A caller that leaves loses the answer, not the run.
            self.send(await asyncio.shield(task))
            return
        task.add_done_callback(lambda done: _finish(events, done))
        await self.write_events(events)


def _finish(events: Events, done: asyncio.Task[dict[str, Any]]) -> None:
    if done.cancelled():
        events.end()
        return
    if (error := done.exception()) is None:
        events.put("end", done.result())
    events.end(error)


def _arguments(tool: str, given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return given  # pyright: ignore[reportUnknownVariableType]
    return {"command" if tool == "bash" else "code": given}


def _request(body: dict[str, Any], plan: Plan, policy: Policy) -> RunRequest:
    if plan.kind == "present":
        raise BadRequest("present_files makes no cell.", "Get files with GET …/files/{path}.")
    key = str(body.get("id") or uuid.uuid4().hex)
    limit = min(body.get("timeout") or plan.timeout or policy.cell_timeout, policy.cell_timeout_max)
    return RunRequest(
        run=f"rest:{key}",
        cell=cell_id("rest", key),
        source=plan.source,
        author=body.get("author", "model"),
        tool=body["tool"],
        timeout=float(limit),
        needs=plan.needs,
    )


async def run_once(client: SessionClient, plan: Plan, request: RunRequest, on_output: OnOutput) -> RunResult:
    """Run it, and record once which files it changed. Outputs of a run that is known already come with its result."""
    changes = WorkspaceChanges(client.folder.workspace)
    await changes.look()
    perform = client.restart if plan.kind == "restart" else client.run
    result = await perform(request, on_output)
    recorded = [r for r in read(client.folder.journal).records if r["kind"] == "files" and r.get("run") == request.run]
    files, total = (recorded[0]["files"], 0) if recorded else await changes.scan()
    if files and not recorded:
        await client.record("files", run=request.run, files=files, total=total)
    result.files = files
    await client.notebook()
    return result


def _plain(outputs: list[Output]) -> list[Output]:
    return [{k: v for k, v in output.items() if k != "transient"} for output in outputs]


def told(session: str, tool: Tool, arguments: dict[str, Any], result: RunResult) -> dict[str, Any]:
    """``outputs`` as nbformat has them; ``content`` are the blocks that a model would be given."""
    return {
        "session": session,
        "run": result.run,
        "cell": result.cell,
        "exit": result.exit,
        "execution_count": result.execution_count,
        "duration": result.duration,
        "ename": result.ename,
        "evalue": result.evalue,
        "outputs": _plain(result.outputs),
        "files": result.files,
        "notice": result.notice,
        "content": tool.result(arguments, result),
    }


class Interrupt(GatewayHandler):
    @guarded
    async def post(self, name: str) -> None:
        from ...supervisor.client import connect

        folder, body = self.session(name), self.body()
        if "run" not in body and await self.turns.stop(folder):
            self.send({"interrupted": True})
            return
        async with connect(folder, start=False) as client:
            run = body.get("run") or (await client.hello()).get("running")
            self.send({"interrupted": bool(run) and await client.interrupt(str(run))})


class Restart(GatewayHandler):
    @guarded
    async def post(self, name: str) -> None:
        folder, body = self.session(name), self.body()
        tool = tools.find("restart_kernel")
        plan = tool.plan({})
        values: dict[str, Any] = {**body, "tool": "restart_kernel", "author": "person"}
        request = _request(values, plan, Policy.from_json(folder.read().get("policy", {})))
        async with awake(self.gateway_settings, folder, "files") as client:
            result = await run_once(client, plan, request, lambda outputs: None)
        self.send(told(folder.id, tool, {}, result))
