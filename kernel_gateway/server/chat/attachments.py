"""Files that a person attached to a message: only those of the session's own workspace."""

from __future__ import annotations

from pathlib import PurePosixPath

from jupyterlab_chat.models import Message

from ...agent.conversation import Attachment
from ...errors import UnsafePath
from ...session.folder import SessionFolder
from ..rest.files import attached
from .rooms import SessionChat


async def attachments_of(folder: SessionFolder, chat: SessionChat, message: Message) -> list[Attachment]:
    """Raises UnsafePath for what lies elsewhere, NotFound for what is gone."""
    known = chat.get_attachments()
    found = [known[key] for key in message.attachments or [] if key in known]
    return await attached(folder, [_in_workspace(folder, one.value) for one in found])


def _in_workspace(folder: SessionFolder, path: str) -> str:
    """``path`` is one of the contents API: relative to the folder of all sessions."""
    parts = PurePosixPath(path).parts
    if parts[:2] != (folder.id, "workspace") or len(parts) < 3 or ".." in parts:
        raise UnsafePath(
            f"{path} is not in this session's workspace, so its code could not read it.",
            f"Put it into {folder.id}/workspace (drag it there in the file browser) and attach it again.",
        )
    return str(PurePosixPath(*parts[2:]))
