"""CustomResourceDefinition: the names, versions, schemas and subresources of a resource that users add.

Leaves schemas to `structural` and `openapi`, CEL rules to `expressions`, names that collide to the naming controller.
Upstream validates an internal form in which what all versions have alike stands once above them; paths in
findings say so (`spec.validation`, `spec.subresources`, …).
Source: apiextensions-apiserver `pkg/apis/apiextensions/{validation/validation.go,v1/defaults.go,v1/conversion.go}`,
`pkg/registry/customresourcedefinition/strategy.go`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sampan.api import codec, field, names
from sampan.api.apiextensions.v1 import (
    CustomResourceColumnDefinition,
    CustomResourceConversion,
    CustomResourceDefinition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec,
    CustomResourceDefinitionStatus,
    CustomResourceDefinitionVersion,
    CustomResourceSubresources,
)
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from sampan.kinds import checks, meta
from sampan.kinds.apiextensions import internal, openapi, structural, variants
from sampan.kinds.apiextensions.warn import warnings
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Kind, SubKind

APPROVED_ANNOTATION = "api-approved.kubernetes.io"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
REVIEW_VERSIONS = ("v1", "v1beta1")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
MAX_SELECTABLE_FIELDS = 8
_AT_ROOT_WITH_STATUS = frozenset((
    "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength",
    "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items", "properties",
    "externalDocs", "example", structural.PRESERVE, structural.RULES))
_AT_ROOT_TEXT = ("[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength "
                 "Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example "
                 "XPreserveUnknownFields XValidations]")


def storage_version(crd: CustomResourceDefinition) -> str:
    """The version that objects are stored in; "" when none is marked."""
    return next((one.name for one in crd.spec.versions or () if one.storage), "")


def served_versions(crd: CustomResourceDefinition) -> list[CustomResourceDefinitionVersion]:
    return [one for one in crd.spec.versions or () if one.served]


def is_established(crd: CustomResourceDefinition) -> bool:
    """Whether its resource is served."""
    return meta.is_true(crd.status.conditions or (), "Established")


def bad_bundle(crd: CustomResourceDefinition) -> bool:
    """Whether its conversion webhook could never be believed: authorities are given, and none of them can be read."""
    hook = crd.spec.conversion.webhook if crd.spec.conversion is not None else None
    bundle = bytes(hook.clientConfig.caBundle) if hook is not None and hook.clientConfig is not None else b""
    return bool(bundle) and not _readable(bundle)


def _readable(bundle: bytes) -> bool:
    from cryptography import x509  # heavy, and hardly any definition has a bundle

    try:
        return bool(x509.load_pem_x509_certificates(bundle))
    except ValueError:
        return False


def default(crd: CustomResourceDefinition) -> None:
    spec = crd.spec
    for version in spec.versions or ():
        if version.schema is not None and version.schema.openAPIV3Schema is not None:
            version.schema.openAPIV3Schema = variants.read(version.schema.openAPIV3Schema)
    spec.names.singular = spec.names.singular or spec.names.kind.lower()
    if not spec.names.listKind and spec.names.kind:
        spec.names.listKind = f"{spec.names.kind}List"
    if spec.conversion is None:
        spec.conversion = CustomResourceConversion(strategy="None")
    hook = spec.conversion.webhook
    if hook is not None and hook.clientConfig is not None and hook.clientConfig.service is not None \
            and hook.clientConfig.service.port is None:
        hook.clientConfig.service.port = 443


def prepare_create(crd: CustomResourceDefinition) -> None:
    crd.metadata.generation = 1
    crd.status = CustomResourceDefinitionStatus()
    _remember_storage(crd)


def prepare_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> None:
    new.status = codec.clone(old.status)
    meta.bump_generation(new, old)
    _remember_storage(new)


def _remember_storage(crd: CustomResourceDefinition) -> None:
    version, stored = storage_version(crd), crd.status.storedVersions or []
    if version and version not in stored:
        crd.status.storedVersions = [*stored, version]


def validate(crd: CustomResourceDefinition) -> Findings:
    out: Findings = []
    if crd.metadata.name != f"{crd.spec.names.plural}.{crd.spec.group}":
        out.append(field.invalid("metadata.name", crd.metadata.name, 'must be spec.names.plural+"."+spec.group'))
    return out + _all(crd)


def judge_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Findings:
    return _all(new) + validate_update(new, old)


def _all(crd: CustomResourceDefinition) -> Findings:
    spec = crd.spec
    out = _group_and_scope(spec)
    versions = spec.versions or []
    if any(one.schema is None or one.schema.openAPIV3Schema is None for one in versions):
        out += [field.required(f"spec.versions[{index}].schema.openAPIV3Schema") for index, one in enumerate(versions)
                if one.schema is None or one.schema.openAPIV3Schema is None]
    if spec.preserveUnknownFields and any("default" in one for version in versions for one in structural.every_schema(_plain(version) or {})):
        out.append(field.invalid("spec.preserveUnknownFields", True, "must be false in order to use defaults in the schema"))
    out += _versions(spec)
    out += [field.required(f"spec.names.{name}") for name in ("plural", "singular", "kind", "listKind")
            if not getattr(spec.names, name)]
    out += _names(spec.names, "spec.names")
    if spec.conversion is not None:
        out += _conversion(spec.conversion, "spec.conversion", preserving=spec.preserveUnknownFields)
    out += _names(crd.status.acceptedNames, "status.acceptedNames")
    return out + _stored_versions(crd)


def validate_create(crd: CustomResourceDefinition) -> Findings:
    return _approval(crd, None) + _preserving(crd, None)


def _group_and_scope(spec: CustomResourceDefinitionSpec) -> Findings:
    out: Findings = []
    if not spec.group:
        out.append(field.required("spec.group"))
    elif messages := names.dns1123_subdomain(spec.group):
        out.append(field.invalid("spec.group", spec.group, ",".join(messages)))
    elif "." not in spec.group:
        out.append(field.invalid("spec.group", spec.group, "should be a domain with at least one dot"))
    if not spec.scope:
        out.append(field.required("spec.scope"))
    else:
        out += checks.one_of(spec.scope, ("Cluster", "Namespaced"), "spec.scope")
    return out


def _alike(versions: list[CustomResourceDefinitionVersion], name: str) -> bool:
    """Whether all versions have the same value there, which the internal form then has once."""
    return bool(versions) and all(getattr(one, name) == getattr(versions[0], name) for one in versions)


_PLACES = {"schema": "validation", "subresources": "subresources", "additionalPrinterColumns": "additionalPrinterColumns",
           "selectableFields": "selectableFields"}


def _versions(spec: CustomResourceDefinitionSpec) -> Findings:
    out: Findings = []
    versions = spec.versions or []
    for index, one in enumerate(versions):
        if messages := names.dns1035_label(one.name):
            out.append(field.invalid(f"spec.versions[{index}].name", one.name, ",".join(messages)))
        out += _deprecation(one, f"spec.versions[{index}]")
    if versions and versions[0].name and (messages := names.dns1035_label(versions[0].name)):
        out.append(field.invalid("spec.version", versions[0].name, ",".join(messages)))
    alike = {name for name in _PLACES if _alike(versions, name)}
    for index, one in enumerate(versions):
        at = {name: f"spec.{place}" if name in alike else f"spec.versions[{index}].{name}" for name, place in _PLACES.items()}
        shared = alike if index else set()
        out += _version(one, at, {name for name in _PLACES if name not in shared})
    shown = [_shown(one, alike) for one in versions] or None
    if len({one.name for one in versions}) < len(versions):
        out.append(field.invalid("spec.versions", shown, "must contain unique version names"))
    if sum(one.storage for one in versions) != 1:
        out.append(field.invalid("spec.versions", shown, "must have exactly one version marked as storage version"))
    return out


def _shown(version: CustomResourceDefinitionVersion, alike: set[str]) -> dict[str, Any]:
    def part(name: str, value: Any) -> Any:
        return None if name in alike or not value else value

    return {"Name": version.name, "Served": version.served, "Storage": version.storage, "Deprecated": version.deprecated,
            "DeprecationWarning": version.deprecationWarning, "Schema": part("schema", version.schema),
            "Subresources": part("subresources", version.subresources),
            "AdditionalPrinterColumns": part("additionalPrinterColumns", version.additionalPrinterColumns),
            "SelectableFields": part("selectableFields", version.selectableFields)}


def _version(version: CustomResourceDefinitionVersion, at: dict[str, str], parts: set[str]) -> Findings:
    out: Findings = []
    schema = _plain(version)
    if "schema" in parts and schema is not None:
        has_status = version.subresources is not None and version.subresources.status is not None
        out += _schema(schema, f"{at['schema']}.openAPIV3Schema", has_status=has_status)
    if "subresources" in parts and version.subresources is not None:
        out += _subresources(version.subresources, at["subresources"])
    if "additionalPrinterColumns" in parts:
        for index, column in enumerate(version.additionalPrinterColumns):
            out += _column(column, f"{at['additionalPrinterColumns']}[{index}]")
    if "selectableFields" in parts and version.selectableFields:
        out += _selectable(version, schema, at["selectableFields"])
    return out


def _plain(version: CustomResourceDefinitionVersion) -> dict[str, Any] | None:
    if version.schema is None or version.schema.openAPIV3Schema is None:
        return None
    plain: dict[str, Any] = codec.to_builtins(version.schema.openAPIV3Schema)
    return plain


def _schema(schema: dict[str, Any], at: str, *, has_status: bool) -> Findings:
    out: Findings = []
    if has_status:
        if schema.get("type", "object") != "object":
            out.append(field.invalid(f"{at}.type", schema["type"], 'only "object" is allowed as the type at the root of the '
                                                                   "schema if the status subresource is enabled"))
        elif set(schema) - _AT_ROOT_WITH_STATUS:
            out.append(field.invalid(at, internal.schema(schema), f"only {_AT_ROOT_TEXT} fields are allowed at the root of the schema if the "
                                                 "status subresource is enabled"))
    if schema.get("nullable"):
        out.append(field.forbidden(f"{at}.nullable", "nullable cannot be true at the root"))
    keywords, unstructural = openapi.validate_schema(schema, at), structural.unstructural(schema)
    if not unstructural:
        # a structural form exists; what is wrong with it is told first
        wrong = structural.validate_structural(schema, at) or openapi.validate_defaults(schema, at)
        out += wrong
        if not wrong and not keywords and structural.has_rules(schema):
            from sampan.kinds.apiextensions import expressions  # the language takes a while to import
            out += expressions.validate_rules(schema, at)
    elif not out and not keywords:
        out.append(field.invalid(at, "", unstructural))
    return out + keywords


def _deprecation(version: CustomResourceDefinitionVersion, at: str) -> Findings:
    text, where = version.deprecationWarning, f"{at}.deprecationWarning"
    if text is None:
        return []
    if not version.deprecated:
        return [field.invalid(where, text, "can only be set for deprecated versions")]
    out: Findings = []
    if len(text.encode()) > 256:
        out.append(field.invalid(where, text, "must be <= 256 characters long"))
    if not text:
        out.append(field.invalid(where, text, "must not be an empty string"))
    bad = next((index for index, char in enumerate(text) if not char.isprintable()), None)
    if bad is not None:
        out.append(field.invalid(where, text, "must only contain printable UTF-8 characters; non-printable character found at "
                                              f"index {bad}"))
    return out


def _subresources(subresources: CustomResourceSubresources, at: str) -> Findings:
    scale = subresources.scale
    if scale is None:
        return []
    out: Findings = []
    for name, prefix, words in (("specReplicasPath", ".spec.", "should be a json path under .spec"),
                                ("statusReplicasPath", ".status.", "should be a json path under .status")):
        value, where = getattr(scale, name), f"{at}.scale.{name}"
        if not value:
            out.append(field.required(where))
        elif errors := _json_path(value, where):
            out += errors
        elif not value.startswith(prefix):
            out.append(field.invalid(where, value, words))
    if selector := scale.labelSelectorPath:
        where = f"{at}.scale.labelSelectorPath"
        if errors := _json_path(selector, where):
            out += errors
        elif not selector.startswith((".spec.", ".status.")):
            out.append(field.invalid(where, selector, "should be a json path under either .spec or .status"))
    return out


def _json_path(text: str, at: str) -> Findings:
    return [] if text.startswith(".") else [field.invalid(at, text, "must be a simple json path starting with .")]


def _column(column: CustomResourceColumnDefinition, at: str) -> Findings:
    out: Findings = []
    if not column.name:
        out.append(field.required(f"{at}.name"))
    one_of = f"must be one of {','.join(COLUMN_TYPES)}"
    if not column.type:
        out.append(field.required(f"{at}.type", one_of))
    elif column.type not in COLUMN_TYPES:
        out.append(field.invalid(f"{at}.type", column.type, one_of))
    if column.format and column.format not in COLUMN_FORMATS:
        out.append(field.invalid(f"{at}.format", column.format, f"must be one of {','.join(COLUMN_FORMATS)}"))
    if not column.jsonPath:
        return [*out, field.required(f"{at}.JSONPath")]
    return out + _json_path(column.jsonPath, f"{at}.JSONPath")


def _selectable(version: CustomResourceDefinitionVersion, schema: dict[str, Any] | None, at: str) -> Findings:
    if schema is None:
        return [field.invalid(at, "", "may only be set when validations.schema is included")]
    out: Findings = []
    seen: set[str] = set()
    for index, one in enumerate(version.selectableFields):
        where, path = f"{at}[{index}].jsonPath", one.jsonPath
        if not path:
            out.append(field.required(where))
            continue
        found = openapi.resolve(schema, path, arrays=False)
        if isinstance(found, str):
            out.append(field.invalid(where, path, f"is an invalid path: {found}"))
            continue
        if path.startswith(".metadata"):
            out.append(field.invalid(where, path, "must not point to fields in metadata"))
        if found.get("type") not in ("string", "boolean", "integer"):
            out.append(field.invalid(where, path, "must point to a field of type string, boolean or integer. Enum string fields "
                                                  "and strings with formats are allowed."))
        if path in seen:
            out.append(field.duplicate(where, path))
        seen.add(path)
    if len(seen) > MAX_SELECTABLE_FIELDS:
        out.append(field.too_many(at, len(seen), MAX_SELECTABLE_FIELDS))
    return out


def _names(given: CustomResourceDefinitionNames, at: str) -> Findings:
    out: Findings = []
    for name in ("plural", "singular"):
        value = getattr(given, name)
        if value and (messages := names.dns1035_label(value)):
            out.append(field.invalid(f"{at}.{name}", value, ",".join(messages)))
    for name in ("kind", "listKind"):
        value = getattr(given, name)
        if value and (messages := names.dns1035_label(value.lower())):
            out.append(field.invalid(f"{at}.{name}", value,
                                     f"may have mixed case, but should otherwise match: {','.join(messages)}"))
    for name in ("shortNames", "categories"):
        for index, value in enumerate(getattr(given, name)):
            if messages := names.dns1035_label(value):
                out.append(field.invalid(f"{at}.{name}[{index}]", value, ",".join(messages)))
    if given.kind and given.kind == given.listKind:
        out.append(field.invalid(f"{at}.listKind", given.listKind, "kind and listKind may not be the same"))
    return out


def _conversion(conversion: CustomResourceConversion, at: str, *, preserving: bool) -> Findings:
    out: Findings = []
    if conversion.strategy != "None" and preserving:
        out.append(field.invalid(f"{at}.strategy", conversion.strategy, "must be None if spec.preserveUnknownFields is true"))
    if not conversion.strategy:
        out.append(field.required(f"{at}.strategy"))
    else:
        out += checks.one_of(conversion.strategy, ("None", "Webhook"), f"{at}.strategy")
    client = conversion.webhook.clientConfig if conversion.webhook is not None else None
    versions = (conversion.webhook.conversionReviewVersions if conversion.webhook is not None else None) or []
    if conversion.strategy == "Webhook":
        if client is None:
            out.append(field.required(f"{at}.webhookClientConfig", "required when strategy is set to Webhook"))
        else:
            out += checks.webhook_client(client, f"{at}.webhookClientConfig")
        return out + _review_versions(versions, f"{at}.conversionReviewVersions")
    words = "should not be set when strategy is not set to Webhook"
    if client is not None:
        out.append(field.forbidden(f"{at}.webhookClientConfig", words))
    if versions:
        out.append(field.forbidden(f"{at}.conversionReviewVersions", words))
    return out


def _review_versions(versions: list[str], at: str) -> Findings:
    return checks.review_versions(versions, REVIEW_VERSIONS, at) if versions else [field.required(at)]


def _stored_versions(crd: CustomResourceDefinition) -> Findings:
    stored, at = crd.status.storedVersions or [], "status.storedVersions"
    if not stored:
        return [field.invalid(at, None, "must have at least one stored version")]
    out: Findings = []
    left = set(stored)  # each counts for one version
    for one in crd.spec.versions or ():
        if one.storage and one.name not in left:
            out.append(field.invalid(at, stored, f"must have the storage version {one.name}"))
        left.discard(one.name)
    for index, name in enumerate(stored):
        if name in left:
            out.append(field.invalid(f"{at}[{index}]", name, f"missing from spec.versions; {name} was previously a storage "
                                     f"version, and must remain in spec.versions until a storage migration ensures no data "
                                     f"remains persisted in {name} and removes {name} from status.storedVersions"))
    return out


def is_protected_group(group: str) -> bool:
    """Groups of the Kubernetes community, which need an approval."""
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def _approval_state(crd: CustomResourceDefinition) -> str:
    text = crd.metadata.annotations.get(APPROVED_ANNOTATION, "")
    if not text:
        return "missing"
    if text.startswith("unapproved"):
        return "bypassed"
    parts = urlsplit(text)
    return "approved" if parts.scheme and parts.netloc else "invalid"


def _approval(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> Findings:
    state = _approval_state(new)
    if not is_protected_group(new.spec.group) or (old is not None and _approval_state(old) == state):
        return []
    at, words = f"metadata.annotations[{APPROVED_ANNOTATION}]", "protected groups must have approval annotation"
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if state == "missing":
        return [field.required(at, f'{words} "{APPROVED_ANNOTATION}", {see}')]
    if state == "invalid":
        return [field.invalid(at, new.metadata.annotations[APPROVED_ANNOTATION],
                              f'{words} "{APPROVED_ANNOTATION}" with either a URL or a reason starting with "unapproved", {see}')]
    return []


def _preserving(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> Findings:
    if not new.spec.preserveUnknownFields or (old is not None and old.spec.preserveUnknownFields):
        return []
    return [field.invalid("spec.preserveUnknownFields", True, "cannot set to true, set x-kubernetes-preserve-unknown-fields to "
                                                              "true in spec.versions[*].schema instead")]


def validate_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Findings:
    out: Findings = []
    if is_established(old):
        out += field.immutable(new.spec.scope, old.spec.scope, "spec.scope")
        out += field.immutable(new.spec.names.kind, old.spec.names.kind, "spec.names.kind")
    out += field.immutable(new.spec.group, old.spec.group, "spec.group")
    out += field.immutable(new.spec.names.plural, old.spec.names.plural, "spec.names.plural")
    if bad_bundle(new) and not bad_bundle(old):
        why = "unable to load root certificates: data does not contain any valid RSA or ECDSA certificates"
        out.append(field.invalid("spec.conversion.webhookClientConfig.caBundle", "<ca bundle>", why))
    return out + _approval(new, old) + _preserving(new, old)


def validate_status(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Findings:
    return _names(new.status.acceptedNames, "status.acceptedNames")


KIND: Kind[CustomResourceDefinition] = Kind(
    resource=CUSTOM_RESOURCE_DEFINITIONS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_create=validate_create,
    judge_update=judge_update,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata, validate_status),),
    unconditional_update=False,
    warnings=warnings,
)
