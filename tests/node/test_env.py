"""Environment: expansion, references, precedence, Service links."""

from __future__ import annotations

import pytest

from sampan.api.core.v1 import (
    ConfigMap,
    ConfigMapEnvSource,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    Pod,
    PodSpec,
    ResourceFieldSelector,
    ResourceRequirements,
    Secret,
    SecretKeySelector,
    Service,
    ServicePort,
    ServiceSpec,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Quantity
from sampan.node.env import ConfigProblem, Sources, environment, expand
from sampan.node.fieldref import NodeFacts

FACTS = NodeFacts("node-1", ("192.0.2.7",), {"cpu": 2000, "memory": 4 << 30})
CONFIG = ConfigMap(metadata=ObjectMeta(name="settings"), data={"LEVEL": "debug", "both": "from config"})
SECRET = Secret(metadata=ObjectMeta(name="keys"), data={"word": b"ahoy"})
SERVICE = Service(metadata=ObjectMeta(name="my-db", namespace="default"),
                  spec=ServiceSpec(clusterIP="10.96.0.9", ports=[ServicePort(name="sql", port=5432, protocol="TCP")]))
SOURCES = Sources(
    config_map=lambda _ns, name: CONFIG if name == "settings" else None,
    secret=lambda _ns, name: SECRET if name == "keys" else None,
    services=lambda namespace: [SERVICE] if namespace == "default" else [],
)


def of(*env: EnvVar, env_from: tuple[EnvFromSource, ...] = (), **container: object) -> dict[str, str]:
    made = Container(name="web", env=list(env), envFrom=list(env_from), **container)  # type: ignore[arg-type]
    pod = Pod(metadata=ObjectMeta(name="web-0", namespace="default"), spec=PodSpec(containers=[made]))
    return environment(pod, made, SOURCES, FACTS)


@pytest.mark.parametrize(("text", "result"), [
    ("$(A)-$(A)", "1-1"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("$(A", "$(A"), ("$", "$"), ("a$b", "a$b"), ("$$$(A)", "$1")])
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "1"}) == result


def test_later_variables_may_use_earlier_ones() -> None:
    env = of(EnvVar(name="HOST", value="db"), EnvVar(name="URL", value="tcp://$(HOST):$(MY_DB_SERVICE_PORT)"))
    assert env["URL"] == "tcp://db:5432"


def test_env_overrides_env_from_and_both_override_service_links() -> None:
    env = of(EnvVar(name="both", value="own"), env_from=(EnvFromSource(configMapRef=ConfigMapEnvSource(name="settings")),))
    assert (env["both"], env["LEVEL"]) == ("own", "debug")


def test_references() -> None:
    env = of(
        EnvVar(name="WORD", valueFrom=EnvVarSource(secretKeyRef=SecretKeySelector(name="keys", key="word"))),
        EnvVar(name="NAME", valueFrom=EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath="metadata.name"))),
        EnvVar(name="CPU", valueFrom=EnvVarSource(resourceFieldRef=ResourceFieldSelector(resource="limits.cpu", divisor=Quantity("1m")))),
        EnvVar(name="MEM", valueFrom=EnvVarSource(resourceFieldRef=ResourceFieldSelector(resource="limits.memory"))),
        resources=ResourceRequirements(limits={"cpu": Quantity("250m")}))
    assert (env["WORD"], env["NAME"], env["CPU"], env["MEM"]) == ("ahoy", "web-0", "250", str(4 << 30))


def test_a_missing_key_is_told_unless_it_is_optional() -> None:
    missing = SecretKeySelector(name="keys", key="nothing")
    with pytest.raises(ConfigProblem, match="couldn't find key nothing in Secret default/keys"):
        of(EnvVar(name="X", valueFrom=EnvVarSource(secretKeyRef=missing)))
    missing.optional = True
    assert "X" not in of(EnvVar(name="X", valueFrom=EnvVarSource(secretKeyRef=missing)))


def test_service_links_have_upstreams_names() -> None:
    env = of()
    assert env["MY_DB_SERVICE_HOST"] == "10.96.0.9"
    assert env["MY_DB_SERVICE_PORT_SQL"] == "5432"
    assert env["MY_DB_PORT_5432_TCP"] == "tcp://10.96.0.9:5432"


@pytest.mark.parametrize("source", [
    EnvVarSource(resourceFieldRef=ResourceFieldSelector(resource="limits")),
    EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath="status.nothing")),
])
def test_a_field_that_there_is_not_is_told(source: EnvVarSource) -> None:
    container = Container(name="main", env=[EnvVar(name="X", valueFrom=source)])
    with pytest.raises(ConfigProblem, match="unsupported"):
        environment(Pod(spec=PodSpec(containers=[container])), container, SOURCES, FACTS)
