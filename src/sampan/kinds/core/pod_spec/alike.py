"""Specs of pods that come from one template: what holds for one of them holds for all.

Owns the text that such pods share, by which it is known that there is nothing to say of a spec (`sampan.lib.memo.Passed`): controllers
make thousands of pods from one template, and admission gives each a volume for its token whose name ends at random.
"""

from __future__ import annotations

import re

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.kinds.core.pod_spec.marks import MIRROR

MOST, LONGEST_BYTES = 256, 8 * 1024
"""How many texts are worth keeping, and how long each may be."""

_TOKEN_VOLUME = re.compile(rb'"(kube-api-access-[0-9a-z]{5})"')
_OF_POD = b'"ephemeral":'  # such volumes' claims have the pod's name in theirs


def text_of(pod: Pod) -> bytes:
    """The pod's spec as a text that is the same for all pods about whose specs the same is found; empty where more than the spec counts.

    The name of the token's volume gives way to what no JSON has, if all that stands for it is whole strings: as every such name is as
    good as another, what matters is only where it stands.
    """
    if MIRROR in pod.metadata.annotations:
        return b""
    text = codec.encode(pod.spec)
    if _OF_POD in text:
        return b""
    found = _TOKEN_VOLUME.search(text)
    if found is None:
        return text
    shared = text.replace(found[0], b'"\0"')
    return text if found[1] in shared else shared
