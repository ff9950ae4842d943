"""Service account tokens: issuing them, and telling whether one is still good.

Owns the claims, `Issuer`, the authenticator and the implementation of `serviceaccounts/token`. A signature is verified
once and remembered (bounded); whether account, pod, node or secret still are the ones the token speaks of is looked up
for every request, so that a deletion takes effect at once. Leaves signatures to `jwt`.
Source: kubernetes `pkg/serviceaccount/{claims,jwt}.go`, `pkg/registry/core/serviceaccount/storage/token.go`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sampan.api import field
from sampan.api.authentication.v1 import BoundObjectReference, TokenRequest, TokenRequestStatus
from sampan.api.core.v1 import Secret
from sampan.api.errors import BadRequest, Conflict, Invalid, NotFound
from sampan.api.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from sampan.api.scalars import Time
from sampan.apiserver.auth.jwt import BadToken, PublicKey, Signer, unverified_claims, verify
from sampan.apiserver.auth.legacytokens import INVALID_SINCE
from sampan.apiserver.auth.rules import quoted
from sampan.apiserver.auth.tokens import AUTHENTICATED, DEFAULT_AUDIENCE, BadCredentials, TokenAnswer
from sampan.apiserver.request import User
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Clock, Identity

LEGACY_ISSUER = "kubernetes/serviceaccount"
LEEWAY = timedelta(minutes=1)
WARN_ONLY_SECONDS = 60 * 60 + 7  # what the ServiceAccount admission plugin asks for: kept working far beyond, with a warning
EXTENDED_SECONDS = 24 * 365 * 60 * 60
DEFAULT_SECONDS = 60 * 60
LEAST_SECONDS, MOST_SECONDS = 10 * 60, 1 << 32
MOST_VERIFIED = 16384
_EXTRA = "authentication.kubernetes.io/"


def username(namespace: str, name: str) -> str:
    """`system:serviceaccount:ns:name`."""
    return f"system:serviceaccount:{namespace}:{name}"


def groups_of(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


def split_username(name: str) -> tuple[str, str] | None:
    """(namespace, name) of a service account's user name; None when it is none."""
    parts = name.split(":")
    if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"] or not parts[2] or not parts[3]:
        return None
    return parts[2], parts[3]


@dataclass(frozen=True)
class Bound:
    """The objects that a token dies with: (name, uid) each."""

    pod: tuple[str, str] | None = None
    secret: tuple[str, str] | None = None
    node: tuple[str, str] | None = None


class Issuer:
    """Signs claims as the API server. One object for its life: `renew` gives it other keys."""

    def __init__(self, key: bytes, *, issuer: str = DEFAULT_AUDIENCE, audiences: Sequence[str] = (),
                 trusted: Sequence[PublicKey] = ()) -> None:
        self.issuer = issuer
        self.audiences = tuple(audiences) or (issuer,)
        self.renew(key, trusted)

    def renew(self, key: bytes, trusted: Sequence[PublicKey] = ()) -> None:
        """Sign with `key`, verify with that and all that are `trusted`, from now on."""
        self.signer = Signer(key)
        self.keys = {public.id: public for public in (self.signer.public, *trusted)}

    def token(self, account: Any, bound: Bound, *, audiences: Sequence[str], seconds: int, warn_after: int, now: datetime,
              jti: str) -> str:
        """A token for a ServiceAccount."""
        issued = int(now.timestamp())
        private: dict[str, Any] = {"namespace": account.metadata.namespace}
        if bound.node is not None:
            private["node"] = _ref(*bound.node)
        if bound.pod is not None:
            private["pod"] = _ref(*bound.pod)
        if bound.secret is not None:
            private["secret"] = _ref(*bound.secret)
        private["serviceaccount"] = _ref(account.metadata.name, account.metadata.uid)
        if warn_after:
            private["warnafter"] = issued + warn_after
        return self.signer.sign({
            "aud": list(audiences), "exp": issued + seconds, "iat": issued, "iss": self.issuer, "jti": jti,
            "kubernetes.io": private, "nbf": issued,
            "sub": username(account.metadata.namespace, account.metadata.name),
        })


def _ref(name: str, uid: str) -> dict[str, str]:
    return {"name": name, "uid": uid} if uid else {"name": name}


class ServiceAccountTokens:
    """Authenticates the tokens that our issuer signed (and those of Secrets, with the legacy issuer)."""

    def __init__(self, issuer: Issuer, readers: Readers, clock: Clock) -> None:
        self.issuer, self._clock = issuer, clock
        self._accounts, self._pods = readers.of(SERVICE_ACCOUNTS), readers.of(PODS)
        self._secrets, self._nodes = readers.of(SECRETS), readers.of(NODES)
        self._verified: dict[bytes, dict[str, Any]] = {}
        self._verified_by = issuer.keys
        self.used: Callable[[Secret], None] = lambda _secret: None
        """Told of each use of a token that a Secret holds."""

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """Whose it is.

        Raises:
            BadCredentials: We issued it, and it is not good any more.
        """
        claims = self._claims(token)
        if claims is None:
            return None
        if claims.get("iss") == LEGACY_ISSUER:
            return self._legacy(claims, token, audiences)
        asked = tuple(audiences)
        raw = claims.get("aud", ())
        own = (raw,) if isinstance(raw, str) else tuple(str(one) for one in raw)
        own = own or self.issuer.audiences
        good = tuple(one for one in own if one in asked)
        if not good:
            raise BadCredentials(f"token audiences {quoted(own)} is invalid for the target audiences {quoted(asked)}")
        return TokenAnswer(self._user(claims), good)

    def _claims(self, token: str) -> dict[str, Any] | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        if self._verified_by is not self.issuer.keys:
            # a key that was trusted may not be any more
            self._verified.clear()
            self._verified_by = self.issuer.keys
        if (known := self._verified.get(digest)) is not None:
            return known
        rumour = unverified_claims(token)
        if rumour is None or rumour.get("iss") not in (self.issuer.issuer, LEGACY_ISSUER):
            return None
        try:
            claims = verify(token, self.issuer.keys)
        except BadToken as error:
            raise BadCredentials(error.message) from error
        if len(self._verified) >= MOST_VERIFIED:
            self._verified.clear()
        self._verified[digest] = claims
        return claims

    def _user(self, claims: dict[str, Any]) -> User:
        now = self._clock.now()
        _check_times(claims, now)
        private = claims.get("kubernetes.io")
        if not isinstance(private, dict):
            raise BadCredentials("service account token claims could not be validated due to unexpected private claim")
        namespace = str(private.get("namespace", ""))
        name, uid = _named(private.get("serviceaccount"))
        self._check_account(namespace, name, uid, now)
        extra: dict[str, tuple[str, ...]] = {}
        if (jti := claims.get("jti")):
            extra[f"{_EXTRA}credential-id"] = (f"JTI={jti}",)
        node = private.get("node")
        if private.get("secret") is not None:
            self._check_secret(namespace, *_named(private["secret"]), now)
        if private.get("pod") is not None:
            pod, pod_uid = _named(private["pod"])
            self._check_live(self._pods.get(namespace, pod), pod_uid, "pod", now)
            extra[f"{_EXTRA}pod-name"], extra[f"{_EXTRA}pod-uid"] = (pod,), (pod_uid,)
        elif node is not None:
            self._check_live(self._nodes.get("", _named(node)[0]), _named(node)[1], "node", now)
        if node is not None:
            node_name, node_uid = _named(node)
            extra[f"{_EXTRA}node-name"] = (node_name,)
            if node_uid:
                extra[f"{_EXTRA}node-uid"] = (node_uid,)
        return User(username(namespace, name), uid, (*groups_of(namespace), AUTHENTICATED), extra)

    def _legacy(self, claims: dict[str, Any], token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """A token that a Secret of type kubernetes.io/service-account-token holds."""
        good = tuple(one for one in self.issuer.audiences if one in audiences)
        if not good:
            raise BadCredentials(f"token audiences {quoted(self.issuer.audiences)} is invalid for the target audiences "
                                 f"{quoted(audiences)}")
        part = "kubernetes.io/serviceaccount/"
        namespace, name = str(claims.get(f"{part}namespace", "")), str(claims.get(f"{part}service-account.name", ""))
        uid, secret = str(claims.get(f"{part}service-account.uid", "")), str(claims.get(f"{part}secret.name", ""))
        if claims.get("sub") != username(namespace, name) or not (namespace and name and uid and secret):
            raise BadCredentials("sub claim is missing or does not match the service account")
        now = self._clock.now()
        entry = self._secrets.get(namespace, secret)
        if entry is None or _leaving(entry.object, now) or entry.object.data.get("token") != token.encode():
            raise BadCredentials("service account token has been invalidated")
        self._check_account(namespace, name, uid, now)
        self.used(entry.object)
        if entry.object.metadata.labels.get(INVALID_SINCE):
            raise BadCredentials(
                f"the token in secret {namespace}/{secret} for service account {namespace}/{name} has been marked invalid. Use tokens from the "
                f"TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label from the secret to temporarily "
                "allow use of this token")
        return TokenAnswer(User(username(namespace, name), uid, (*groups_of(namespace), AUTHENTICATED)), good)

    def _check_account(self, namespace: str, name: str, uid: str, now: datetime) -> None:
        entry = self._accounts.get(namespace, name)
        if entry is None:
            raise BadCredentials(f'serviceaccounts "{name}" not found')
        if _leaving(entry.object, now):
            raise BadCredentials(f"service account {namespace}/{name} has been deleted")
        if entry.object.metadata.uid != uid:
            raise BadCredentials(f"service account UID ({entry.object.metadata.uid}) does not match claim ({uid})")

    def _check_secret(self, namespace: str, name: str, uid: str, now: datetime) -> None:
        entry = self._secrets.get(namespace, name)
        if entry is None or _leaving(entry.object, now):
            raise BadCredentials("service account token has been invalidated")
        if entry.object.metadata.uid != uid:
            raise BadCredentials(f"secret UID ({entry.object.metadata.uid}) does not match service account secret ref claim ({uid})")

    @staticmethod
    def _check_live(entry: Any, uid: str, what: str, now: datetime) -> None:
        if entry is None or _leaving(entry.object, now):
            raise BadCredentials("service account token has been invalidated")
        if entry.object.metadata.uid != uid:
            raise BadCredentials(f"{what} UID ({entry.object.metadata.uid}) does not match service account {what} ref claim ({uid})")


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    moment = now.timestamp()
    expires, starts = claims.get("exp"), claims.get("nbf")
    if isinstance(expires, int | float) and moment > expires + LEEWAY.total_seconds():
        raise BadCredentials("service account token has expired")
    if isinstance(starts, int | float) and moment < starts - LEEWAY.total_seconds():
        raise BadCredentials("service account token is not valid yet")


def _named(ref: Any) -> tuple[str, str]:
    return (str(ref.get("name", "")), str(ref.get("uid", ""))) if isinstance(ref, dict) else ("", "")


def _leaving(obj: Any, now: datetime) -> bool:
    """Whether an object has been deleted longer ago than clocks differ."""
    deleted = obj.metadata.deletionTimestamp
    return deleted is not None and deleted.moment() < now - LEEWAY


# --- serviceaccounts/token -------------------------------------------------------------------------------------------


def default_token_request(request: TokenRequest) -> None:
    """What the API fills in."""
    if request.spec.expirationSeconds is None:
        request.spec.expirationSeconds = DEFAULT_SECONDS


class TokenRequests:
    """The subresource `serviceaccounts/token`."""

    def __init__(self, issuer: ServiceAccountTokens, readers: Readers, clock: Clock, identity: Identity) -> None:
        self._tokens, self._readers, self._clock, self._identity = issuer, readers, clock, identity

    def prepare(self, namespace: str, name: str, request: TokenRequest) -> None:
        """Fill in and validate, in place; mutating admission comes before, validating admission after.

        Raises:
            NotFound: There is no such service account.
            Invalid: The request is not valid.
        """
        for path, found, wanted, word in (("name", request.metadata.name, name, "name"),
                                          ("namespace", request.metadata.namespace, namespace, "namespace")):
            if found and found != wanted:
                error = field.invalid(f"metadata.{path}", found, f"must match the service account {word} if specified")
                raise Invalid.of("TokenRequest", "authentication.k8s.io", name, [error])
        entry = self._readers.of(SERVICE_ACCOUNTS).get(namespace, name)
        if entry is None:
            raise NotFound.of("serviceaccounts", "", name)
        default_token_request(request)
        request.kind, request.apiVersion = "TokenRequest", "authentication.k8s.io/v1"
        request.spec.audiences = request.spec.audiences or list(self._tokens.issuer.audiences)
        request.metadata.name, request.metadata.namespace = name, namespace
        request.metadata.uid = entry.object.metadata.uid
        request.metadata.creationTimestamp = Time.of(self._clock.now())
        request.status = TokenRequestStatus()
        seconds = request.spec.expirationSeconds or 0
        if seconds < LEAST_SECONDS:
            raise _invalid_seconds(seconds, "may not specify a duration less than 10 minutes")
        if seconds > MOST_SECONDS:
            raise _invalid_seconds(seconds, "may not specify a duration larger than 2^32 seconds")

    def issue(self, namespace: str, name: str, request: TokenRequest) -> TokenRequest:
        """Put the token into a prepared request's status.

        Raises:
            ApiError: The account or the object to bind to is not there, or is another than was meant.
        """
        entry = self._readers.of(SERVICE_ACCOUNTS).get(namespace, name)
        if entry is None:
            raise NotFound.of("serviceaccounts", "", name)
        bound = self._bound(namespace, name, request.spec.boundObjectRef)
        asked = request.spec.expirationSeconds or DEFAULT_SECONDS
        issuer, now = self._tokens.issuer, self._clock.now()
        audiences = request.spec.audiences or list(issuer.audiences)
        seconds, warn_after = asked, 0
        if bound.pod is not None and asked == WARN_ONLY_SECONDS and set(audiences) <= set(issuer.audiences):
            seconds, warn_after = EXTENDED_SECONDS, asked
        token = issuer.token(entry.object, bound, audiences=audiences, seconds=seconds, warn_after=warn_after, now=now,
                             jti=self._identity.uid())
        request.status = TokenRequestStatus(token=token, expirationTimestamp=Time.of(now + timedelta(seconds=asked)))
        return request

    def _bound(self, namespace: str, account: str, ref: BoundObjectReference | None) -> Bound:
        if ref is None:
            return Bound()
        group = ref.apiVersion.rpartition("/")[0]
        if group == "" and ref.kind == "Pod":
            pod = self._find(PODS, namespace, ref)
            if pod.spec.serviceAccountName != account:
                raise BadRequest(f'cannot bind token for serviceaccount "{account}" to pod running with different '
                                 "serviceaccount name.")
            _check_uid(ref, pod)
            node = None
            if pod.spec.nodeName:
                entry = self._readers.of(NODES).get("", pod.spec.nodeName)
                node = (pod.spec.nodeName, entry.object.metadata.uid if entry is not None else "")
            return Bound(pod=(ref.name, pod.metadata.uid), node=node)
        if group == "" and ref.kind in ("Node", "Secret"):
            resource, where = (NODES, "") if ref.kind == "Node" else (SECRETS, namespace)
            obj = self._find(resource, where, ref)
            _check_uid(ref, obj)
            pair = (ref.name, obj.metadata.uid)
            return Bound(node=pair) if ref.kind == "Node" else Bound(secret=pair)
        version = ref.apiVersion.rpartition("/")[2]
        raise BadRequest(f"cannot bind token to object of type {group}/{version}, Kind={ref.kind}")

    def _find(self, resource: Any, namespace: str, ref: BoundObjectReference) -> Any:
        entry = self._readers.of(resource).get(namespace, ref.name)
        if entry is None:
            raise NotFound.of(resource.plural, resource.group, ref.name)
        return entry.object


def _check_uid(ref: BoundObjectReference, obj: Any) -> None:
    if ref.uid and ref.uid != obj.metadata.uid:
        raise Conflict.of(ref.kind, "", ref.name, f"the UID in the bound object reference ({ref.uid}) does not match the UID in "
                                                  "record. The object might have been deleted and then recreated")


def _invalid_seconds(seconds: int, why: str) -> Invalid:
    return Invalid.of("TokenRequest", "authentication.k8s.io", "", [field.invalid("spec.expirationSeconds", seconds, why)])


# --- OIDC discovery --------------------------------------------------------------------------------------------------


def openid_configuration(issuer: Issuer, jwks_uri: str = "") -> dict[str, Any]:
    """The body of `/.well-known/openid-configuration`."""
    return {
        "issuer": issuer.issuer, "jwks_uri": jwks_uri or f"{issuer.issuer}/openid/v1/jwks",
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.algorithm for key in issuer.keys.values()}),
    }


def jwks(issuer: Issuer) -> dict[str, Any]:
    """The body of `/openid/v1/jwks`."""
    return {"keys": [key.jwk() for key in issuer.keys.values()]}
