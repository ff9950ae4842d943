"""PodSecurity: a namespace's labels say which Pod Security Standard is enforced, audited and warned about.

Source: `k8s.io/pod-security-admission/admission`, `api/helpers.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from sampan.api import codec, field
from sampan.api.core.v1 import Namespace, Pod
from sampan.api.errors import FieldError, Invalid
from sampan.api.resources import NAMESPACES, PODS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.pod_security_checks import LEVELS, Level, Violation, violations
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
MOST_PODS = 3000  # of a namespace whose label changes, as upstream
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,3})")
_TEMPLATES = frozenset((
    ("", "podtemplates"), ("", "replicationcontrollers"), ("apps", "replicasets"), ("apps", "deployments"),
    ("apps", "statefulsets"), ("apps", "daemonsets"), ("batch", "jobs"), ("batch", "cronjobs")))


class Standard(NamedTuple):
    """A level in a version: `baseline:latest`."""

    level: Level = "privileged"
    version: str = "latest"

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


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
        policy, _ = policy_of(entry.object.metadata.labels) if entry is not None else (NOTHING, [])
        if policy == NOTHING or (request.operation == "UPDATE" and request.resource.plural == "pods"
                                 and not significant(request.object, request.old)):
            return
        template = request.object if request.resource.plural == "pods" else _template(request.object)
        if template is None or template.spec is None:
            return
        self._judge(request, policy, template)

    def _judge(self, request: AdmissionRequest, policy: Policy, template: Any) -> None:
        known: dict[Level, list[Violation]] = {}

        def found(standard: Standard) -> list[Violation]:
            if standard.level not in known:
                known[standard.level] = violations(standard.level, template.metadata, template.spec)
            return known[standard.level]

        if request.resource.plural == "pods":
            request.audit_annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
            if refused := found(policy.enforce):
                raise forbidden(request, f'violates PodSecurity "{policy.enforce}": {_told(refused)}', final=True)
        if audited := found(policy.audit):
            request.audit_annotations[f"{PREFIX}audit-violations"] = f'would violate PodSecurity "{policy.audit}": {_told(audited)}'
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
        if errors and not (old_errors and _labels(new) == _labels(old)):
            raise Invalid.of("Namespace", "", new.metadata.name, errors)
        if policy.enforce != had.enforce and LEVELS.index(policy.enforce.level) > LEVELS.index(had.enforce.level):
            request.warnings += self._existing(new.metadata.name, policy.enforce)

    def _existing(self, namespace: str, standard: Standard) -> list[str]:
        """What the namespace's pods would say to a stricter level."""
        by_text: dict[str, list[str]] = {}
        for count, entry in enumerate(self._pods.entries(namespace)):
            if count >= MOST_PODS:
                break
            pod: Pod = entry.object
            if found := violations(standard.level, pod.metadata, pod.spec):
                by_text.setdefault(", ".join(one.reason for one in found), []).append(entry.name)
        if not by_text:
            return []
        lines = [f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{standard}"']
        for text, names in by_text.items():
            others = len(names) - 1
            more = f" (and {others} other {'pod' if others == 1 else 'pods'})" if others else ""
            lines.append(f"{names[0]}{more}: {text}")
        return [lines[0], *sorted(lines[1:])]


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[FieldError]]:
    """What labels say, and what is wrong with them; a level that can't be understood counts as restricted."""
    if not any(key.startswith(PREFIX) for key in labels):
        return NOTHING, []
    standards, errors = [], []
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}", "privileged"), labels.get(f"{PREFIX}{mode}-version", "latest")
        if level not in LEVELS:
            errors.append(field.invalid(f"metadata.labels[{PREFIX}{mode}]", level, f"must be one of {', '.join(LEVELS)}"))
            level = "restricted"
        if version != "latest" and not _VERSION.fullmatch(version):
            errors.append(field.invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, 'must be "latest" or "v1.x"'))
            version = "latest"
        standards.append(Standard(cast("Level", level), version))
    return Policy(*standards), errors


def significant(new: Pod, old: Pod) -> bool:
    """Whether an update changed something that a check looks at: images and tolerations are nothing."""
    return new.metadata.annotations != old.metadata.annotations or _bare(new) != _bare(old)


def _bare(pod: Pod) -> Any:
    spec = codec.clone(pod.spec)
    spec.tolerations, spec.activeDeadlineSeconds = [], None
    for container in [*(spec.containers or ()), *spec.initContainers, *spec.ephemeralContainers]:
        container.image = ""
        container.resources = type(container.resources)()
    return spec


def _template(obj: Any) -> Any:
    if obj.kind == "PodTemplate" or hasattr(obj, "template"):
        return obj.template
    spec = obj.spec
    if hasattr(spec, "jobTemplate"):
        spec = spec.jobTemplate.spec
    return spec.template


def _labels(namespace: Namespace) -> dict[str, str]:
    return {key: value for key, value in namespace.metadata.labels.items() if key.startswith(PREFIX)}


def _told(found: list[Violation]) -> str:
    return ", ".join(map(str, found))
