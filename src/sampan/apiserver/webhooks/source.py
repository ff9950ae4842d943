"""The webhooks of all configurations, in the order in which they are asked, ready to be matched.

Owns the order (configurations by name, then as written) and the names that tell webhooks apart. Read anew only when a
configuration changed. Source: apiserver `pkg/admission/configuration/{mutating,validating}_webhook_manager.go`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sampan.api import selectors
from sampan.api.admissionregistration.v1 import MutatingWebhook, ValidatingWebhook
from sampan.api.resourceinfo import Resource
from sampan.api.selectors import Selector
from sampan.apiserver.watchcache import Readers


@dataclass(frozen=True, eq=False)
class Hook:
    """One webhook; `uid` stays the same for as long as its configuration has it at that place."""

    uid: str
    configuration: str
    webhook: MutatingWebhook | ValidatingWebhook
    namespaces: Selector
    objects: Selector

    @property
    def name(self) -> str:
        return self.webhook.name

    @property
    def fails_open(self) -> bool:
        """Whether a request goes on when the webhook can't be asked."""
        return self.webhook.failurePolicy == "Ignore"


class Source:
    """The webhooks of one kind of configurations."""

    def __init__(self, readers: Readers, resource: Resource[Any]) -> None:
        self._reader = readers.of(resource)
        self._generation = -1
        self._hooks: tuple[Hook, ...] = ()

    def hooks(self) -> tuple[Hook, ...]:
        """All of them, in order."""
        if self._reader.generation != self._generation:
            # the generation first: a change in between is then seen the next time
            self._generation = self._reader.generation
            configurations = sorted((entry.object for entry in self._reader.entries()), key=lambda one: str(one.metadata.name))
            self._hooks = tuple(hook for one in configurations for hook in _hooks(one))
        return self._hooks


def _hooks(configuration: Any) -> list[Hook]:
    name, seen, found = configuration.metadata.name, Counter[str](), []
    for webhook in configuration.webhooks:
        uid = f"{name}/{webhook.name}/{seen[webhook.name]}"
        seen[webhook.name] += 1
        found.append(Hook(uid, name, webhook, _selector(webhook.namespaceSelector), _selector(webhook.objectSelector)))
    return found


def _selector(selector: Any) -> Selector:
    return Selector() if selector is None else selectors.of_label_selector(selector)
