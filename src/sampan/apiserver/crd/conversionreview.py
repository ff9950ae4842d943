"""ConversionReview: what a conversion webhook is asked, and what of its answer is believed. Pure.

Of the metadata a webhook changes labels and annotations only; everything else is kept as it was.
Source: apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sampan.api import codec, goprint
from sampan.api.meta.v1 import ObjectMeta
from sampan.apiserver import metadata

GROUP = "apiextensions.k8s.io"
KNOWN = ("v1", "v1beta1")

Object = dict[str, Any]


class Unconvertible(Exception):
    """The webhook's answer is none, or it says that it can't."""


def version_of(versions: Sequence[str]) -> str:
    """The first review version that both sides know.

    Raises:
        Unconvertible: There is none.
    """
    for version in versions:
        if version in KNOWN:
            return version
    raise Unconvertible("no supported conversion review versions")


def render(version: str, uid: str, desired: str, objects: Sequence[Object]) -> bytes:
    """The request."""
    return codec.encode({"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}",
                         "request": {"uid": uid, "desiredAPIVersion": desired, "objects": list(objects)}})


def failed(obj: Object, why: str) -> Unconvertible:
    """`conversion webhook for example.com/v1, Kind=Gear …`."""
    return Unconvertible(f"conversion webhook for {obj.get('apiVersion', '')}, Kind={obj.get('kind', '')} {why}")


def read(version: str, uid: str, body: bytes) -> list[Any]:
    """The converted objects as they came.

    Raises:
        Unconvertible: The answer is no review, another's, or says that it failed.
    """
    try:
        review = codec.loads(body)
    except (codec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unconvertible(f"the answer is no JSON: {error}") from None
    if not isinstance(review, dict):
        raise Unconvertible("the answer is no object")
    wanted, got = f"{GROUP}/{version}", (review.get("apiVersion", ""), review.get("kind", ""))
    if version == "v1" and got != (wanted, "ConversionReview"):
        raise Unconvertible(f"expected webhook response of {wanted}, Kind=ConversionReview, got {got[0] or '/'}, Kind={got[1]}")
    response = review.get("response")
    if not isinstance(response, dict):
        raise Unconvertible("no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise Unconvertible(f"expected response.uid={goprint.quote(uid)}, got {goprint.quote(str(response.get('uid') or ''))}")
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        raise Unconvertible(str(result.get("message") or "") or f"response.result.status was '{result.get('status') or ''}', not 'Success'")
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


def checked(original: Object, new: Any, desired: str) -> Object:
    """The converted object with the metadata of the original, `kind`, `apiVersion` and `metadata` first.

    Raises:
        Unconvertible: It is another object, of another version, or has labels or annotations that can't be.
    """
    if not isinstance(new, dict):
        raise Unconvertible("invalid object: it is no JSON object")
    if new.get("apiVersion") != desired:
        raise Unconvertible(f"invalid groupVersion (expected {desired}, received {new.get('apiVersion', '')})")
    if new.get("kind") != original.get("kind"):
        raise Unconvertible(f"invalid kind (expected {original.get('kind', '')}, received {new.get('kind', '')})")
    was, meta = original.get("metadata") or {}, new.get("metadata")
    if meta is None:
        raise Unconvertible("missing metadata in converted object")
    if not isinstance(meta, dict):
        raise Unconvertible("invalid metadata in converted object: it is no JSON object")
    for name, shown in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if (was.get(name) or "") != (meta.get(name) or ""):
            raise Unconvertible(f"must have the same {shown}: {was.get(name) or ''} != {meta.get(name) or ''}")
    kept = codec.loads(codec.encode(was))
    for name in ("labels", "annotations"):
        _take(kept, meta, name)
    rest = {key: value for key, value in new.items() if key not in ("kind", "apiVersion", "metadata")}
    return {"kind": new["kind"], "apiVersion": desired, "metadata": kept, **rest}


def _take(kept: Object, meta: Object, name: str) -> None:
    given = meta.get(name)
    if given is None:
        kept.pop(name, None)
        return
    if not isinstance(given, dict):
        raise Unconvertible(f"invalid metadata.{name} in converted object: it is no JSON object")
    for key, value in given.items():
        if not isinstance(value, str):
            raise Unconvertible(f"metadata.{name}[{key}] must be a string in converted object")
    if given != (kept.get(name) or {}):
        probe = ObjectMeta(name="x")
        setattr(probe, name, given)
        if found := metadata.validate_meta(probe, namespaced=False, name_check=lambda _: ()):
            raise Unconvertible(", ".join(str(one) for one in found))
    kept[name] = given
