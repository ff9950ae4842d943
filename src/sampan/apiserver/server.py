"""`ApiServer`: the parts of an API server, put together.

Owns what is made in which order, and starting and stopping. The composition root chooses the store, the clock and
who may ask; this module knows how the rest hangs together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import ApiError
from sampan.api.resourceinfo import Resource
from sampan.api.resources import RESOURCE_QUOTAS
from sampan.apiserver import kindtable
from sampan.apiserver.admission.all import default_chain, set_quota_writer
from sampan.apiserver.admission.mutating_webhook import MutatingWebhook
from sampan.apiserver.admission.quota_writer import RegistryQuotaWriter
from sampan.apiserver.admission.validating_webhook import ValidatingWebhook
from sampan.apiserver.admission.versions import Versions
from sampan.apiserver.aggregation import trust
from sampan.apiserver.aggregation.aggregator import Aggregator
from sampan.apiserver.aggregation.connections import AggregationSettings
from sampan.apiserver.allocation.addresses import Addresses
from sampan.apiserver.allocation.ports import Ports
from sampan.apiserver.allocation.repair import Repair
from sampan.apiserver.allocation.services import ServiceHook
from sampan.apiserver.asgi import App
from sampan.apiserver.audit.file import AuditFile, AuditSink, Rotation
from sampan.apiserver.audit.log import Audited
from sampan.apiserver.audit.policy import Policy
from sampan.apiserver.auth.authenticators import Configured, Sources, default_authenticators
from sampan.apiserver.auth.authorizers import default_authorizers
from sampan.apiserver.auth.base import Authorization
from sampan.apiserver.auth.impersonation import Impersonator
from sampan.apiserver.auth.jwt import PublicKey, read_public_key
from sampan.apiserver.auth.legacytokens import LegacyTokenUses
from sampan.apiserver.auth.reviews import Reviewer
from sampan.apiserver.auth.serviceaccounts import Issuer, TokenRequests
from sampan.apiserver.bootstrap import Addresses as ServerAddresses
from sampan.apiserver.bootstrap import Bootstrap
from sampan.apiserver.crd.converter import WebhookConverter
from sampan.apiserver.crd.manager import Definitions
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.encryption.config import Encryption
from sampan.apiserver.encryption.store import around
from sampan.apiserver.fieldmanager import FieldManager
from sampan.apiserver.flowcontrol.controller import FlowControl
from sampan.apiserver.flowcontrol.inflight import FlowSettings, InFlight
from sampan.apiserver.flowcontrol.metrics import FlowMetrics
from sampan.apiserver.flowcontrol.upkeep import Upkeep
from sampan.apiserver.flowcontrol.world import CacheWorld
from sampan.apiserver.freshness import Freshness
from sampan.apiserver.handlers import all as handlers
from sampan.apiserver.handlers.base import Api
from sampan.apiserver.health import Health
from sampan.apiserver.hooks import Hook
from sampan.apiserver.metrics import Metrics
from sampan.apiserver.nodes import NodeAccess, NodeConnections
from sampan.apiserver.pipeline import Handles, Pipeline
from sampan.apiserver.registry import Registry
from sampan.apiserver.request import User
from sampan.apiserver.routes import Routes
from sampan.apiserver.servers import LivingServers
from sampan.apiserver.sockets import NodeSockets
from sampan.apiserver.table import Tables
from sampan.apiserver.watchcache import Caches
from sampan.apiserver.webhooks.client import WebhookClient
from sampan.apiserver.webhooks.dispatch import Webhooks
from sampan.kinds.apiextensions.rules import rules_for
from sampan.lib.clock import Identity
from sampan.lib.errors import ConfigError
from sampan.lib.pkirotate import blocks
from sampan.store.base import SharedStore, Store


@dataclass(frozen=True)
class Settings:
    """How one API server is set up."""

    addresses: ServerAddresses = ServerAddresses()
    node_ports: tuple[int, int] = (30000, 32767)
    signing_key: bytes = b""
    """PEM of the key that signs service account tokens; empty: one is made for this run."""
    verifying_keys: bytes = b""
    """PEM of all keys whose tokens are believed, besides that of the signing key."""
    issuer: str = "https://kubernetes.default.svc"
    users: Mapping[str, User] = field(default_factory=dict)
    """Static tokens and whose they are."""
    anonymous: bool = True
    authorization: Authorization = Authorization()
    sources: Sources = Sources()
    """OIDC issuers, webhooks, front proxies."""
    client_ca: bytes = b""
    nodes: NodeAccess = NodeAccess()
    disabled_admission: frozenset[str] = frozenset()
    """Names of admission plugins that are left out."""
    audit_policy: Policy | None = None
    audit_log: str = "-"
    """The file that audit events go to, `-` for the standard output."""
    audit_rotation: Rotation = Rotation()
    encryption: Encryption | None = None
    """Which resources are sealed in the store, with which keys."""
    flow: FlowSettings = FlowSettings()
    aggregation: AggregationSettings = AggregationSettings()
    """How API servers behind this one are asked."""
    bootstrap_rbac: bool = True
    bootstrap_full: bool = True


class ApiServer:
    """Make it, `await start()`, give `app` to uvicorn or an in-process client, keep `run()` running, `await stop()`."""

    def __init__(self, store: Store, clock: AsyncClock, identity: Identity, settings: Settings = Settings()) -> None:
        self.store = store = around(store, settings.encryption)
        self.clock, self.identity, self.settings = clock, identity, settings
        self.catalog = kindtable.catalog()
        self.caches = Caches(store, clock)
        self.issuer = Issuer(settings.signing_key or _new_key(), issuer=settings.issuer, trusted=_keys(settings.verifying_keys))
        self._shared = store if isinstance(store, SharedStore) else None
        self._store_problem = ""
        self.health = Health({"etcd": self._store_health, "etcd-readiness": self._store_health, "informer-sync": self._cache_health,
                              "shutdown": self._shutdown_health}, self._ask_store if self._shared else None)
        self.metrics = Metrics(self._stored_objects, self.catalog.find)
        self.app = App(lifespan=self)
        self._tasks = Tasks()
        self._started = self._stopping = False
        self._nodes: NodeConnections | None = None
        self._bootstrap: Bootstrap | None = None
        self._living: LivingServers | None = None
        self._webhooks: Webhooks | None = None
        self._configured: Configured | None = None
        self._audit_file: AuditFile | None = None
        self.flow: FlowControl | None = None

    async def start(self) -> None:
        """Fill the caches, put the parts together, make what a fresh server holds, be ready."""
        if self._started:
            return
        await self.caches.load(*self.stored())
        if self._shared is not None:
            self._shared.when_lost(self.caches.read_anew)
        self._tasks.start(self.caches.run(), "bookmarks")
        self._assemble()
        await self.definitions.start()
        self._tasks.start(self.definitions.run(), "definitions")
        repair = Repair(self.store, self.caches, self.clock)
        await repair.once(alone=self._shared is None)
        if self._shared is not None:
            await repair.ports()
        self._tasks.start(repair.run(shared=self._shared is not None), "repair of addresses")
        self._bootstrap = Bootstrap(self.registry, self.deleter, self.catalog, self.settings.addresses, client_ca=self.settings.client_ca,
                                    trust=lambda: trust.published(self.aggregator.connections.authority()))
        try:
            await self._bootstrap.run(rbac=self.settings.bootstrap_rbac, full=self.settings.bootstrap_full, alone=self._shared is None)
        except ApiError as error:
            if (problem := self.store.problem_with_keys()):
                raise ConfigError(f"the server's own objects can't be made: {problem}",
                                  hint="give --encryption-provider-config with the keys that sealed them") from error
            raise
        if self._shared is not None:
            self._living = LivingServers(self.store, self.registry, self.deleter, self.catalog, self._bootstrap,
                                         at=self.settings.addresses, clock=self.clock, identity=self.identity)
            await self._living.join()
            self._tasks.start(self._living.run(), "living servers")
        if self.flow is not None:
            upkeep = Upkeep(self.flow, self.registry, self.catalog, self.caches, self.clock)
            if self.settings.bootstrap_full:
                await upkeep.ensure()
            self._tasks.start(upkeep.run(keep=self.settings.bootstrap_full), "flow control")
        if self.settings.bootstrap_full:
            await self._legacy_tokens.ensure()
        self._tasks.start(self._legacy_tokens.run(), "uses of legacy tokens")
        self._tasks.start(self.aggregator.run(), "aggregation")
        self._started = True

    def _assemble(self) -> None:
        settings, clock, caches = self.settings, self.clock, self.caches
        self.authorizer = default_authorizers(caches, settings.authorization, clock)
        self._configured = Configured(settings.sources, clock, self.issuer.audiences, client_ca=settings.client_ca)
        identities = default_authenticators(caches, clock, self.issuer, users=dict(settings.users), anonymous=settings.anonymous,
                                            configured=self._configured)
        client = WebhookClient(caches)
        self._webhooks = Webhooks(caches, self.catalog, self.identity, client, self.authorizer)
        dynamic = (MutatingWebhook(caches, self._webhooks), ValidatingWebhook(caches, self._webhooks))
        gate = default_chain(caches, self.authorizer, clock, self.identity, dynamic=dynamic, disabled=settings.disabled_admission,
                             versions=Versions(self.catalog))
        hooks: dict[str, Hook] = {}
        fields = FieldManager()
        self.registry = Registry(
            self.store, caches, clock, self.identity, gate=gate, fields=fields, hooks=hooks)
        ranges = Addresses(caches, self.identity, self.registry.now, settings.addresses.service_cidrs)
        hooks["services"] = ServiceHook(ranges, Ports(caches, self.identity, *settings.node_ports, shared=self._shared is not None))
        set_quota_writer(gate, RegistryQuotaWriter(self.registry, self.catalog.of(RESOURCE_QUOTAS)))
        self.deleter = Deleter(self.registry)
        self.definitions = Definitions(self.registry, self.deleter, self.catalog, caches, clock, changed=gate.forget, rules_for=rules_for,
                                       converter_for=lambda crd: WebhookConverter(crd, client, self.identity))
        self.api = Api(self.catalog, self.registry, self.deleter, self.store, caches, clock, self.authorizer)
        self.api.tables = Tables(clock)
        self.registry.known = caches.known
        self.registry.is_stale, self.api.parts["unreadable"] = self.store.is_stale, self.store.unreadable
        self.api.parts |= {"apply": fields, "reviewer": Reviewer(self.authorizer, identities.tokens, clock, tuple(self.issuer.audiences)),
                           "tokens": TokenRequests(identities.service_accounts, caches, clock, self.identity)}
        self._legacy_tokens = LegacyTokenUses(self.registry, self.catalog, clock)
        identities.service_accounts.used = self._legacy_tokens.note
        self._nodes = self.api.parts["nodes"] = NodeConnections(caches, settings.nodes)
        if self._shared is not None:
            self.api.parts["freshness"] = Freshness(self._shared)
        if settings.flow.fair:
            self.flow = FlowControl(caches, CacheWorld(self.catalog, caches), clock, self._tasks, settings.flow)
            self.metrics.more.append(FlowMetrics(self.flow).collect)
        self.aggregator = self.api.parts["aggregator"] = Aggregator(
            self.registry, self.deleter, self.catalog, caches, clock, self.identity, settings.aggregation)
        address = f"{settings.addresses.advertise}:{settings.addresses.port}"
        routes = Routes(self.api, self.health, self.issuer, address, metrics=self.metrics, flow=self.flow)
        pipeline: Handles = Pipeline(
            self.api, identities.authenticator, handlers.VERBS, impersonation=Impersonator(self.authorizer),
            other=routes.answer, subresources=handlers.SUBRESOURCES, audit=self.metrics,
            flow=self.flow or InFlight(settings.flow))
        self.app.pipeline = pipeline if settings.audit_policy is None else self._audited(pipeline, settings.audit_policy)
        self.app.sockets = NodeSockets(self.app.pipeline, self._nodes)

    def _audited(self, pipeline: Handles, policy: Policy) -> Audited:
        self._audit_file = AuditFile(self.settings.audit_log, self.clock, self.settings.audit_rotation)
        self._audit_file.check()
        sink = AuditSink(self._audit_file.write, self.clock)
        self.metrics.more.append(sink.collect)
        return Audited(pipeline, policy, sink.write, self.clock, self.identity)

    def stored(self) -> list[Resource[Any]]:
        """Every resource that has a cache."""
        return list(dict.fromkeys(served.stored for served in self.catalog if not served.virtual and served.view is None))

    async def run(self) -> None:
        """Work until cancelled."""
        await self.start()
        try:
            await self._tasks.wait()
        finally:
            await self.stop()

    async def renew(self, signing_key: bytes, verifying_keys: bytes, client_ca: bytes) -> None:
        """Sign tokens with this key, believe all of these, tell extension API servers of these authorities. The files of
        `NodeAccess` are read again.
        """
        self.issuer.renew(signing_key, _keys(verifying_keys))
        if self._configured is not None:
            self._configured.trust(client_ca)
        if self._nodes is not None:
            self._nodes.renewed()
            self.aggregator.connections.renewed()
        if self._bootstrap is not None:
            await self._bootstrap.authentication(client_ca)

    async def stop(self) -> None:
        """End all watches; the store stays open, it is its maker's."""
        self._stopping = True
        await self._tasks.stop()
        if self._living is not None:
            leaving, self._living = self._living, None
            await leaving.leave()
        if self._nodes is not None:
            await self._nodes.close()
            await self.aggregator.close()
        if self._webhooks is not None:
            await self._webhooks.close()
        if self._configured is not None:
            await self._configured.close()
            await self.authorizer.close()
        if self._audit_file is not None:
            self._audit_file.close()

    def _stored_objects(self) -> dict[str, int]:
        return {resource.group_resource: len(self.caches.of(resource)) for resource in self.stored()}

    def _store_health(self) -> str:
        return self._store_problem

    async def _ask_store(self) -> None:
        assert self._shared is not None
        self._store_problem = await self._shared.problem()

    def _cache_health(self) -> str:
        return "" if self._started else "the caches are being filled"

    def _shutdown_health(self) -> str:
        return "the server is shutting down" if self._stopping else ""


def _keys(pem: bytes) -> list[PublicKey]:
    return [read_public_key(block) for block in blocks(pem)] if pem else []


def _new_key() -> bytes:
    from sampan.lib import pki

    return pki.new_signing_key()
