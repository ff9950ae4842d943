from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, pod
from sampan.api import codec
from sampan.api.resources import PODS
from sampan.apiserver.admission.default_toleration_seconds import KEYS, DefaultTolerationSeconds

BOTH = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} for key in KEYS]


@pytest.mark.parametrize(("own", "added"), [
    ([], BOTH),
    ([{"key": KEYS[0], "operator": "Exists"}], BOTH[1:]),
    ([{"key": KEYS[1], "operator": "Exists", "effect": "NoExecute"}], BOTH[:1]),
    ([{"key": KEYS[0], "operator": "Exists", "effect": "NoSchedule"}], BOTH),
    ([{"operator": "Exists"}], []),
    ([{"operator": "Exists", "effect": "NoSchedule"}], BOTH),
])
def test_what_is_not_tolerated_is_for_five_minutes(own: list[dict[str, Any]], added: list[dict[str, Any]]) -> None:
    request = admit(DefaultTolerationSeconds(), ask("CREATE", PODS, pod(tolerations=own)))
    assert codec.to_builtins(request.object.spec.tolerations) == own + added
