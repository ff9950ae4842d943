"""APIServices."""

from __future__ import annotations

from kinds.core.making import created, findings
from sampan.api.resources import API_SERVICES
from sampan.kinds.apiregistration import api_service

LOCAL = {"metadata": {"name": "v1.x.example.com"}, "spec": {
    "group": "x.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}}


def test_what_this_server_serves_is_available() -> None:
    obj = created(API_SERVICES, LOCAL)
    assert [(one.type, one.status, one.reason) for one in obj.status.conditions] == [("Available", "True", "Local")]
    assert api_service.is_local(obj)
    assert findings(API_SERVICES, LOCAL) == []


def test_name_and_priorities_are_checked() -> None:
    body = {"metadata": {"name": "v1.x.example.com"}, "spec": {"group": "x.example.com", "version": "v2"}}
    assert findings(API_SERVICES, body) == [
        'metadata.name: Invalid value: "v1.x.example.com": must be `spec.version+"."+spec.group`: "v2.x.example.com"',
        "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
        "spec.versionPriority: Invalid value: 0: must be positive and less than 1000"]


def test_a_remote_one_needs_a_service_and_one_kind_of_trust() -> None:
    body = LOCAL | {"spec": LOCAL["spec"] | {"service": {}, "caBundle": "eA==", "insecureSkipTLSVerify": True}}
    assert findings(API_SERVICES, body) == [
        "spec.service.namespace: Required value", "spec.service.name: Required value",
        "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"]
    assert created(API_SERVICES, body).spec.service.port == 443
