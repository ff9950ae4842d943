"""Users that a front proxy names in headers: believed from a connection with a certificate of the proxies' authority.

Owns telling the proxies' certificates from the clients'. A certificate that an intermediate authority issued is not known
as either, since a connection shows its last one only.
Source: apiserver `pkg/authentication/request/{headerrequest/requestheader.go,x509/verify_options.go}`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from sampan.apiserver.auth.tokens import BadCredentials
from sampan.apiserver.request import RequestInfo, User
from sampan.lib import pki
from sampan.lib.clock import Clock
from sampan.lib.errors import ConfigError
from sampan.lib.memo import remembered

MOST_CERTIFICATES = 4096


@dataclass(frozen=True)
class RequestHeaders:
    """`--requestheader-*`. `client_ca` is PEM; no `names`: any certificate of the authority will do."""

    client_ca: bytes
    names: tuple[str, ...] = ()
    username: tuple[str, ...] = ("X-Remote-User",)
    uid: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("X-Remote-Group",)
    extra: tuple[str, ...] = ("X-Remote-Extra-",)


class Authority:
    """Who has issued a certificate directly."""

    def __init__(self, bundle: bytes, what: str = "the bundle of authorities") -> None:
        """As `read`; `what` is its name in messages."""
        self._what = what
        self.read(bundle)

    def read(self, bundle: bytes) -> None:
        """Take the authorities of a PEM bundle.

        Raises:
            ConfigError: There is no certificate in it.
        """
        from cryptography import x509

        try:
            self._authorities = x509.load_pem_x509_certificates(bundle)
        except ValueError:
            raise ConfigError(f"{self._what} is no bundle of certificates in PEM form") from None
        self._known: OrderedDict[bytes, bool] = OrderedDict()

    def issued(self, der: bytes) -> bool:
        """Whether one of the authorities has."""
        known = self._known.get(der)
        if known is None:
            known = self._known[der] = _issued(self._authorities, der)
            if len(self._known) > MOST_CERTIFICATES:
                self._known.popitem(last=False)
        return known


@remembered(maxsize=256, longest=8192)
def _facts(der: bytes) -> pki.Facts:
    return pki.facts_of(der)


def _issued(authorities: list[Any], der: bytes) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    certificate = x509.load_der_x509_certificate(der)
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue  # another's
        return True
    return False


class HeaderUsers:
    """Keeps the contract of `Authenticator`."""

    def __init__(self, settings: RequestHeaders, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._authority = Authority(settings.client_ca, "the file of --requestheader-client-ca-file")
        self._extra = tuple(prefix.lower() for prefix in settings.extra)

    async def authenticate(self, request: RequestInfo) -> User | None:
        """Whom the headers name; None where there is no certificate, it is a client's, or no header names anybody.

        Raises:
            BadCredentials: The certificate is the proxies' authority's, and not good for this.
        """
        der = request.peer_certificate
        if not der or not self._authority.issued(der):
            return None
        self._check(der)
        headers = request.headers
        name = next((value for one in self._settings.username if (value := headers.get(one.lower(), "").partition("\n")[0])), "")
        if not name:
            return None
        uid = next((value for one in self._settings.uid if (value := headers.get(one.lower(), "").partition("\n")[0])), "")
        groups = tuple(value for one in self._settings.groups for value in headers.get(one.lower(), "").split("\n") if value)
        return User(name, uid, groups, self._extras(request))

    def _check(self, der: bytes) -> None:
        facts = _facts(der)
        if not facts.not_before <= self._clock.now() <= facts.not_after:
            raise BadCredentials("x509: certificate has expired or is not yet valid")
        if self._settings.names and facts.names.common_name not in self._settings.names:
            raise BadCredentials(f"x509: subject with cn={facts.names.common_name} is not in the allowed list")

    def _extras(self, request: RequestInfo) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for header, value in request.headers.items():
            for prefix in self._extra:
                if header.startswith(prefix) and len(header) > len(prefix):
                    key = unquote(header[len(prefix):])
                    found[key] = (*found.get(key, ()), *value.split("\n"))
        return found
