"""What `sampan why` asks: reads a cluster over its API and explains one pod as its scheduler would see it."""

from __future__ import annotations

from pathlib import Path

from sampan.client import kubeconfig
from sampan.client.base import Client
from sampan.client.remote import RemoteClient
from sampan.scheduler.config import DEFAULT, SchedulerSettings, read_settings
from sampan.scheduler.why import explain, observe, render


async def report(access: Path | None, config: Path | None, namespace: str, name: str) -> tuple[int, str]:
    """The exit code and the text; see `explain_pod`.

    Raises:
        ConfigError: A file cannot be used.
        ApiError: The cluster cannot be read.
    """
    settings = read_settings(config) if config is not None else SchedulerSettings({DEFAULT.name: DEFAULT})
    client = RemoteClient(kubeconfig.read(access))
    try:
        return await explain_pod(client, settings, namespace, name)
    finally:
        await client.close()


async def explain_pod(client: Client, settings: SchedulerSettings, namespace: str, name: str) -> tuple[int, str]:
    """0 and text when the pod runs or could; 1 when no node takes it; 3 when it is not there."""
    snapshot, pods = await observe(client)
    title = f"pod {namespace}/{name}"
    pod = next((one for one in pods if (one.metadata.namespace, one.metadata.name) == (namespace, name)), None)
    if pod is None:
        return 3, f"{title}: there is no such pod"
    if pod.spec.nodeName:
        return 0, f"{title}: is on {pod.spec.nodeName}"
    if pod.spec.schedulingGates:
        return 1, f"{title}: waits for its scheduling gates: {', '.join(one.name for one in pod.spec.schedulingGates)}"
    profile = settings.profiles.get(pod.spec.schedulerName or DEFAULT.name)
    if profile is None:
        return 1, f"{title}: waits for the scheduler {pod.spec.schedulerName}, which is not among {', '.join(settings.profiles)}"
    why = explain(pod, snapshot, profile)
    return (0 if why.fits else 1), render(title, why)
