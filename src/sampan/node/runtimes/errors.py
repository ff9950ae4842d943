"""What a runtime raises; each carries the word that a container's waiting state shows.

Source: kubelet's `images/types.go` and `container/sync_result.go` for the words.
"""

from __future__ import annotations

from sampan.lib.errors import SampanError


class RuntimeFault(SampanError):
    """A runtime refused or failed; `reason` is the word that a container's waiting state shows where there is one."""

    reason = "RuntimeFault"


class NotFound(RuntimeFault):
    """No such container, sandbox or image; whoever wanted it gone is content."""

    reason = "NotFound"


class NameTaken(RuntimeFault):
    """A sandbox or container of that pod, name and attempt exists: remove it or raise `attempt`."""

    reason = "NameTaken"


class Unavailable(RuntimeFault):
    """The runtime does not answer (dead, restarting): try again."""

    reason = "RuntimeUnavailable"


class Timeout(RuntimeFault):
    """The command or call did not end in the time it was given; a timed-out `exec_sync` has been killed."""

    reason = "DeadlineExceeded"


class ErrImagePull(RuntimeFault):
    """The image could not be pulled."""

    reason = "ErrImagePull"


class InvalidImageName(RuntimeFault):
    """The reference does not parse."""

    reason = "InvalidImageName"


class RegistryUnavailable(RuntimeFault):
    """The registry could not be reached."""

    reason = "RegistryUnavailable"


class CreateContainerError(RuntimeFault):
    """The runtime refused to make the container."""

    reason = "CreateContainerError"


class RunContainerError(RuntimeFault):
    """The container was made but could not be started (no such command, a missing device)."""

    reason = "RunContainerError"


class CreatePodSandboxError(RuntimeFault):
    """The sandbox could not be made (network plugin, cgroup, name); nothing of it is left but maybe its name."""

    reason = "CreatePodSandboxError"


class BadExec(RuntimeFault):
    """The command could not be started in the container, or the container does not run."""

    reason = "BadExec"
