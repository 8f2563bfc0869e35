"""What ``chat`` does: read a line, take a turn, until the person leaves. The kernel lives on."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ..agent.conversation import Attachment
from ..agent.turn import TurnResult
from ..config import Settings
from ..errors import BadRequest, GatewayError
from ..notebook.setup import restart_cell
from ..session.files import listing
from ..sizes import shown_size
from ..supervisor.client import SessionClient
from ..supervisor.runs import RunRequest
from ..terminal import escape_name
from .asking import Question
from .export import export
from .interrupts import Left
from .opening import Opening, opened, put_files, say_pictures, say_where
from .say import say, say_error
from .turns import (
    Talk,
    Teller,
    attachments_of,
    check_out,
    connect_model,
    say_cost,
    say_what_leaves,
    session_of,
    write_out,
)

HELP = """\
/file PATH…      copy files or folders into the workspace; they go with your next message
/files           what lies in the workspace
/restart         a fresh kernel: variables go, files stay
/cost            what this chat has cost
/export FORMAT   write the notebook as html or ipynb, beside the session's own
/stop            end the kernel and leave
/help            this
Enter sends, Alt-Enter begins a new line, Ctrl-C interrupts, Ctrl-D leaves (the kernel lives on)."""
FILES_SHOWN = 50


async def talk_on(settings: Settings, opening: Opening, question: Question) -> int:
    check_out(question.out)
    model = connect_model(settings, session_of(settings, opening.session), question.max_cost)
    try:
        say_what_leaves(settings)
        async with opened(settings, opening) as client:
            teller = Teller(client.folder)
            talk = await Talk.begin(settings, client, model, teller, question.budget)
            chat = Chat(talk, teller, _prompt_session(settings))
            await chat.go_on(question)
            say_where(client.folder, await write_out(client, question.out) if not chat.stopped else None)
    finally:
        await model.close()
    return 0


def _prompt_session(settings: Settings) -> PromptSession[str]:
    """History is the person's own: kept in the data folder, 0600."""
    history = settings.data / "chat-history"
    history.touch(mode=0o600)
    return PromptSession(
        history=FileHistory(history),
        multiline=True,
        key_bindings=_keys(),
        completer=WordCompleter([line.split()[0] for line in HELP.splitlines() if line.startswith("/")], sentence=True),
        complete_while_typing=False,
        prompt_continuation="… ",
        enable_open_in_editor=True,
    )


def _keys() -> KeyBindings:
    keys = KeyBindings()

    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    keys.add("enter")(send)
    keys.add("escape", "enter")(begin_line)
    return keys


@dataclass
class Chat:
    """``stopped`` is set when the person ended the kernel, ``left`` when they leave."""

    talk: Talk
    teller: Teller
    prompts: PromptSession[str]
    stopped: bool = False
    left: bool = False
    cost: float | None = 0.0
    _attachments: list[Attachment] = field(default_factory=list[Attachment])

    @property
    def client(self) -> SessionClient:
        return self.talk.client

    async def go_on(self, question: Question) -> None:
        say(f"Session {self.client.folder.id}, model {self.talk.model.name}. /help shows what there is; Ctrl-D leaves.")
        await self._safely(lambda: self._attach(question.files))
        await self._safely(self._resume)
        while not self.left:
            try:
                print(flush=True)
                text = await self.prompts.prompt_async("> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.strip():
                await self._safely(lambda text=text: self._take(text.strip()))

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        """An error ends the line it came from, not the chat."""
        try:
            await work()
        except Left:
            self.left = True
            say("\nThe turn stops here and can go on: the next chat or ask on this session resumes it first.")
        except GatewayError as error:
            self.teller.finish()
            say_error(error, as_json=False)

    async def _take(self, text: str) -> None:
        command, _, rest = text.partition(" ")
        known: dict[str, Callable[[str], Awaitable[None]]] = {
            "/file": self._file,
            "/files": self._list,
            "/restart": self._restart,
            "/cost": self._show_cost,
            "/export": self._export,
            "/stop": self._stop,
            "/help": self._help,
        }
        if command in known:
            await known[command](rest.strip())
        elif command.startswith("/") and "/" not in command[1:]:
            raise BadRequest(f"There is no command {command}.", HELP)
        else:
            attachments, self._attachments = self._attachments, []
            await self._tell(await self.talk.ask(text, attachments))

    async def _resume(self) -> None:
        if (result := await self.talk.resume()) is not None:
            await self._tell(result)

    async def _tell(self, result: TurnResult) -> None:
        self.teller.finish()
        await self.client.notebook()
        say_pictures(self.client.folder, self.teller.display)
        say_cost(result.usage, result.cost)
        self.cost = None if self.cost is None or result.cost is None else self.cost + result.cost

    async def _attach(self, paths: Sequence[Path]) -> None:
        records = await put_files(self.client, paths)
        self._attachments += attachments_of(records)
        for record in records:
            say(f"  {escape_name(str(record['path']))} goes with your next message.")

    async def _file(self, rest: str) -> None:
        try:
            paths = [Path(word).expanduser() for word in shlex.split(rest)]
        except ValueError as error:
            raise BadRequest(f"{rest!r} cannot be read: {error}.", "Quote names with spaces.") from None
        if not paths:
            raise BadRequest("/file needs a path.", "/file data.csv")
        await self._attach(paths)

    async def _list(self, _rest: str) -> None:
        for number, entry in enumerate(listing(self.client.folder)):
            if number == FILES_SHOWN:
                say(f"… all of them: cell-gateway files ls {self.client.folder.id}")
                return
            size = shown_size(entry.size) if entry.kind == "file" else entry.kind
            print(f"{size:>12}  {escape_name(entry.path)}")

    async def _restart(self, _rest: str) -> None:
        key = uuid.uuid4().hex
        request = RunRequest(
            key, key[:12], restart_cell(), author="person", tool="restart_kernel", tags=("kernel-gateway-restart",)
        )
        await self.client.restart(request)
        say("The kernel is a new one: variables are gone, files are not.")

    async def _show_cost(self, _rest: str) -> None:
        say("The price of this model is not known." if self.cost is None else f"${self.cost:.4f} in this chat.")

    async def _export(self, rest: str) -> None:
        await self.client.notebook()
        export(self.client.folder.id, rest or "html", None)

    async def _stop(self, _rest: str) -> None:
        await self.client.notebook()
        await self.client.stop()
        self.left = self.stopped = True

    async def _help(self, _rest: str) -> None:
        print(HELP)
