"""ImageLocality: nodes that have the images already are better, the more the larger. Source: `plugins/imagelocality`."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.snapshot import Float, Mask, PodShape, Snapshot

LEAST_BYTES, MOST_BYTES_EACH = 23 * 1024 * 1024, 1000 * 1024 * 1024


def normalized(image: str) -> str:
    """The name as nodes report it: with a tag."""
    return image if ":" in image.rsplit("/", 1)[-1] else f"{image}:latest"


class ImageLocality:
    name = "ImageLocality"

    def score(self, pod: PodShape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        containers = [*pod.pod.spec.initContainers, *(pod.pod.spec.containers or ())]
        total = np.zeros(len(snapshot.alive), np.float64)
        nodes = max(len(snapshot), 1)
        for container in containers:
            found = snapshot.images.get(normalized(container.image), {})
            for row, size in found.items():
                total[row] += size * len(found) / nodes
        if not total.any():
            return None
        most = MOST_BYTES_EACH * len(containers)
        out: Float = np.floor(100.0 * (np.clip(total, LEAST_BYTES, most) - LEAST_BYTES) / (most - LEAST_BYTES))
        return out
