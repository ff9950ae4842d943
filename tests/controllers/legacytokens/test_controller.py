"""The cleaner on a server: without tracking nothing goes."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.harness import World, run
from sampan.api.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from sampan.controllers.legacytokens.controller import LegacyTokenCleaner

pytestmark = pytest.mark.slow  # days pass
DAY = 24 * 3600.0
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"


def build(w: World) -> list[Any]:
    return [LegacyTokenCleaner(w.context, keep_seconds=0)]


async def account(w: World, *secrets: str) -> None:
    await w.make(SERVICE_ACCOUNTS, {"metadata": {"name": "robot"}, "secrets": [{"name": name} for name in secrets]})
    for name in ("old", "by-hand", "mounted"):
        await w.make(SECRETS, {"metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "robot"}},
                               "type": "kubernetes.io/service-account-token"})
    await w.settle()


async def pass_days(w: World, days: int) -> None:
    for _ in range(days):
        await w.clock.advance(DAY)
        await w.settle()


async def track(w: World) -> None:
    await w.make(CONFIG_MAPS, {"metadata": {"name": TRACKING}, "data": {"since": w.clock.now().date().isoformat()}}, "kube-system")


def test_a_generated_token_is_marked_and_then_deleted_others_stay() -> None:
    async def scenario(w: World) -> None:
        await track(w)
        await account(w, "old", "mounted")
        await w.make(PODS, {"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "secret": {"secretName": "mounted"}}]}})
        await pass_days(w, 1)
        assert "kubernetes.io/legacy-token-invalid-since" in (await w.get(SECRETS, "old")).metadata.labels
        await pass_days(w, 1)
        assert await w.get(SECRETS, "old") is None
        assert [(await w.get(SECRETS, name)).metadata.labels for name in ("by-hand", "mounted")] == [{}, {}]

    run(build, scenario)


def test_nothing_goes_where_uses_are_not_tracked() -> None:
    async def scenario(w: World) -> None:
        await account(w, "old")
        await pass_days(w, 2)
        assert (await w.get(SECRETS, "old")).metadata.labels == {}

    run(build, scenario)
