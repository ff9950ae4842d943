"""Empties namespaces that are being deleted: pods first, then everything else, then the namespace's finalizer.

Owns finding what is in a namespace and deleting it; what is said about it is `decide`'s. Leaves objects of aggregated
APIs to discovery through the client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.api import codec
from sampan.api.core.v1 import Namespace, Pod
from sampan.api.errors import ApiError, MethodNotAllowed, NotFound
from sampan.api.resourceinfo import Resource
from sampan.api.resources import NAMESPACES, PODS
from sampan.client.base import DeleteOptions
from sampan.control.catalog import Catalog
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_namespace
from sampan.control.key import Key, meta_of
from sampan.controllers.namespace.decide import Remains, decide, grace_left_seconds

PAGE = 500
LOOK_AGAIN = Backoff(first_seconds=0.5, most_seconds=15.0)
BACKGROUND = DeleteOptions(propagation="Background")


class NamespaceController(Controller):
    """Lets namespaces go once nothing is left in them. `grace_seconds`: wait so long for other API servers to notice."""

    name = "namespace-controller"

    def __init__(self, context: Context, *, workers: int = 10, grace_seconds: float = 0.0) -> None:
        super().__init__(context, workers=workers)
        self._grace_seconds = grace_seconds
        self._namespaces, pods = self.informers.of(NAMESPACES), self.informers.of(PODS)
        self._pods = pods.index(by_namespace)
        self._catalog = Catalog(self.informers)
        self._attempts: dict[Key, int] = {}
        self.loop.wait_for(self._namespaces, pods, self._catalog.definitions)
        self._namespaces.on_change(self._namespace_changed)
        pods.on_change(self._pod_changed)

    def _namespace_changed(self, _: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.metadata.deletionTimestamp is not None:
            key = Key("", new.metadata.name)
            self.loop.queue.add_after(key, 0 if key in self._attempts else self._grace_seconds)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """The last pod of a namespace that waits for it is gone."""
        if new is None and old is not None:
            key = Key("", old.metadata.namespace)
            if key in self._attempts and self._pods.count(key.name) == 0:
                self.loop.queue.add(key)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.deletionTimestamp is None or not namespace.spec.finalizers:
            self._attempts.pop(key, None)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        remains = await self._empty(namespace)
        await self.writer.do(key, decide(namespace, remains, self.clock.now()))
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        return DONE if remains.nothing else Result(LOOK_AGAIN.delay_seconds(attempts))

    async def _empty(self, of: Namespace) -> Remains:
        remains, namespace = Remains(), of.metadata.name
        left = grace_left_seconds(of, self._pods.get(namespace), self.clock.now())
        await self._delete_all(PODS, namespace, remains, patient=left > 0)
        if remains.objects:
            remains.pods_first = True
            return remains
        resources = [one for one in self._catalog.with_verbs("delete", "list") if one.namespaced and one is not PODS]
        for resource in [*resources, *await self._aggregated(remains)]:
            await self._delete_all(resource, namespace, remains)
        return remains

    async def _delete_all(self, resource: Resource[Any], namespace: str, remains: Remains, *, patient: bool = False) -> None:
        """Delete what is there and note what remains; without a finalizer that is a mistake, unless it may take its time (`patient`)."""
        try:
            if not (await self.client.list(resource, namespace, limit=1)).items:
                return
            await self._delete(resource, namespace)
            left = await self._list(resource, namespace)
        except (MethodNotAllowed, NotFound):
            return  # gone with its definition, or not an ordinary resource
        except ApiError as error:
            remains.errors.append(error.message)
            return
        if not left:
            return
        remains.objects[f"{resource.plural}.{resource.group}"] = len(left)
        finalizers = [name for obj in left for name in meta_of(obj).finalizers]
        for name in finalizers:
            remains.finalizers[name] = remains.finalizers.get(name, 0) + 1
        if not finalizers and not patient:
            group_version = resource.group_version if resource.group else f"/{resource.version}"
            remains.errors.append(f"unexpected items still remain in namespace: {namespace} for gvr: "
                                  f"{group_version}, Resource={resource.plural}")

    async def _delete(self, resource: Resource[Any], namespace: str) -> None:
        if "deletecollection" in resource.verbs:
            await self.client.delete_all(resource, namespace, options=BACKGROUND)
            return
        for obj in await self._list(resource, namespace):
            try:
                await self.client.delete(resource, meta_of(obj).name, namespace, BACKGROUND)
            except (NotFound, MethodNotAllowed):
                continue

    async def _list(self, resource: Resource[Any], namespace: str) -> list[Any]:
        page = await self.client.list(resource, namespace, limit=PAGE)
        items = list(page.items)
        while page.continue_:
            page = await self.client.list(resource, namespace, limit=PAGE, continue_=page.continue_)
            items += page.items
        return items

    async def _aggregated(self, remains: Remains) -> Iterable[Resource[Any]]:
        """Resources that discovery knows and the catalog does not."""
        accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        answer = await self.client.raw("GET", "/apis", headers=accept)
        known = {one.group for one in self._catalog.with_verbs()}
        if answer.code != 200:
            remains.discovery_error = f"discovery failed with code {answer.code}"
            return []
        found, stale = [], []
        for group in codec.loads(answer.body).get("items") or []:
            name = group["metadata"].get("name", "")
            if name in known:
                continue
            version = group["versions"][0]
            if version.get("freshness") == "Stale":
                stale.append(f"{name}/{version['version']}: stale GroupVersion discovery: {name}/{version['version']}")
            found += [_resource(name, version["version"], one) for one in version.get("resources") or []
                      if one.get("scope") == "Namespaced" and {"list", "delete"} <= set(one.get("verbs") or ())]
        if stale:
            remains.discovery_error = (f"Discovery failed for some groups, {len(stale)} failing: unable to retrieve the complete list of "
                                       f"server APIs: {', '.join(sorted(stale))}")
        return found


def _resource(group: str, version: str, found: dict[str, Any]) -> Resource[Any]:
    return Resource(group=group, version=version, plural=found["resource"], kind=found["responseKind"]["kind"],
                    singular=found.get("singularResource", ""), namespaced=True, verbs=tuple(found["verbs"]))


