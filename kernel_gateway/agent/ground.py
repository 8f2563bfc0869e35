"""What the turns of a session stand on."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import Settings
from ..egress.state import EgressState
from ..image.store import ImageStore
from ..journal import read
from ..sandbox.engines import make_engine
from ..session.policy import Policy
from ..supervisor.client import SessionClient
from .pictures import Convert, sandbox_converter
from .prompt import session_facts, system_prompt


@dataclass(frozen=True)
class Ground:
    """What the model is told, and who makes its pictures smaller."""

    system: str
    convert: Convert

    @classmethod
    async def of(cls, settings: Settings, client: SessionClient) -> Ground:
        """Waits for the kernel: what the model is told about isolation must be true from the first turn on."""
        await client.hello(kernel=True)
        values = client.folder.read()
        image = ImageStore(settings.images).find(values["image"]["digest"])
        kernels = [r for r in read(client.folder.journal).records if r["kind"] == "kernel"]
        mode = Policy.from_json(values.get("policy", {})).egress
        hosts = EgressState.load(client.folder.internals / "egress.json").allowed(mode, settings.egress_hosts.values())
        facts = session_facts(values, image, kernels[-1].get("isolation", {}) if kernels else {}, hosts)
        engine, policy = make_engine(values["engine"]), Policy.from_json(values.get("policy", {}))
        return cls(system_prompt(facts), sandbox_converter(engine, image.root, policy))
