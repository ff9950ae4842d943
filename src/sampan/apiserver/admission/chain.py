"""The admission chain: every plugin that handles an operation, in order, first to change, then to judge.

Owns which plugins are asked about what, worked out once per (operation, resource, subresource). Leaves the order to
`all.ALL`, and validation between the two rounds to the registry.
Source: apiserver `pkg/admission/chain.go`, `pkg/endpoints/handlers/fieldmanager/admission.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from sampan.api import managedfields
from sampan.apiserver import metadata
from sampan.apiserver.admission.base import Admission, AdmissionRequest, Mutating, Validating
from sampan.apiserver.auth.asking import Undecided, settled

BROKEN = (".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; "
          "please fix your requests: ")


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
        plugins, before = self._of(request).mutating, request.object
        await self._admit(plugins, request)
        if request.reinvocation.wanted:
            request.reinvocation.second = True
            await self._admit(plugins, request)
        if request.object is not before and before is not None and request.object is not None:
            _keep_managers(request, before)

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


def _keep_managers(request: AdmissionRequest, before: Any) -> None:
    """Put back the owners of fields that a webhook or policy made unreadable."""
    if not isinstance(before, dict) and getattr(before, "metadata", None) is None:
        return  # options of a connection
    new, old = metadata.meta_of(request.object), metadata.meta_of(before)
    if new.managedFields == old.managedFields:
        return
    try:
        managedfields.decode(new.managedFields)
    except managedfields.BadEntry as error:
        new.managedFields = old.managedFields
        metadata.put_meta(request.object, new)
        request.warnings.append(f"{BROKEN}{error}")
