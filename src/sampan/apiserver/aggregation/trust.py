"""What API servers behind ours must know to believe who we say is asking: keys of a config map in kube-system.

Source: kubernetes `pkg/controlplane/controller/clusterauthenticationtrust`.
"""

from __future__ import annotations

import json

CLIENT_NAME = "front-proxy-client"
"""Whom the certificate names that we show."""


def published(authority: bytes) -> dict[str, str]:
    """The `requestheader-*` keys of `extension-apiserver-authentication`; none without an authority (PEM)."""
    if not authority:
        return {}
    lists = {"username-headers": "X-Remote-User", "uid-headers": "X-Remote-Uid", "group-headers": "X-Remote-Group",
             "extra-headers-prefix": "X-Remote-Extra-", "allowed-names": CLIENT_NAME}
    return {f"requestheader-{key}": json.dumps([value]) for key, value in lists.items()} | {"requestheader-client-ca-file": authority.decode()}
