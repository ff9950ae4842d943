from __future__ import annotations

import asyncio
from typing import Any

from apiserver.admitting import ask, pod
from apiserver.readers import MemoryReaders
from sampan.api.resources import CONFIG_MAPS, PODS
from sampan.apiserver.admission.all import ALL, default_chain, set_quota_writer
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.chain import Chain
from sampan.apiserver.admission.resource_quota import ResourceQuota
from sampan.apiserver.auth.authorizers import default_authorizers
from sampan.lib.clock import Identity


class Says:
    """Tells when it is asked."""

    def __init__(self, name: str, said: list[str], plural: str = "pods") -> None:
        self.name, self._said, self._plural = name, said, plural

    def handles(self, request: AdmissionRequest) -> bool:
        self._said.append(f"handles {self.name}")
        return request.resource.plural == self._plural

    async def admit(self, request: AdmissionRequest) -> None:
        self._said.append(f"admit {self.name}")

    async def validate(self, request: AdmissionRequest) -> None:
        self._said.append(f"validate {self.name}")


def test_plugins_are_asked_in_order_and_only_about_what_they_handle() -> None:
    said: list[str] = []
    chain = Chain([Says("x", said), Says("y", said, "configmaps"), Says("z", said)])
    request = ask("CREATE", PODS, pod())
    asyncio.run(chain.admit(request))
    asyncio.run(chain.validate(request))
    assert said == ["handles x", "handles y", "handles z", "admit x", "admit z", "validate x", "validate z"]
    said.clear()
    asyncio.run(chain.admit(ask("CREATE", CONFIG_MAPS, {})))
    assert said == ["handles x", "handles y", "handles z", "admit y"]


class Clock:
    def now(self) -> Any: ...

    def monotonic(self) -> float:
        return 0.0


def test_the_default_chain_is_the_list_in_its_order() -> None:
    readers = MemoryReaders()
    chain = default_chain(readers, default_authorizers(readers), Clock(), Identity())
    assert tuple(type(plugin) for plugin in chain.plugins) == ALL
    assert len({plugin.name for plugin in chain.plugins}) == len(ALL)


def test_plugins_can_be_switched_off_and_added() -> None:
    readers, said = MemoryReaders(), list[str]()
    chain = default_chain(readers, default_authorizers(readers), Clock(), Identity(), dynamic=[Says("hook", said)],
                          disabled=frozenset({"PodSecurity"}))
    names = [plugin.name for plugin in chain.plugins]
    assert "PodSecurity" not in names
    assert names[-4:] == ["hook", "RBACEscalation", "ResourceClaims", "ResourceQuota"]


def test_the_quota_writer_comes_later() -> None:
    readers = MemoryReaders()
    chain = default_chain(readers, default_authorizers(readers), Clock(), Identity())
    writer: Any = object()
    set_quota_writer(chain, writer)
    assert next(plugin for plugin in chain.plugins if isinstance(plugin, ResourceQuota)).writer is writer
