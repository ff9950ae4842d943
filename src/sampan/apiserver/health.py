"""/livez, /readyz, /healthz and /version.

Source: `k8s.io/apiserver/pkg/server/healthz`.
"""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Mapping

from sampan.apiserver.options import Query
from sampan.apiserver.response import Answer, json_answer, page_not_found, text_answer

Check = Callable[[], str]
"""Why not, or nothing when all is well."""

MAJOR, MINOR = "1", "36"
GIT_VERSION = "v1.36.3+sampan"

_COMMON = (
    "poststarthook/start-apiserver-admission-initializer", "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer", "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook", "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers", "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller", "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness", "poststarthook/start-legacy-token-tracking-controller", "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles", "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer", "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers", "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller", "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller", "poststarthook/kube-apiserver-autoregistration", "autoregister-completion",
    "poststarthook/apiservice-openapi-controller", "poststarthook/apiservice-openapiv3-controller",
)
LIVE = ("ping", "log", "loopback-serving-certificate", "etcd", *_COMMON)
READY = ("ping", "log", "etcd", "etcd-readiness", "informer-sync", *_COMMON, "shutdown")


class Health:
    """Answers the probes from a few real checks; the names are upstream's, which tools know."""

    def __init__(self, checks: Mapping[str, Check], ask: Callable[[], Awaitable[None]] | None = None) -> None:
        """`checks` by name: `etcd` (the store), `informer-sync` (the caches), `shutdown`, …; other names are always well.
        `ask` is awaited before the store's is called.
        """
        self._checks, self._ask = checks, ask

    async def asked(self, path: str, query: Query) -> Answer:
        """`answer`, once the store was asked where the path is about it."""
        if self._ask is not None and path.strip("/").partition("/")[2] in ("", "etcd", "etcd-readiness"):
            await self._ask()
        return self.answer(path, query)

    def answer(self, path: str, query: Query) -> Answer:
        """`/readyz`, `/readyz?verbose`, `/readyz/etcd`, …"""
        root, _, single = path.strip("/").partition("/")
        names: tuple[str, ...] = READY if root == "readyz" else LIVE if root == "livez" else (*LIVE,)
        if single:
            if single not in names:
                return page_not_found()
            names = (single,)
        excluded = set(query.get("exclude", ()))
        lines, failed = [], []
        for name in names:
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            check = self._checks.get(name)
            why = check() if check else ""
            if why:
                failed.append(name)
                lines.append(f"[-]{name} failed: reason withheld")
            else:
                lines.append(f"[+]{name} ok")
        unknown = sorted(excluded - set(names))
        if unknown:
            lines.append("warn: some health checks cannot be excluded: no matches for " + ", ".join(f'"{name}"' for name in unknown))
        if failed:
            return text_answer("\n".join([*lines, f"{root} check failed", ""]), 500)
        if "verbose" in query and not single:
            return text_answer("\n".join([*lines, f"{root} check passed", ""]))
        return text_answer("ok")


def version() -> Answer:
    """Who we are."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return json_answer({
        "major": MAJOR, "minor": MINOR, "emulationMajor": MAJOR, "emulationMinor": MINOR, "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": str(int(MINOR) - 1), "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "", "goVersion": f"python{platform.python_version()}", "compiler": platform.python_implementation(),
        "platform": f"linux/{machine}"})
