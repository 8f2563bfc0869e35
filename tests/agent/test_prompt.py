from __future__ import annotations

from kernel_gateway.agent.conversation import Attachment
from kernel_gateway.agent.prompt import SessionFacts, isolation_of, prompt_text, session_facts, system_prompt
from kernel_gateway.egress.hosts import HostRule
from kernel_gateway.session.policy import GB, Policy

FACTS = SessionFacts(
    policy=Policy(memory=4 * GB, processes=99, cell_timeout=120),
    python="3.11.4",
    node="24.1.0",
    packages={"pandas": "3.1.1", "python_docx": "1.2", "ipykernel": "7.4"},
    isolation={"memory": "enforced", "disk": "watched", "cpu": "none"},
    mounts=("big",),
)


def test_limits_are_the_sessions_own() -> None:
    prompt = system_prompt(FACTS)
    for fact in (
        "4 GB",
        "99 processes",
        "120 s",
        "Python 3.11.4",
        "node 24.1.0",
        "pandas 3.1.1",
        "python-docx",
        "inputs/big",
    ):
        assert fact in prompt


def test_a_limit_that_is_not_enforced_is_called_so() -> None:
    prompt = system_prompt(FACTS)
    assert "disk 5 GB (watched, not enforced)" in prompt and "2 CPUs (not enforced here)" in prompt
    assert "4 GB," in prompt


def test_no_network_is_said_where_there_is_none() -> None:
    assert "No network" in system_prompt(SessionFacts(Policy(egress="none")))
    assert "No network" not in system_prompt(FACTS)


def test_what_of_the_network_is_open_is_said_and_how_to_speak_to_it() -> None:
    hosts = (HostRule("api.example.com", "gateway"), HostRule("files.example.com", "tunnel"))
    prompt = system_prompt(SessionFacts(Policy(egress="list"), hosts=hosts))
    assert "`pip install` and `npm install` work" in prompt and "No other host" in prompt
    assert "`http://api.example.com/…`" in prompt and "`https://files.example.com/…`" in prompt
    asking = system_prompt(SessionFacts(Policy(egress="ask", ask_timeout=90)))
    assert "the person is asked while your cell waits, up to 90 s" in asking and "No other host" not in asking


def test_the_same_facts_give_the_same_bytes_in_any_order() -> None:
    turned = SessionFacts(
        FACTS.policy, FACTS.python, FACTS.node, dict(reversed(FACTS.packages.items())), FACTS.isolation, FACTS.mounts
    )
    assert system_prompt(FACTS) == system_prompt(turned)


def test_the_bash_deadline_and_relative_paths_are_told() -> None:
    prompt = system_prompt(FACTS)
    assert "# timeout: N" in prompt and "relative to the workspace" in prompt and "`present_files`" in prompt


def test_facts_come_from_the_session_and_its_image() -> None:
    values = {"policy": {"memory": 3 * GB}, "mounts": [{"name": "data", "source": "/x"}]}
    facts = session_facts(values, None, {"memory": "none"})
    assert facts.mounts == ("data",) and facts.policy.memory == 3 * GB
    assert "/x" not in system_prompt(facts)


def test_the_first_kernels_isolation_holds() -> None:
    records = [
        {"kind": "session"},
        {"kind": "kernel", "isolation": {"memory": "enforced"}},
        {"kind": "kernel", "isolation": {}},
    ]
    assert isolation_of(records) == {"memory": "enforced"}


def test_the_plumbing_of_the_image_is_not_listed() -> None:
    assert "ipykernel" not in system_prompt(FACTS)


def test_a_prompt_lists_what_was_given() -> None:
    given = [Attachment("a b.csv", "a b.csv", "0", 1234, "text/csv")]
    assert prompt_text(" look \n", given) == (
        "look\n\nFiles given with this message, in the workspace:\n- a b.csv (1,234 bytes, text/csv)"
    )
    assert prompt_text("look", []) == "look"
