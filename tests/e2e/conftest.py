"""Each seed task is played once, by the real command against a scripted model, and looked at by several tests."""

from __future__ import annotations

import io
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from kernel_gateway.journal import read
from kernel_gateway.scripted_model import scripted_model_in_thread

from . import adoption, awkward, joins
from .person import COMMAND, SHARED, Finished, Person, Played, at, person
from .recordings import NAMES, Recording, folder
from .rerun import Jupyter

# The terminal is told to mark pasted text: the chat waits for a line.
_READS_A_LINE = r"\x1b\[\?2004h"


def given(name: str) -> Path:
    """A real input, or a skip that says where it was looked for."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"the real input {name} is not here: it is looked for in {path.parent}")
    return path


@pytest.fixture
def someone(tmp_path: Path) -> Iterator[Person]:
    """A person with an empty data folder."""
    with person(tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def explored(image: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The seed task over chinook.sqlite."""
    file = given("chinook.sqlite")
    with person(tmp_path_factory.mktemp("explored")) as found:
        yield found.play(joins.REPLIES, [joins.PROMPT], "--file", file)


@pytest.fixture(scope="session")
def charted(image: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The first turn by ``ask``; in the second ``ask`` is killed while a cell prints; ``chat`` goes on with it, and takes the third."""
    file = given("btos_state.xlsx")
    first, second, third = adoption.PROMPTS
    with (
        person(tmp_path_factory.mktemp("charted")) as someone,
        scripted_model_in_thread(adoption.REPLIES, by_position=True) as model,
    ):
        asked = [someone.call("ask", first, "--file", file, **at(model))]
        assert asked[0].code == 0, asked[0].err
        killed_in_the_middle(someone, second, at(model))
        asked.append(chatted(someone, third, adoption.LAST_WORDS, at(model)))
        assert not model.refused
        yield Played(someone.folder(), asked, model.requests)


def killed_in_the_middle(someone: Person, prompt: str, environment: dict[str, str]) -> None:
    """kill -9 once the long cell has printed its first line; its end is not recorded then."""
    front_end = someone.start("ask", prompt, "--session", "last", **environment)
    assert front_end.stdout is not None
    with front_end, front_end.stdout as lines:
        for line in lines:
            if line.startswith("10 of 46 surveys"):
                break
        front_end.send_signal(signal.SIGKILL)
    assert front_end.returncode == -signal.SIGKILL
    ended = [r["run"] for r in read(someone.folder().journal).records if r["kind"] == "end"]
    assert not any("toolu_roll" in run for run in ended)


def chatted(someone: Person, prompt: str, awaited: str, environment: dict[str, str]) -> Finished:
    """A chat on a real terminal: what broke off is finished first, then ``prompt`` is typed, and Ctrl-D leaves."""
    seen = io.StringIO()
    chat = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "chat", "--session", "last"],
        env=someone.environment(TERM="xterm-256color", PROMPT_TOOLKIT_NO_CPR="1", **environment),
        encoding="utf-8",
        timeout=100,
        dimensions=(40, 200),
        cwd=str(someone.home),
    )
    chat.logfile_read = seen
    try:
        chat.expect(r"tokens in .* out")
        chat.expect(_READS_A_LINE)
        chat.send(f"{prompt}\r")
        chat.expect(re.escape(awaited))
        chat.expect(r"tokens in .* out")
        chat.expect(_READS_A_LINE)
        chat.send("\x04")
        chat.expect("Notebook: ")
        chat.expect(pexpect.EOF)
    finally:
        chat.close(force=True)
    return Finished(chat.exitstatus or 0, seen.getvalue(), "")


@pytest.fixture(scope="session", params=NAMES)
def recording(request: pytest.FixtureRequest) -> Recording:
    if not (folder() / request.param).exists():
        pytest.skip(f"the recording {request.param} is not here: it is looked for in {folder()}")
    return Recording.load(request.param)


@pytest.fixture(scope="session")
def played_back(recording: Recording, image: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with person(tmp_path_factory.mktemp("played")) as found:
        yield found.play(recording.replies, ["Compute the 10th Fibonacci number."])


@pytest.fixture(scope="session")
def awkward_session(image: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with person(tmp_path_factory.mktemp("awkward")) as found:
        yield found.play(awkward.replies(), [awkward.PROMPT])


@pytest.fixture(scope="session")
def bare_jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """ipykernel, nbclient, and what the awkward notebook names."""
    folder = tmp_path_factory.mktemp("bare")
    yield Jupyter.install(folder / "venv", ["matplotlib"])
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """ipykernel, nbclient, and what the notebooks of the seed tasks, the recordings and the demo name."""
    folder = tmp_path_factory.mktemp("jupyter")
    packages = ["pandas", "openpyxl", "matplotlib", "networkx", "scipy", "vega_datasets"]
    yield Jupyter.install(folder / "venv", packages)
    shutil.rmtree(folder)
