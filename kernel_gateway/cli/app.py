"""The command: what it is made of, and what becomes of an error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..errors import BadRequest, GatewayError
from . import (
    ask,
    chat,
    config,
    demo,
    doctor,
    export,
    files,
    fork,
    image,
    lab,
    open,
    rerun,
    run,
    serve,
    sessions,
    sharing,
    verify,
)
from .say import say_error

INTERRUPTED = 130

app = typer.Typer(
    name="cell-gateway",
    help="A code interpreter of your own: what a model runs are cells on a sandboxed kernel, and every session is a notebook.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cell-gateway {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What follows is one of the commands."""


app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("serve")(serve.serve)
app.command("lab")(lab.lab)
app.add_typer(sessions.app, name="sessions")
app.add_typer(files.app, name="files")
export.register(app)
sharing.register(app)
verify.register(app)
rerun.register(app)
fork.register(app)
open.register(app)
app.add_typer(image.app, name="image")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line and return its exit code. What a person may see of an error is one message; the rest goes to the log."""
    as_json = "--json" in arguments
    try:
        _check_platform()
        _check_shadowing()
        # In standalone mode Typer prints usage errors itself, for people.
        code = app(args=arguments, prog_name="cell-gateway", standalone_mode=not as_json)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except GatewayError as error:
        say_error(error, as_json=as_json)
        return error.exit_code
    except BrokenPipeError:
        _drop_output()
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  whatever it is, a person gets a sentence
        if isinstance(message := getattr(error, "format_message", None), Callable):
            say_error(BadRequest(str(message()), "See: cell-gateway --help"), as_json=as_json)
            return BadRequest.exit_code
        return _report_unknown(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _check_platform() -> None:
    if not sys.platform.startswith("linux"):
        raise BadRequest(
            "Cell Gateway's sandboxes need Linux.",
            "Run it in a Linux virtual machine or container: WSL 2 on Windows, Lima or Docker on macOS.",
        )


def _check_shadowing() -> None:
    """PyPI's jupyter-kernel-gateway installs the same import package; which one wins is chance.

    importlib.metadata would know it too, and takes longer to import than the rest of the check takes.
    """
    if not any(list(Path(folder).glob("jupyter_kernel_gateway-*.dist-info")) for folder in sys.path):
        return
    raise BadRequest(
        "The package jupyter-kernel-gateway is installed here and has the same import name, kernel_gateway.",
        "Install cell-gateway into an environment of its own: uv tool install cell-gateway, or pipx install cell-gateway",
    )


def _drop_output() -> None:
    """The reader is gone: Python's flush at exit must not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


def _report_unknown(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("CELL_GATEWAY_DEBUG") == "1":
        traceback.print_exc()
    shown = f"{type(error).__name__}: {error}".rstrip(": ")
    say_error(GatewayError(f"Something unexpected went wrong ({shown}).", _log(error)), as_json=as_json)
    return 1


def _log(error: Exception) -> str:
    from ..config import data_folder

    path = data_folder(os.environ).value / "cell-gateway.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "a") as log:
            log.write("".join(traceback.format_exception(error)) + "\n")
    except OSError:
        return "Set CELL_GATEWAY_DEBUG=1 to see where."
    return f"The details are in {path}; CELL_GATEWAY_DEBUG=1 shows them."


if __name__ == "__main__":
    main()
