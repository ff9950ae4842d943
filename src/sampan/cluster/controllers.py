"""Every controller of the cluster: the lists of the packages that have some, joined."""

from __future__ import annotations

from sampan.autoscale.all import ALL as AUTOSCALE
from sampan.control.controller import ControllerEntry
from sampan.controllers.all import ALL as CONTROLLERS
from sampan.storage.all import ALL as STORAGE

ALL: tuple[ControllerEntry, ...] = (*CONTROLLERS, *STORAGE, *AUTOSCALE)
