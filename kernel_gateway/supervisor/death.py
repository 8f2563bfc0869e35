"""How a kernel died, in words: the cause, what is lost, what goes on (P6)."""

from __future__ import annotations

from ..sandbox.engine import Exit

CRASH_SIGNALS = (4, 6, 7, 8, 11, 31)


def cause_of(exit_: Exit, kill_cause: str | None) -> tuple[str, str]:
    """The cause of a death, from how the sandbox ended and what we did to it."""
    if kill_cause == "timeout":
        return "timeout", "It did not stop when it was interrupted and was killed."
    if kill_cause == "interrupted":
        return "killed", "It did not stop when it was interrupted and was killed."
    if kill_cause == "disk limit":
        return "disk limit", "It wrote more than the session may keep on disk. Delete files first."
    if kill_cause is not None:
        return kill_cause, ""
    if exit_.out_of_memory:
        return "out of memory", "It used more memory than the session may."
    signum = -exit_.status if exit_.status < 0 else exit_.status - 128 if exit_.status > 128 else 0
    if signum in CRASH_SIGNALS:
        return "crash", f"Signal {signum}."
    if signum:
        return "killed", f"Signal {signum}."
    return "kernel exited", f"Status {exit_.status}."


def death_notice(cause: str, detail: str, names: list[str]) -> str:
    lost = f" Names lost: {some(names)}." if names else ""
    return f"The kernel died: {cause}. {detail}{lost} Files in /workspace are kept; the next cell runs in a fresh kernel.".replace(
        "  ", " "
    )


def resume_notice(names: list[str]) -> str:
    lost = f" Names lost: {some(names)}." if names else ""
    return f"The session was stopped and now runs in a fresh kernel.{lost} Files in /workspace are kept."


def some(names: list[str], limit: int = 40) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
