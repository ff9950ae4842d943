"""The flow schemas and priority levels that every server has, whose specs are fixed.

Source: kubernetes `pkg/apis/flowcontrol/internalbootstrap`, apiserver `pkg/apis/flowcontrol/bootstrap`.
"""

from __future__ import annotations

from sampan.api.flowcontrol.v1 import (
    FlowDistinguisherMethod,
    FlowSchemaSpec,
    GroupSubject,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    PriorityLevelConfigurationReference,
    PriorityLevelConfigurationSpec,
    ResourcePolicyRule,
    Subject,
)


def _everything(*groups: str) -> PolicyRulesWithSubjects:
    return PolicyRulesWithSubjects(
        subjects=[Subject(kind="Group", group=GroupSubject(name=name)) for name in groups],
        resourceRules=[ResourcePolicyRule(verbs=["*"], apiGroups=["*"], resources=["*"], clusterScope=True, namespaces=["*"])],
        nonResourceRules=[NonResourcePolicyRule(verbs=["*"], nonResourceURLs=["*"])],
    )


FLOW_SCHEMAS = {
    "exempt": FlowSchemaSpec(
        priorityLevelConfiguration=PriorityLevelConfigurationReference(name="exempt"), matchingPrecedence=1,
        rules=[_everything("system:masters")]),
    "catch-all": FlowSchemaSpec(
        priorityLevelConfiguration=PriorityLevelConfigurationReference(name="catch-all"), matchingPrecedence=10000,
        distinguisherMethod=FlowDistinguisherMethod(type="ByUser"),
        rules=[_everything("system:unauthenticated", "system:authenticated")]),
}

CATCH_ALL_LEVEL = PriorityLevelConfigurationSpec(type="Limited", limited=LimitedPriorityLevelConfiguration(
    nominalConcurrencyShares=5, lendablePercent=0, limitResponse=LimitResponse(type="Reject")))
