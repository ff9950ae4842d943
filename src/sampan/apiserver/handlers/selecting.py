"""Selectors of lists, watches and collection deletions to a `Selection`.

Owns which fields can be selected, and lifting what an index answers (name, indexed field) out of the selectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sampan.api import selectors
from sampan.api.errors import BadRequest
from sampan.apiserver.catalog import Served
from sampan.apiserver.options import ListOptions
from sampan.apiserver.selection import ALL, Matcher, Selection

INDEXED = {"pods": "spec.nodeName"}
"""The field that a resource's cache is indexed by."""


def selection(served: Served, namespace: str, options: ListOptions, *, name: str = "") -> Selection:
    """What the options select.

    Raises:
        BadRequest: A selector that can't be read, or names a field that can't be selected.
    """
    if not served.resource.namespaced:
        namespace = ""
    if not options.labels and not options.fields:
        return Selection(namespace=namespace, name=name) if namespace or name else ALL
    checks: list[Matcher] = []
    texts: list[str] = []
    indexed = ""
    if options.labels:
        selector = _labels(options.labels)
        if not selector.empty:
            matches = selector.matches
            checks.append(lambda entry: matches(entry.labels))
            texts.append(str(selector))
    if options.fields:
        fields = _fields(served, options.fields)
        name = name or fields.exact("metadata.name") or ""
        indexed = fields.exact(_indexed(served)) or ""
        lifted = int(bool(name)) + int(bool(indexed))
        if len(fields.terms) != lifted:
            checks.append(fields.compile(_getters(served)))
            texts.append("fields:" + str(fields))
    if not checks:
        return Selection(namespace, name, indexed)
    text = served.resource.version + "|" + "|".join(texts)
    return Selection(namespace, name, indexed, text, checks[0] if len(checks) == 1 else _both(*checks))


def _both(one: Matcher, two: Matcher) -> Matcher:
    return lambda entry: one(entry) and two(entry)


def _labels(text: str) -> selectors.Selector:
    try:
        return selectors.parse_labels(text)
    except selectors.SelectorError as error:
        raise BadRequest(str(error)) from None


def _fields(served: Served, text: str) -> selectors.FieldSelector:
    try:
        parsed = selectors.parse_fields(text)
    except selectors.SelectorError as error:
        raise BadRequest(str(error)) from None
    for term in parsed.terms:
        if term.field not in served.kind.fields and term.field not in ("metadata.name", "metadata.namespace"):
            raise BadRequest(unknown_field(served, term.field))
    return parsed


def _getters(served: Served) -> dict[str, Callable[[Any], str]]:
    own: dict[str, Callable[[Any], str]] = {
        "metadata.name": lambda entry: entry.name, "metadata.namespace": lambda entry: entry.namespace,
    }
    for name, getter in served.kind.fields.items():
        own[name] = _through(served, getter)
    if (field := _indexed(served)) in own:
        own[field] = lambda entry: entry.indexed
    return own


def _indexed(served: Served) -> str:
    """The field that the cache of this resource is indexed by; empty: none."""
    return INDEXED.get(served.resource.plural, "") if served.resource.group == "" else ""


def _through(served: Served, getter: Callable[[Any], str]) -> Callable[[Any], str]:
    # whoever selects looks at many objects once: what is decoded for it is not kept
    outward = served.outward
    if outward is None:
        return lambda entry: getter(entry.peek())
    return lambda entry: getter(outward(entry.peek()))


def unknown_field(served: Served, name: str) -> str:
    """Kinds with fields of their own say it in their own way."""
    if served.kind.fields or served.custom is not None:
        return f"field label not supported: {name}"
    return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
