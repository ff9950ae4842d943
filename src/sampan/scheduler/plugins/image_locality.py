"""ImageLocality: nodes that have the images already are better, the more the larger. Source: `plugins/imagelocality`."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Plugin
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Snapshot

LEAST_BYTES, MOST_BYTES_EACH = 23 * 1024 * 1024, 1000 * 1024 * 1024


def normalized(image: str) -> str:
    """The name as nodes report it: with a tag."""
    return image if ":" in image.rsplit("/", 1)[-1] else f"{image}:latest"


class ImageLocality(Plugin):
    name = "ImageLocality"

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        version = (snapshot.image_generation, len(snapshot.alive))
        known = pod.cache.get("images")
        if known is None or known[0] != version:
            known = pod.cache["images"] = (version, self._scores(pod, snapshot))
        found: Float | None = known[1]
        return found

    @staticmethod
    def _scores(pod: Shape, snapshot: Snapshot) -> Float | None:
        spec = pod.pod.spec
        images = [one.image for one in (*spec.initContainers, *(spec.containers or ()))]
        containers = len(images)
        images += [volume.image.reference for volume in spec.volumes if volume.image is not None]
        total = np.zeros(len(snapshot.alive), np.float64)
        nodes = max(len(snapshot), 1)
        for image in images:
            found = snapshot.images.get(normalized(image), {})
            for row, size in found.items():
                total[row] += int(size * (len(found) / nodes))
        most = MOST_BYTES_EACH * containers
        if not total.any():
            return None
        out: Float = np.floor(100.0 * (np.clip(total, LEAST_BYTES, most) - LEAST_BYTES) / (most - LEAST_BYTES))
        return out
