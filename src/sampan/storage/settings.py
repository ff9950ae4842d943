"""The settings of volume controllers, by upstream's flag names: what `all` reads of the controllers' settings."""

from __future__ import annotations

from typing import Protocol


class StorageSettings(Protocol):
    """Durations in seconds."""

    @property
    def pvclaimbinder_sync_period(self) -> float:
        """How often claims and volumes that wait are looked at."""
        ...

    @property
    def enable_dynamic_provisioning(self) -> bool:
        """Claims may have volumes made."""
        ...

    @property
    def enable_hostpath_provisioner(self) -> bool:
        """Directories of this machine are made into volumes: for one machine only."""
        ...

    @property
    def disable_force_detach_on_timeout(self) -> bool:
        """Volumes stay attached to nodes that are not ready, however long."""
        ...
