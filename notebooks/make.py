"""Make the example notebooks again: `make notebooks`, or `python -m notebooks.make [NAME …]`.

Prompts, words and code are prepared (`stories/`); the turns, the sandboxed kernel, the data and all outputs are real. Each example is a
folder with its notebook and, in `workspace/`, what the session was given and made.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kernel_gateway.agent.ground import Ground
from kernel_gateway.agent.listener import Silent
from kernel_gateway.agent.model import Model
from kernel_gateway.agent.turn import Turn
from kernel_gateway.cli.opening import Opening, opened, put_files
from kernel_gateway.cli.turns import attachments_of
from kernel_gateway.config import Settings, load_settings
from kernel_gateway.demo.run import loopback_client
from kernel_gateway.scripted_model import ScriptedModel
from kernel_gateway.session.folder import SessionFolder
from kernel_gateway.session.lifetime import stop_session
from kernel_gateway.supervisor.client import SessionClient

from .stories import STORIES, Story

ROOT = Path(__file__).parent
NOTICE = "The prompts, words and code of this example are prepared; no model was asked. The kernel, the data and all outputs are real."


async def make(story: Story, settings: Settings, root: Path = ROOT) -> Path:
    """Run it in a new session and write `root/NAME/`; the path of the notebook."""
    async with opened(settings, Opening(new_name=story.name)) as client:
        try:
            await _take_turns(story, settings, client)
            await client.notebook()
            return _write(client.folder, root / story.name, story.name)
        finally:
            await stop_session(client.folder)


async def _take_turns(story: Story, settings: Settings, client: SessionClient) -> None:
    await client.record("notice", text=NOTICE)
    ground = await Ground.of(settings, client)
    attachments = attachments_of(await put_files(client, [ROOT / "data" / name for name in story.files]))
    replies = [reply for _, turn in story.turns for reply in turn]
    async with ScriptedModel(replies) as scripted, loopback_client(scripted.base_url) as sdk:
        model = Model("scripted model", sdk)
        for prompt, _ in story.turns:
            turn = Turn(client, model, Silent(), system=ground.system, convert=ground.convert)
            await turn.ask(prompt, attachments)
            attachments = []


def _write(folder: SessionFolder, target: Path, name: str) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copyfile(folder.notebook, target / f"{name}.ipynb")
    shutil.copytree(folder.workspace, target / "workspace", copy_function=shutil.copyfile)
    return target / f"{name}.ipynb"


async def make_all(names: Sequence[str]) -> None:
    os.environ["LOGNAME"] = "example"
    with tempfile.TemporaryDirectory(prefix="cell-gateway-") as data:
        # An ordinary user's sandbox must be able to pass through it.
        Path(data).chmod(0o711)
        os.environ |= {"CELL_GATEWAY_DATA": data, "CELL_GATEWAY_POOL_SIZE": "0"}
        settings = load_settings({})
        for story in STORIES:
            if not names or story.name in names:
                print(await make(story, settings), flush=True)


if __name__ == "__main__":
    asyncio.run(make_all(sys.argv[1:]))
