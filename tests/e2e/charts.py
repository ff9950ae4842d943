"""Charts that the helm tests write: one with everything, small enough to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GROUP = "shelves.example.com"
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"shelves.{GROUP}"},
    "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "shelves", "singular": "shelf", "kind": "Shelf"}, "versions": [{
        "name": "v1", "served": True, "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"books": {"type": "integer"}}}}}}}]}}

VALUES: dict[str, Any] = {"replicas": 2, "greeting": "hello", "probe": ["true"], "preUpgrade": ["true"], "checks": ["sh", "-c", "echo shelves are straight; exit 0"]}
SCHEMA: dict[str, Any] = {"$schema": "https://json-schema.org/draft-07/schema#", "type": "object", "properties": {"replicas": {"type": "integer", "maximum": 9}}}

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "shop.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: 20
  selector:
    matchLabels: {release: {{ .Release.Name }}}
  template:
    metadata:
      labels: {release: {{ .Release.Name }}}
    spec:
      containers:
      - name: web
        image: web:{{ .Chart.AppVersion }}
        readinessProbe: {periodSeconds: 1, exec: {command: {{ toJson .Values.probe }}}}
        envFrom: [{configMapRef: {name: {{ .Release.Name }}-words}}]
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "shop.labels" . | nindent 4 }}
spec:
  selector: {release: {{ .Release.Name }}}
  ports: [{port: 80}]
"""

# the second key is kept from what is there, so an upgrade does not draw it anew
WORDS = """
{{- $old := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-words" .Release.Name) }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-words
data:
  greeting: {{ .Values.greeting | quote }}
  drawn: {{ if $old }}{{ $old.data.drawn | quote }}{{ else }}{{ randAlphaNum 12 | quote }}{{ end }}
  version: {{ .Capabilities.KubeVersion.Version | quote }}
  shelves: {{ .Capabilities.APIVersions.Has "apps/v1/Deployment" | quote }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-kept
  annotations: {helm.sh/resource-policy: keep}
data: {a: "1"}
"""

SHELF = f"""
apiVersion: {GROUP}/v1
kind: Shelf
metadata: {{name: "{{{{ .Release.Name }}}}"}}
spec: {{books: {{{{ mul 10 .Values.replicas }}}}}}
"""


def hook(name: str, when: str, weight: int, command: str, policy: str = "") -> str:
    """A Job that runs at a moment of a release's life."""
    return f"""
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{{{ .Release.Name }}}}-{name}"
  annotations:
    helm.sh/hook: {when}
    helm.sh/hook-weight: "{weight}"
    {f'helm.sh/hook-delete-policy: {policy}' if policy else ''}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: busybox, command: {command}}}]
"""


CHECK = """
apiVersion: v1
kind: Pod
metadata:
  name: "{{ .Release.Name }}-check"
  annotations: {helm.sh/hook: test, helm.sh/hook-delete-policy: before-hook-creation}
spec:
  restartPolicy: Never
  containers: [{name: main, image: busybox, command: {{ toJson .Values.checks }}}]
"""

HELPERS = """
{{- define "shop.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
"""


def write(folder: Path, version: str = "0.1.0", dependency: str = "") -> Path:
    """A chart with a CRD, an object of it, hooks, a test, `lookup`, a schema and notes; its folder."""
    chart = folder / f"shop-{version}"
    facts: dict[str, Any] = {"apiVersion": "v2", "name": "shop", "version": version, "appVersion": version, "description": "a shop"}
    if dependency:
        facts["dependencies"] = [{"name": "shop", "alias": "branch", "version": "0.1.0", "repository": f"file://{dependency}"}]
    files = {
        "Chart.yaml": json.dumps(facts), "values.yaml": json.dumps(VALUES), "values.schema.json": json.dumps(SCHEMA),
        "crds/shelf.yaml": json.dumps(DEFINITION),
        "templates/_helpers.tpl": HELPERS, "templates/deployment.yaml": DEPLOYMENT, "templates/words.yaml": WORDS, "templates/shelf.yaml": SHELF,
        "templates/first.yaml": hook("first", "pre-install", -5, '["true"]'),
        "templates/second.yaml": hook("second", "pre-install", 5, '["true"]', "hook-succeeded"),
        "templates/after.yaml": hook("after", "post-install,post-upgrade", 0, '["true"]', "before-hook-creation"),
        "templates/before.yaml": hook("before", "pre-upgrade", 0, "{{ toJson .Values.preUpgrade }}", "before-hook-creation"),
        "templates/last.yaml": hook("last", "post-delete", 0, '["true"]'),
        "templates/check.yaml": CHECK,
        "templates/NOTES.txt": "{{ .Release.Name }} greets with {{ .Values.greeting }}",
    }
    for name, text in files.items():
        path = chart / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return chart
