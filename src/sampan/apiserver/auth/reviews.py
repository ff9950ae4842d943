"""The review resources: who am I, whose token is this, may he do that, what may I do.

Owns what a POST of each review computes: `REVIEWS` has one function a resource. Nothing is stored.
Source: kubernetes `pkg/registry/authentication`, `pkg/registry/authorization`, `pkg/apis/authorization/validation`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sampan.api import field, names
from sampan.api.authentication.v1 import (
    SelfSubjectReview,
    SelfSubjectReviewStatus,
    TokenReview,
    TokenReviewStatus,
    UserInfo,
)
from sampan.api.authorization.v1 import (
    LocalSubjectAccessReview,
    NonResourceRule,
    ResourceRule,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
)
from sampan.api.errors import BadRequest, FieldError, Invalid
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
)
from sampan.api.scalars import Time
from sampan.apiserver.auth.asking import decided
from sampan.apiserver.auth.base import Authorizer
from sampan.apiserver.auth.nodes import node_identity
from sampan.apiserver.auth.tokens import DEFAULT_AUDIENCE, BadCredentials, TokenUnion
from sampan.apiserver.request import Attributes, User
from sampan.lib.clock import Clock

GROUP = "authorization.k8s.io"


@dataclass(frozen=True)
class Reviewer:
    """What reviews ask."""

    authorizer: Authorizer
    tokens: TokenUnion
    clock: Clock
    audiences: tuple[str, ...] = (DEFAULT_AUDIENCE,)


Review = Callable[[Reviewer, User, str, Any], Awaitable[Any]]
"""(reviewer, who asks, namespace of the request, the review) → the review with its status."""


def user_info(user: User) -> UserInfo:
    """To the wire."""
    return UserInfo(username=user.name, uid=user.uid, groups=list(user.groups),
                    extra={key: list(values) for key, values in user.extra.items()})


async def self_subject_review(reviewer: Reviewer, user: User, namespace: str, review: SelfSubjectReview) -> SelfSubjectReview:
    """Tell who is asking."""
    return SelfSubjectReview(
        kind="SelfSubjectReview", apiVersion="authentication.k8s.io/v1",
        metadata=ObjectMeta(creationTimestamp=Time.of(reviewer.clock.now())),
        status=SelfSubjectReviewStatus(userInfo=user_info(user)))


async def token_review(reviewer: Reviewer, user: User, namespace: str, review: TokenReview) -> TokenReview:
    """Tell whose token it is.

    Raises:
        BadRequest: There is none.
    """
    if not review.spec.token:
        raise BadRequest("token is required for TokenReview in authentication")
    audiences = tuple(review.spec.audiences) or reviewer.audiences
    try:
        answer = await reviewer.tokens.authenticate_token(review.spec.token, audiences)
    except BadCredentials as error:
        review.status = TokenReviewStatus(error=error.why)
        return review
    good = [audience for audience in audiences if audience in answer.audiences]
    review.status = TokenReviewStatus(authenticated=True, user=user_info(answer.user), audiences=good)
    return review


async def subject_access_review(reviewer: Reviewer, user: User, namespace: str,
                                review: SubjectAccessReview) -> SubjectAccessReview:
    """Tell whether somebody may.

    Raises:
        Invalid: The question is not one.
    """
    _refuse([*_spec_errors(review.spec), *_subject_errors(review.spec), *_metadata_errors(review.metadata)])
    review.status = await _answer(reviewer, review.spec, _subject(review.spec))
    return review


async def local_subject_access_review(reviewer: Reviewer, user: User, namespace: str,
                                      review: LocalSubjectAccessReview) -> LocalSubjectAccessReview:
    """The same in one namespace, for those who may ask there only.

    Raises:
        BadRequest: The object is of another namespace.
        Invalid: The question is not one.
    """
    if review.metadata.namespace and review.metadata.namespace != namespace:
        raise BadRequest("namespace does not match")  # upstream never gets here: the decoder has refused it
    review.metadata.namespace = namespace
    errors = [*_spec_errors(review.spec), *_subject_errors(review.spec)]
    bare = ObjectMeta(namespace=namespace)
    if _without_fields(review.metadata) != bare:
        errors.append(field.invalid("metadata", review.metadata, "must be empty except for namespace"))
    asked = review.spec.resourceAttributes
    if asked is not None and asked.namespace != namespace:
        errors.append(field.invalid("spec.resourceAttributes.namespace", asked.namespace, "must match metadata.namespace"))
    if review.spec.nonResourceAttributes is not None:
        errors.append(field.invalid("spec.nonResourceAttributes", _go_struct(review.spec.nonResourceAttributes),
                                    "disallowed on this kind of request"))
    _refuse(errors)
    review.status = await _answer(reviewer, review.spec, _subject(review.spec))
    return review


async def self_subject_access_review(reviewer: Reviewer, user: User, namespace: str,
                                     review: SelfSubjectAccessReview) -> SelfSubjectAccessReview:
    """Tell whether who asks may.

    Raises:
        Invalid: The question is not one.
    """
    _refuse([*_spec_errors(review.spec), *_metadata_errors(review.metadata)])
    review.status = await _answer(reviewer, review.spec, user)
    return review


async def self_subject_rules_review(reviewer: Reviewer, user: User, namespace: str,
                                    review: SelfSubjectRulesReview) -> SelfSubjectRulesReview:
    """Tell what who asks may do in a namespace.

    Raises:
        BadRequest: No namespace.
    """
    if not review.spec.namespace:
        raise BadRequest("no namespace on request")
    resources, urls, incomplete = reviewer.authorizer.rules_for(user, review.spec.namespace)
    errors = ["node authorizer does not support user rule resolution"] if node_identity(user)[1] else []
    if unlisted := getattr(reviewer.authorizer, "unlisted", ""):
        errors.append(unlisted)
    error = f"[{', '.join(errors)}]" if len(errors) > 1 else "".join(errors)
    review.status = SubjectRulesReviewStatus(
        resourceRules=[ResourceRule(**rule) for rule in resources],
        nonResourceRules=[NonResourceRule(**rule) for rule in urls], incomplete=incomplete, evaluationError=error)
    return review


REVIEWS: dict[Resource[Any], Review] = {
    SELF_SUBJECT_REVIEWS: self_subject_review,
    TOKEN_REVIEWS: token_review,
    SUBJECT_ACCESS_REVIEWS: subject_access_review,
    LOCAL_SUBJECT_ACCESS_REVIEWS: local_subject_access_review,
    SELF_SUBJECT_ACCESS_REVIEWS: self_subject_access_review,
    SELF_SUBJECT_RULES_REVIEWS: self_subject_rules_review,
}


def _subject(spec: SubjectAccessReviewSpec) -> User:
    return User(spec.user, spec.uid, tuple(spec.groups), {key: tuple(values) for key, values in spec.extra.items()})


async def _answer(reviewer: Reviewer, spec: Any, user: User) -> SubjectAccessReviewStatus:
    resource, path = spec.resourceAttributes, spec.nonResourceAttributes
    if resource is not None:
        attributes = Attributes(
            user=user, verb=resource.verb, path="", is_resource=True, group=resource.group, version=resource.version,
            resource=resource.resource, subresource=resource.subresource, namespace=resource.namespace, name=resource.name,
            label_selector=_label_selector(resource.labelSelector), field_selector=_field_selector(resource.fieldSelector))
    else:
        attributes = Attributes(user=user, verb=path.verb, path=path.path)
    decision = await decided(lambda: reviewer.authorizer.authorize(attributes))
    return SubjectAccessReviewStatus(allowed=decision.allowed, denied=decision.denied, reason=decision.reason, evaluationError=decision.error)


def _label_selector(selector: Any) -> str:
    if selector is None:
        return ""
    return selector.rawSelector or ",".join(_requirement(r.key, r.operator, r.values) for r in selector.requirements)


def _field_selector(selector: Any) -> str:
    if selector is None:
        return ""
    if selector.rawSelector:
        return str(selector.rawSelector)
    terms = []
    for r in selector.requirements:
        if r.operator == "In" and len(r.values) == 1:
            terms.append(f"{r.key}={r.values[0]}")
        elif r.operator == "NotIn" and len(r.values) == 1:
            terms.append(f"{r.key}!={r.values[0]}")
    return ",".join(terms)


def _requirement(key: str, operator: str, values: list[str]) -> str:
    if operator in ("In", "NotIn"):
        return f"{key} {operator.lower()} ({','.join(values)})"
    return key if operator == "Exists" else f"!{key}"


def _spec_errors(spec: Any) -> list[FieldError]:
    resource, path = spec.resourceAttributes, spec.nonResourceAttributes
    if resource is not None and path is not None:
        return [field.invalid("spec.nonResourceAttributes", _go_struct(path),
                              "cannot be specified in combination with resourceAttributes")]
    if resource is None and path is None:
        return [field.invalid("spec.resourceAttributes", None,
                              "exactly one of nonResourceAttributes or resourceAttributes must be specified")]
    return _selector_errors(resource) if resource is not None else []


def _selector_errors(resource: Any) -> list[FieldError]:
    found = []
    for name, selector in (("fieldSelector", resource.fieldSelector), ("labelSelector", resource.labelSelector)):
        if selector is None:
            continue
        path = f"spec.resourceAttributes.{name}"
        if selector.rawSelector and selector.requirements:
            found.append(field.invalid(f"{path}.rawSelector", selector.rawSelector,
                                       "may not specified at the same time as requirements"))
        elif not selector.rawSelector and not selector.requirements:
            found.append(field.required(f"{path}.requirements",
                                        f"when {path} is specified, requirements or rawSelector is required"))
        for index, one in enumerate(selector.requirements):
            found += _requirement_errors(one, f"{path}.requirements[{index}]", labels=name == "labelSelector")
    return found


def _requirement_errors(one: Any, path: str, *, labels: bool) -> list[FieldError]:
    """Findings about a requirement; one with an operator that newer clients may know is let be."""
    found = [] if labels or one.key else [field.required(f"{path}.key", "must be specified")]
    if one.operator in ("In", "NotIn") and not one.values:
        found.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    if one.operator in ("Exists", "DoesNotExist") and one.values:
        found.append(field.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    if labels:
        found += field.invalid_each(f"{path}.key", one.key, names.qualified_name(one.key))
        for index, value in enumerate(one.values):
            found += field.invalid_each(f"{path}.values[{index}]", value, names.label_value(value))
    return found


def _subject_errors(spec: SubjectAccessReviewSpec) -> list[FieldError]:
    if spec.user or spec.groups:
        return []
    return [field.invalid("spec.user", "", "at least one of user or group must be specified")]


def _metadata_errors(meta: ObjectMeta) -> list[FieldError]:
    return [field.invalid("metadata", meta, "must be empty")] if _without_fields(meta) != ObjectMeta() else []


def _without_fields(meta: ObjectMeta) -> ObjectMeta:
    if not meta.managedFields:
        return meta
    return ObjectMeta(name=meta.name, namespace=meta.namespace, labels=meta.labels, annotations=meta.annotations)


def _go_struct(path: Any) -> dict[str, str]:
    """Upstream shows the internal type, whose fields have no JSON names."""
    return {"Path": path.path, "Verb": path.verb}


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise Invalid.of("", GROUP, "", errors)
