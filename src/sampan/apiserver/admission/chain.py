"""The admission chain: every plugin that handles an operation, in order, first to change, then to judge.

Owns which plugins are asked about what, worked out once per (operation, resource, subresource). Leaves the order to
`all.ALL`, and validation between the two rounds to the registry.
Source: apiserver `pkg/admission/chain.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from sampan.apiserver.admission.base import Admission, AdmissionRequest, Mutating, Validating
from sampan.apiserver.auth.asking import Undecided, settled


class _Asked(NamedTuple):
    mutating: tuple[Mutating, ...]
    validating: tuple[Validating, ...]


class Chain:
    """Runs plugins. `handles` must depend on operation, resource and subresource alone."""

    def __init__(self, plugins: Sequence[Admission]) -> None:
        self.plugins = tuple(plugins)
        self._asked: dict[tuple[Any, ...], _Asked] = {}

    async def admit(self, request: AdmissionRequest) -> None:
        """Let the mutating plugins change `request.object`, a second time if a webhook or policy did.

        Raises:
            ApiError: The first refusal.
        """
        plugins = self._of(request).mutating
        await self._admit(plugins, request)
        if request.reinvocation.wanted:
            request.reinvocation.second = True
            await self._admit(plugins, request)

    @staticmethod
    async def _admit(plugins: Sequence[Mutating], request: AdmissionRequest) -> None:
        for plugin in plugins:
            try:
                await plugin.admit(request)
            except Undecided as question:
                await settled(partial(plugin.admit, request), question)

    async def validate(self, request: AdmissionRequest) -> None:
        """Let the validating plugins judge the final object.

        Raises:
            ApiError: The first refusal.
        """
        for plugin in self._of(request).validating:
            try:
                await plugin.validate(request)
            except Undecided as question:
                await settled(partial(plugin.validate, request), question)

    def forget(self) -> None:
        """Ask `handles` again: a custom resource came or went."""
        self._asked.clear()

    def _of(self, request: AdmissionRequest) -> _Asked:
        key = (request.operation, request.resource, request.subresource)
        asked = self._asked.get(key)
        if asked is None:
            fitting = [plugin for plugin in self.plugins if plugin.handles(request)]
            asked = self._asked[key] = _Asked(
                tuple(cast("Mutating", plugin) for plugin in fitting if hasattr(plugin, "admit")),
                tuple(cast("Validating", plugin) for plugin in fitting if hasattr(plugin, "validate")))
        return asked
