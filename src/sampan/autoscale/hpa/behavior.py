"""How fast and how far replicas may change: bounds, scaling policies, stabilisation windows. Pure but for its `History`.

Source: kube-controller-manager `podautoscaler/horizontal.go` (normalizeDesiredReplicas, …WithBehaviors), KEP-853.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sampan.api.autoscaling.v2 import HorizontalPodAutoscalerBehavior, HPAScalingRules

MOST_REPLICAS = 2**31 - 1
MOST_REMEMBERED = 1000  # recommendations of one autoscaler: a window of an hour (the longest) at one every 4 s


class Moment(NamedTuple):
    """A number of replicas (recommended, or changed by) and when."""

    at: datetime
    replicas: int


@dataclass
class History:
    """What one autoscaler remembers; lost with the process, as upstream's is."""

    recommendations: list[Moment] = field(default_factory=list)
    ups: list[Moment] = field(default_factory=list)
    downs: list[Moment] = field(default_factory=list)

    def began(self, replicas: int, now: datetime) -> None:
        """The first look: what is there counts as recommended."""
        if not self.recommendations:
            self.recommendations.append(Moment(now, replicas))

    def recommend(self, replicas: int, now: datetime, keep_seconds: float) -> None:
        """Remember a recommendation; those older than `keep_seconds` are forgotten."""
        oldest = now - timedelta(seconds=keep_seconds)
        self.recommendations = [*(one for one in self.recommendations if one.at >= oldest), Moment(now, replicas)][-MOST_REMEMBERED:]

    def since(self, now: datetime, seconds: float) -> list[int]:
        """What was recommended in the last `seconds`."""
        oldest = now - timedelta(seconds=seconds)
        return [one.replicas for one in self.recommendations if one.at > oldest]

    def before(self, current: int, period_seconds: int, now: datetime) -> int:
        """The replicas at the start of a period: what is there without what was changed since, up and down."""
        oldest = now - timedelta(seconds=period_seconds)
        added, taken = (sum(one.replicas for one in moments if one.at > oldest) for moments in (self.ups, self.downs))
        return current - added + taken

    def scaled(self, before: int, after: int, behavior: HorizontalPodAutoscalerBehavior | None, now: datetime) -> None:
        """Remember a change for as long as the longest policy asks after it."""
        if behavior is None or before == after:
            return
        rules = behavior.scaleUp if after > before else behavior.scaleDown
        longest = max((policy.periodSeconds for policy in rules.policies), default=0) if rules is not None else 0
        oldest = now - timedelta(seconds=longest)
        if after > before:
            self.ups = [*(one for one in self.ups if one.at >= oldest), Moment(now, after - before)]
        else:
            self.downs = [*(one for one in self.downs if one.at >= oldest), Moment(now, before - after)]


@dataclass(frozen=True)
class Wish:
    """What the metrics recommend, and the bounds of the spec."""

    current: int
    recommended: int
    least: int
    most: int
    behavior: HorizontalPodAutoscalerBehavior | None = None


@dataclass(frozen=True)
class Verdict:
    """The replicas to have, with reason and message of AbleToScale and ScalingLimited."""

    replicas: int
    able: tuple[str, str]
    limited: bool
    why: tuple[str, str]


READY = ("ReadyForNewScale", "recommended size matches current size")
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
DOWN_STABLE = ("ScaleDownStabilized",
               "recent recommendations were higher than current one, applying the highest recent recommendation")
UP_STABLE = ("ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")


def hold_back(wish: Wish, history: History, now: datetime, down_seconds: float) -> Verdict:
    """What becomes of a recommendation; it is remembered. `down_seconds`: the window where the spec names none."""
    if wish.behavior is None or wish.behavior.scaleUp is None or wish.behavior.scaleDown is None:
        stable, why_stable = _stable_down(wish, history, now, down_seconds)
        replicas, why = _within_default(wish, stable)
    else:
        stable, why_stable = _stable(wish, wish.behavior.scaleUp, wish.behavior.scaleDown, history, now, down_seconds)
        replicas, why = _within_rates(wish, wish.behavior.scaleUp, wish.behavior.scaleDown, history, now, stable)
    return Verdict(replicas, why_stable if stable != wish.recommended else READY, replicas != stable, why)


def _stable_down(wish: Wish, history: History, now: datetime, seconds: float) -> tuple[int, tuple[str, str]]:
    since = now - timedelta(seconds=seconds)
    recent = [one.replicas for one in history.recommendations if one.at >= since]
    history.recommend(wish.recommended, now, seconds)
    return max([wish.recommended, *recent]), DOWN_STABLE


def _stable(wish: Wish, up: HPAScalingRules, down: HPAScalingRules, history: History, now: datetime,
            down_seconds: float) -> tuple[int, tuple[str, str]]:
    down_window = down_seconds if down.stabilizationWindowSeconds is None else down.stabilizationWindowSeconds
    up_window = up.stabilizationWindowSeconds or 0
    # what is there stays while it lies between the lowest of the one window and the highest of the other
    lowest = min([wish.recommended, *history.since(now, up_window)])
    highest = max([wish.recommended, *history.since(now, down_window)])
    history.recommend(wish.recommended, now, max(up_window, down_window))
    return min(max(wish.current, lowest), highest), UP_STABLE if wish.recommended >= wish.current else DOWN_STABLE


def _within_default(wish: Wish, stable: int) -> tuple[int, tuple[str, str]]:
    fastest = max(2 * wish.current, 4)
    most, why = (fastest, UP_LIMIT) if wish.most > fastest else (wish.most, MANY)
    if stable < wish.least:
        return wish.least, FEW
    if stable > most:
        return most, why
    return stable, WITHIN


def _within_rates(wish: Wish, up: HPAScalingRules, down: HPAScalingRules, history: History, now: datetime,
                  stable: int) -> tuple[int, tuple[str, str]]:
    if stable > wish.current:
        fastest = max(up_limit(wish.current, up, history, now), wish.current)
        most, why = (fastest, UP_LIMIT) if wish.most > fastest else (wish.most, MANY)
        if stable > most:
            return most, why
    elif stable < wish.current:
        fastest = min(down_limit(wish.current, down, history, now), wish.current)
        least, why = (fastest, DOWN_LIMIT) if wish.least < fastest else (wish.least, FEW)
        if stable < least:
            return least, why
    return stable, WITHIN


def up_limit(current: int, rules: HPAScalingRules, history: History, now: datetime) -> int:
    """The most replicas that the policies allow now."""
    if rules.selectPolicy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = history.before(current, policy.periodSeconds, now)
        if policy.type == "Pods":
            limits.append(start + policy.value)
        else:
            # rounded up: a small percentage of few replicas still is one more
            limits.append(math.ceil(start * (1 + policy.value / 100)))
    if rules.selectPolicy == "Min":
        return min(limits, default=MOST_REPLICAS)
    return max(limits, default=0)


def down_limit(current: int, rules: HPAScalingRules, history: History, now: datetime) -> int:
    """The fewest replicas that the policies allow now."""
    if rules.selectPolicy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = history.before(current, policy.periodSeconds, now)
        limits.append(start - policy.value if policy.type == "Pods" else int(start * (1 - policy.value / 100)))
    if rules.selectPolicy == "Min":
        return max(limits, default=0)
    return min(limits, default=MOST_REPLICAS)
