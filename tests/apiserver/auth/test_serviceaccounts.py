from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt as jose
from joserfc.jwk import KeySet

from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.authentication.v1 import TokenRequest
from sampan.api.errors import ApiError, BadRequest, Conflict, Invalid, NotFound
from sampan.api.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from sampan.apiserver.auth.jwt import Signer, read_public_key
from sampan.apiserver.auth.serviceaccounts import (
    Issuer,
    ServiceAccountTokens,
    TokenRequests,
    jwks,
    openid_configuration,
)
from sampan.apiserver.auth.tokens import BadCredentials, TokenUnion
from sampan.lib import pki
from sampan.lib.clock import Identity

NOW = datetime(2026, 5, 1, tzinfo=UTC)
API = "https://kubernetes.default.svc"


class At:
    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


class World:
    """A service account, a pod of it on a node, and who issues tokens for them."""

    def __init__(self, key: bytes = b"") -> None:
        self.clock, self.readers = At(), MemoryReaders()
        self.issuer = Issuer(key or pki.new_signing_key())
        self.tokens = ServiceAccountTokens(self.issuer, self.readers, self.clock)
        self.requests = TokenRequests(self.tokens, self.readers, self.clock, Identity(random.Random(1)))
        self.account = self.readers.put(SERVICE_ACCOUNTS, {"metadata": {"name": "robot"}}, "a")
        self.node = self.readers.put(NODES, {"metadata": {"name": "n1"}})
        self.pod = self.readers.put(PODS, {"metadata": {"name": "p"}, "spec": {
            "containers": [], "nodeName": "n1", "serviceAccountName": "robot"}}, "a")

    def request(self, **spec: Any) -> TokenRequest:
        body = codec.convert(TokenRequest, {"metadata": {}, "spec": spec})
        self.requests.prepare("a", "robot", body)
        return self.requests.issue("a", "robot", body)

    def token(self, **spec: Any) -> str:
        return self.request(**spec).status.token

    def who(self, token: str, audiences: tuple[str, ...] = (API,)) -> Any:
        return asyncio.run(TokenUnion([self.tokens]).authenticate_token(token, audiences))

    def why_not(self, token: str, audiences: tuple[str, ...] = (API,)) -> str:
        with pytest.raises(BadCredentials) as caught:
            self.who(token, audiences)
        return caught.value.why


POD = {"apiVersion": "v1", "kind": "Pod", "name": "p"}


def test_a_token_names_its_account() -> None:
    world = World()
    body = world.request()
    assert (body.metadata.name, body.metadata.namespace, body.metadata.uid) == ("robot", "a", world.account.metadata.uid)
    assert (body.spec.expirationSeconds, body.spec.audiences) == (3600, [API])
    assert body.status.expirationTimestamp == "2026-05-01T01:00:00Z"
    user, audiences = world.who(body.status.token)
    assert user.name == "system:serviceaccount:a:robot"
    assert user.uid == world.account.metadata.uid
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    assert audiences == (API,)


def test_a_bound_token_tells_pod_and_node() -> None:
    world = World()
    user, _ = world.who(world.token(boundObjectRef=POD))
    extra = {key.partition("/")[2]: values[0] for key, values in user.extra.items()}
    assert (extra["pod-name"], extra["node-name"]) == ("p", "n1")
    assert (extra["pod-uid"], extra["node-uid"]) == (world.pod.metadata.uid, world.node.metadata.uid)


def test_another_library_reads_our_tokens_by_our_published_keys() -> None:
    world = World()
    keys = KeySet.import_key_set(json.loads(json.dumps(jwks(world.issuer))))
    claims = jose.decode(world.token(boundObjectRef=POD), keys, algorithms=["ES256"]).claims
    assert claims["iss"] == API
    assert claims["sub"] == "system:serviceaccount:a:robot"
    assert claims["kubernetes.io"]["pod"] == {"name": "p", "uid": world.pod.metadata.uid}
    assert openid_configuration(world.issuer)["id_token_signing_alg_values_supported"] == ["ES256"]


def test_a_token_dies_with_its_account_its_pod_and_its_time() -> None:
    world = World()
    token, bound = world.token(), world.token(boundObjectRef=POD)
    world.who(bound)
    world.readers.of(PODS).remove("a", "p")
    assert world.why_not(bound) == "[invalid bearer token, service account token has been invalidated]"
    world.who(token)
    world.clock.moment = NOW + timedelta(hours=1, minutes=2)
    assert world.why_not(token) == "[invalid bearer token, service account token has expired]"
    world.clock.moment = NOW
    world.readers.of(SERVICE_ACCOUNTS).remove("a", "robot")
    assert world.why_not(token) == '[invalid bearer token, serviceaccounts "robot" not found]'
    again = codec.clone(world.account)
    again.metadata.uid = "another"
    world.readers.put(SERVICE_ACCOUNTS, again)
    assert "service account UID (another) does not match claim" in world.why_not(token)


def test_the_usual_projected_token_outlives_its_time_and_warns() -> None:
    world = World()
    body = world.request(expirationSeconds=3607, boundObjectRef=POD)
    assert body.status.expirationTimestamp == "2026-05-01T01:00:07Z"
    world.clock.moment = NOW + timedelta(days=100)
    world.who(body.status.token)


def test_audiences_are_kept_apart() -> None:
    world = World()
    token = world.token(audiences=["vault"])
    assert world.who(token, ("vault", "x")).audiences == ("vault",)
    assert world.why_not(token) == (
        f'[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["{API}"]]')


def test_a_forged_token_is_nobodys() -> None:
    world, other = World(), World()
    head, body, signature = world.token().split(".")
    bent = body[:-2] + ("A" if body[-2] != "A" else "B") + body[-1]
    assert world.why_not(other.token()) == "[invalid bearer token, invalid signature, no keys found]"
    assert "invalid bearer token" in world.why_not(f"{head}.{bent}.{signature}")
    none = Signer(pki.new_signing_key()).sign({"iss": API}).split(".")
    import base64
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert "invalid bearer token" in world.why_not(f"{header}.{none[1]}.")
    assert world.why_not("a.b.c") == "invalid bearer token"


def test_rotation_keeps_old_tokens_good_while_their_key_is_trusted() -> None:
    world = World()
    token = world.token()
    world.issuer.renew(pki.new_signing_key(), [world.issuer.signer.public])
    assert len(jwks(world.issuer)["keys"]) == 2
    world.who(token)
    world.who(world.token())
    world.issuer.renew(pki.new_signing_key())
    assert world.why_not(token) == "[invalid bearer token, invalid signature, no keys found]"


def test_an_rsa_key_signs_as_well() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    pem = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    world = World(pem)
    world.who(world.token())
    assert read_public_key(pem).jwk()["alg"] == "RS256"


@pytest.mark.parametrize(("spec", "error", "text"), [
    ({"expirationSeconds": 5}, Invalid, "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes"),
    ({"expirationSeconds": 2**32 + 1}, Invalid, "may not specify a duration larger than 2^32 seconds"),
    ({"boundObjectRef": {**POD, "name": "none"}}, NotFound, 'pods "none" not found'),
    ({"boundObjectRef": {**POD, "uid": "other"}}, Conflict, "does not match the UID in record"),
    ({"boundObjectRef": {**POD, "kind": "ConfigMap"}}, BadRequest, "cannot bind token to object of type /v1, Kind=ConfigMap"),
])
def test_a_request_that_makes_no_sense_is_refused(spec: dict[str, Any], error: type[ApiError], text: str) -> None:
    with pytest.raises(error) as caught:
        World().request(**spec)
    assert text in caught.value.message


def test_a_token_is_not_bound_to_another_accounts_pod() -> None:
    world = World()
    world.readers.put(PODS, {"metadata": {"name": "q"}, "spec": {"containers": [], "serviceAccountName": "x"}}, "a")
    with pytest.raises(BadRequest, match="running with different serviceaccount name"):
        world.token(boundObjectRef={**POD, "name": "q"})


def test_a_secrets_token_is_good_while_the_secret_holds_it() -> None:
    world = World()
    part = "kubernetes.io/serviceaccount/"
    token = world.issuer.signer.sign({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:a:robot", f"{part}namespace": "a",
        f"{part}secret.name": "s", f"{part}service-account.name": "robot", f"{part}service-account.uid": world.account.metadata.uid})
    assert world.why_not(token) == "[invalid bearer token, service account token has been invalidated]"
    import base64
    world.readers.put(SECRETS, {"metadata": {"name": "s"}, "data": {"token": base64.b64encode(token.encode()).decode()}}, "a")
    assert world.who(token).user.name == "system:serviceaccount:a:robot"
