"""How Go prints what stands in an autoscaler's messages. Pure. Source: apimachinery `meta/v1/generated.pb.go` (String)."""

from __future__ import annotations

from sampan.api.meta.v1 import LabelSelector


def selector_as_go(selector: LabelSelector | None) -> str:
    """A selector as Go prints a pointer to one, as it stands in messages."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted(selector.matchLabels.items()))
    listed = "".join(f"LabelSelectorRequirement{{Key:{one.key},Operator:{one.operator},Values:[{' '.join(one.values)}],}},"
                     for one in selector.matchExpressions)
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{listed}}},}}"
