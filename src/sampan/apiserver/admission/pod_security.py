"""PodSecurity: a namespace's labels say which Pod Security Standard is enforced, audited and warned about.

Source: `k8s.io/pod-security-admission/admission`, `api/helpers.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from sampan.api import field
from sampan.api.core.v1 import Container, Namespace, Pod, PodSpec
from sampan.api.errors import FieldError, Invalid
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import NAMESPACES, PODS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.pod_security_checks import LEVELS, Level, Violation, violations
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
MOST_PODS = 3000  # of a namespace whose label changes, as upstream
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,17})")
_TEMPLATES = frozenset((
    ("", "podtemplates"), ("", "replicationcontrollers"), ("apps", "replicasets"), ("apps", "deployments"),
    ("apps", "statefulsets"), ("apps", "daemonsets"), ("batch", "jobs"), ("batch", "cronjobs")))


class Standard(NamedTuple):
    """A level in a version: `baseline:latest`."""

    level: Level = "privileged"
    version: str = "latest"

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    def violations(self, meta: ObjectMeta, spec: PodSpec) -> list[Violation]:
        """What forbids such a pod."""
        minor = None if self.version == "latest" else int(self.version.partition(".")[2])
        return violations(self.level, meta, spec, minor)

    def is_looser_than(self, other: Standard) -> bool:
        """Whether it forbids less, going by its level."""
        return LEVELS.index(self.level) < LEVELS.index(other.level)


class Policy(NamedTuple):
    """What a namespace wants."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()


NOTHING = Policy()


class PodSecurity:
    """Judges pods, warns about templates, and judges the labels."""

    name = "PodSecurity"

    def __init__(self, readers: Readers) -> None:
        self._namespaces, self._pods = readers.of(NAMESPACES), readers.of(PODS)

    def handles(self, request: AdmissionRequest) -> bool:
        """Namespaces, pods and what makes pods."""
        if request.operation not in ("CREATE", "UPDATE"):
            return False
        key = (request.resource.group, request.resource.plural)
        if key == ("", "pods"):
            return request.subresource in ("", "ephemeralcontainers", "resize")
        return not request.subresource and (key == ("", "namespaces") or key in _TEMPLATES)

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse, warn, annotate."""
        if request.resource.plural == "namespaces":
            self._judge_labels(request)
            return
        entry = self._namespaces.get("", request.namespace)
        policy, errors = policy_of(entry.object.metadata.labels) if entry is not None else (NOTHING, [])
        if policy is NOTHING:
            return
        is_pod = request.resource.plural == "pods"
        asked = policy if is_pod else policy[1:]
        if not errors and all(standard.level == "privileged" for standard in asked):
            return
        if is_pod and request.operation == "UPDATE" and not significant(request.object, request.old):
            return
        template = request.object if is_pod else _template(request.object)
        if template is None or template.spec is None:
            return
        if errors:
            request.audit_annotations[f"{PREFIX}error"] = f"Failed to parse policy: {_aggregate(errors)}"
        self._judge(request, policy, template)

    def _judge(self, request: AdmissionRequest, policy: Policy, template: Any) -> None:
        known: dict[Standard, list[Violation]] = {}

        def found(standard: Standard) -> list[Violation]:
            if standard not in known:
                known[standard] = standard.violations(template.metadata, template.spec)
            return known[standard]

        if audited := found(policy.audit):
            request.audit_annotations[f"{PREFIX}audit-violations"] = f'would violate PodSecurity "{policy.audit}": {_told(audited)}'
        if request.resource.plural == "pods":
            request.audit_annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
            if refused := found(policy.enforce):
                raise forbidden(request, f'violates PodSecurity "{policy.enforce}": {_told(refused)}', final=True)
        if warned := found(policy.warn):
            request.warnings.append(f'would violate PodSecurity "{policy.warn}": {_told(warned)}')

    def _judge_labels(self, request: AdmissionRequest) -> None:
        new: Namespace = request.object
        policy, errors = policy_of(new.metadata.labels)
        if request.operation == "CREATE":
            if errors:
                raise Invalid.of("Namespace", "", new.metadata.name, errors)
            return
        old: Namespace = request.old
        had, old_errors = policy_of(old.metadata.labels)
        if errors and errors != old_errors:
            raise Invalid.of("Namespace", "", new.metadata.name, errors)
        now, was = policy.enforce, had.enforce
        if now != was and now.level != "privileged" and not (now.version == was.version and now.is_looser_than(was)):
            request.warnings += self._existing(new.metadata.name, now)

    def _existing(self, namespace: str, standard: Standard) -> list[str]:
        """What the namespace's pods would say to a stricter level."""
        by_text: dict[str, list[str]] = {}
        pods = [entry.object for entry in self._pods.entries(namespace)]
        for pod in _by_owner(pods)[:MOST_PODS]:
            if found := standard.violations(pod.metadata, pod.spec):
                by_text.setdefault(", ".join(one.reason for one in found), []).append(pod.metadata.name)
        told = []
        if len(pods) > MOST_PODS:
            told.append(f"new PodSecurity enforce level only checked against the first {MOST_PODS} of {len(pods)} existing pods")
        if by_text:
            told.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{standard}"')
        lines = []
        for text, names in by_text.items():
            others = len(names) - 1
            more = f" (and {others} other {'pod' if others == 1 else 'pods'})" if others else ""
            lines.append(f"{min(names)}{more}: {text}")
        return [*told, *sorted(lines)]


def _by_owner(pods: list[Pod]) -> list[Pod]:
    """One of each controller's first: the others say the same."""
    known: set[str] = set()
    first: list[Pod] = []
    others: list[Pod] = []
    for pod in pods:
        owner = next((one.uid for one in pod.metadata.ownerReferences if one.controller), "")
        (others if owner in known else first).append(pod)
        known |= {owner} - {""}
    return [*first, *others]


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[FieldError]]:
    """What labels say, and what is wrong with them.

    A level that can't be understood is enforced as restricted, and neither audited nor warned about. Who says nothing about
    warnings is warned about what is enforced.
    """
    if not any(key.startswith(PREFIX) for key in labels):
        return NOTHING, []
    standards, errors = [], []
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}", "privileged"), labels.get(f"{PREFIX}{mode}-version", "latest")
        if level not in LEVELS:
            errors.append(field.invalid(f"metadata.labels[{PREFIX}{mode}]", level, f"must be one of {', '.join(LEVELS)}"))
            level = "restricted" if mode == "enforce" else "privileged"
        if version != "latest" and not _VERSION.fullmatch(version):
            errors.append(field.invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, 'must be "latest" or "v1.x"'))
            version = "latest"
        standards.append(Standard(cast("Level", level), version))
    enforce, audit, warn = standards
    if f"{PREFIX}warn" not in labels and labels.get(f"{PREFIX}enforce") in LEVELS and warn.is_looser_than(enforce):
        warn = Standard(enforce.level, warn.version if f"{PREFIX}warn-version" in labels else enforce.version)
    return Policy(enforce, audit, warn), errors


def significant(new: Pod, old: Pod) -> bool:
    """Whether an update is judged at all: only images can be changed and ephemeral containers added that matter."""
    for name in ("containers", "initContainers"):
        if _images(getattr(new.spec, name)) != _images(getattr(old.spec, name)):
            return True
    known = {one.name: one.image for one in old.spec.ephemeralContainers}
    return any(known.get(one.name) != one.image for one in new.spec.ephemeralContainers)


def _images(containers: Iterable[Container] | None) -> list[str]:
    return [one.image for one in containers or ()]


def _aggregate(errors: list[FieldError]) -> str:
    return str(errors[0]) if len(errors) == 1 else f"[{', '.join(map(str, errors))}]"


def _template(obj: Any) -> Any:
    if obj.kind == "PodTemplate" or hasattr(obj, "template"):
        return obj.template
    spec = obj.spec
    if hasattr(spec, "jobTemplate"):
        spec = spec.jobTemplate.spec
    return spec.template


def _told(found: list[Violation]) -> str:
    return ", ".join(map(str, found))
