"""What ``demo`` does."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..agent.ground import Ground
from ..config import Settings
from ..demo.run import run_demo
from .asking import exit_code
from .opening import Opening, opened, say_pictures
from .say import say
from .turns import Teller, check_out, write_out


async def show_demo(settings: Settings, out: Path) -> int:
    """Ctrl-C ends it; the session and what ran stay."""
    check_out(out)
    async with opened(settings, Opening()) as client:
        teller = Teller(client.folder)

        def show_prompt(prompt: str) -> None:
            teller.finish()
            print(f"\n> {prompt}", flush=True)

        ground = await Ground.of(settings, client)
        try:
            results = await run_demo(
                client, teller, system=ground.system, convert=ground.convert, on_prompt=show_prompt
            )
        finally:
            teller.finish()
        notebook = await write_out(client, out)
        say_pictures(client.folder, teller.display)
    quoted = shlex.quote(str(notebook))
    say(f"\nNotebook: {notebook}")
    say(f"Open it:  jupyter lab {quoted}")
    say(f"Run it:   jupyter execute {quoted}")
    say(f"Session:  {client.folder.id}   (its kernel lives: cell-gateway run --session {client.folder.id} -)")
    return max((exit_code(result) for result in results), default=1)
