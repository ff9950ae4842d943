"""What is planted: `(file below src/sampan, text that is there once, what stands there instead, test files of which one must fail)`.

To add one: copy a line that matters, turn it round, name the tests that guard it, and run
`python tests/mutations/plant.py PART-OF-THE-FILE'S-NAME`. Tests are below `tests/`.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """One mistake, and who must notice."""

    file: str
    text: str
    instead: str
    tests: tuple[str, ...]


def _in(folder: str, *planted: tuple[str, str, str, str]) -> tuple[Mutation, ...]:
    return tuple(Mutation(f"{folder}/{file}".lstrip("/"), text, instead, tuple(tests.split())) for file, text, instead, tests in planted)


CONTROLLERS = _in(
    "controllers",
    ("replicaset/decide.py", "if surplus < 0:", "if surplus < -1:", "controllers/replicaset"),
    ("replicaset/decide.py", "return Plan((Create(PODS, pod),) * min(-surplus, BURST))", "return Plan((Create(PODS, pod),))", "controllers/replicaset"),
    ("deployment/decide.py", "find_new(deployment, sets), deployment.metadata.deletionTimestamp is not None",
     "find_new(deployment, sets), deployment.metadata.deletionTimestamp is None", "controllers/deployment"),
    ("statefulset/decide.py", 'return self.sts.spec.podManagementPolicy != "Parallel"', "return False", "controllers/statefulset"),
    ("statefulset/decide.py", 'if pod.status.phase in ("Failed", "Succeeded"):', 'if pod.status.phase == "Succeeded":', "controllers/statefulset"),
    ("job/decide.py", "elif state.failed > _limit(job)", "elif state.failed >= _limit(job)", "controllers/job"),
    ("job/decide.py", "else state.succeeded >= completions", "else state.succeeded > completions", "controllers/job"),
    ("statefulset/decide.py", "or pod.metadata.name in step.deleted or is_unavailable(step.sts, pod, step.now):", "or pod.metadata.name in step.deleted:",
     "controllers/statefulset/test_decide.py"),
    ("job/controller.py", "write.name not in kept", "True", "controllers/job/test_controller.py"),
    ("job/controller.py", "        await self.writer.catch_up(key)\n", "", "controllers/job/test_controller.py"),
    ("job/controller.py", "if known.version != job.metadata.resourceVersion:", "if False:", "controllers/job/test_controller.py"),
    ("job/tracking.py", "and uid not in uncounted.failed and has_valid_index", "and has_valid_index", "controllers/job"),
    ("tainteviction/decide.py", "due if due is not None else now", "now", "controllers/tainteviction"),
    ("daemonset/decide.py", "if should and not running and surge(state.ds, 1):", "if False:", "controllers/daemonset"),
    ("daemonset/decide.py", "if should and not there:", "if should and there:", "controllers/daemonset"),
    ("cronjob/decide.py", 'if obj.spec.concurrencyPolicy == "Forbid" and status.active:', 'if obj.spec.concurrencyPolicy == "Forbid" and not status.active:',
     "controllers/cronjob"),
    ("cronjob/decide.py", "if obj.spec.suspend:", "if not obj.spec.suspend:", "controllers/cronjob"),
    ("tainteviction/decide.py", 'if taint.effect == "NoExecute"]', 'if taint.effect == "NoSchedule"]', "controllers/tainteviction"),
    ("nodelifecycle/decide.py", "if ready == 0 and not_ready > 0:", "if ready == 0 and not_ready > 1:", "controllers/nodelifecycle"),
    ("disruption/decide.py", "if since is None or is_terminating(pod):", "if since is None:", "controllers/disruption"),
    ("podgc/controller.py", "if now < since + QUARANTINE_SECONDS:", "if now > since + QUARANTINE_SECONDS:", "controllers/podgc"),
    ("podgc/controller.py", "await self.writer.do(key, orphaned(pod, self.clock.now()))",
     "await self.writer.do(key, orphaned(pod, self.clock.now())) if not is_terminal(pod) else None", "controllers/podgc"),
    ("garbagecollector/decide.py", "resource_version=meta.resourceVersion)", 'resource_version="")', "controllers/garbagecollector"),
    ("garbagecollector/controller.py", "        if blocker is None:\n", "        if blocker is not None:\n", "controllers/garbagecollector"),
)

SCHEDULER = _in(
    "scheduler",
    ("plugins/all.py", "NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit,",
     "NodeUnschedulable, NodeName, NodeAffinity, NodePorts, NodeResourcesFit,", "scheduler/test_cycle.py scheduler/test_plain.py scheduler/test_config.py"),
    ("plugins/taint_toleration.py", "if not bad.any():", "if bad.any():", "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/node_unschedulable.py", "return Verdict(~cordoned,", "return Verdict(cordoned,", "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/node_ports.py", 'if not address or "" in addresses or address in addresses:', "if address in addresses:",
     "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/node_name.py", "fits[snapshot.rows[wanted]] = True", "fits[snapshot.rows[wanted]] = False", "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/node_affinity.py", "fits &= wanted", "fits |= wanted", "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/node_resources_fit.py", "never = capacity < amount", "never = capacity > amount", "scheduler/test_cycle.py scheduler/test_preemption.py"),
    ("plugins/node_resources_fit.py", 'if self._strategy.type == "LeastAllocated" else', 'if self._strategy.type != "LeastAllocated" else',
     "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/inter_pod_affinity.py", "fits = fits & ~bad", "fits = fits & bad", "scheduler/test_cycle.py scheduler/test_plain.py"),
    ("plugins/volume_zone.py", "bad |= labelled & ~fits", "bad |= labelled & fits", "scheduler/test_volumes.py scheduler/test_cycle.py"),
    ("plugins/volume_binding.py", "return Rejected(UNBOUND) if claims.immediate else None", "return None", "scheduler/test_volumes.py scheduler/test_cycle.py"),
    ("plugins/base.py", "return verdict is None or bool(verdict.fits[change.row])", "return False", "scheduler/test_scheduler.py scheduler/test_queue.py"),
    ("plugins/node_resources_fit.py", "if free - freed < amount <= free:", "if False:", "scheduler/test_scheduler.py"),
    ("preemption.py", 'if pod.spec.preemptionPolicy == "Never":', 'if pod.spec.preemptionPolicy != "Never":', "scheduler/test_preemption.py"),
    ("preemption.py", "lower = [one for one in snapshot.pods_on[row].values() if one.shape.priority < pod.priority]",
     "lower = [one for one in snapshot.pods_on[row].values() if one.shape.priority <= pod.priority]", "scheduler/test_preemption.py"),
    ("preemption.py", "return self.violations, highest,", "return -self.violations, highest,", "scheduler/test_preemption.py"),
    ("queue.py", "if waiting.due <= self._clock.monotonic():", "if waiting.due > self._clock.monotonic():", "scheduler/test_queue.py scheduler/test_scheduler.py"),
    ("queue.py", "if changed and known.state is State.REFUSED:", "if not changed and known.state is State.REFUSED:", "scheduler/test_queue.py"),
    ("queue.py", "if count_missed > MOST_MISSED or any(self._helps(change, waiting) for change in missed):", "if count_missed > MOST_MISSED:",
     "scheduler/test_queue.py scheduler/test_scheduler.py"),
    ("binding.py", "self._snapshot.remove_pod(uid)", "pass", "scheduler/test_scheduler.py"),
    ("binding.py", "return bool(found.spec.nodeName)", "return not found.spec.nodeName", "scheduler/test_scheduler.py"),
)

CONTROL = _in(
    "control",
    ("controller.py", "WorkQueue(clock) if queue is None else queue", "queue or WorkQueue(clock)", "control/test_controller.py"),
    ("controller.py", "self.queue.add_after(key, result.requeue_after_seconds)", "pass", "control/test_controller.py"),
    ("controller.py", "delay = self.queue.add_rate_limited(key)\n            log.warning(", "delay = 0.0\n            log.warning(", "control/test_controller.py"),
    ("queue.py", "        if key not in self._working:\n            self._ready", "        if key is not None:\n            self._ready", "control/test_queue.py"),
    ("queue.py", "self._failures.pop(key, None)", "pass", "control/test_queue.py control/test_controller.py"),
    ("writer.py", "if informer.revision < revision:", "if informer.revision > revision:", "control/test_writer.py"),
    ("writer.py", "size = min(size * 2, BATCH)", "size = BATCH", "control/test_writer.py"),
    ("informer.py", "relist = True\n                failures", "relist = False\n                failures", "control/test_informer.py"),
    ("ownership.py", "elif not leaving and meta.deletionTimestamp is None and matches(meta.labels) and adoptable(obj):",
     "elif meta.deletionTimestamp is None and matches(meta.labels) and adoptable(obj):", "control/test_claiming.py controllers/replicaset"),
    ("claiming.py", "live.metadata.deletionTimestamp is not None:", "live.metadata.deletionTimestamp is None:", "control/test_claiming.py"),
)

SERVER = _in(
    "apiserver",
    ("auth/rules.py", "return resource in self.resources", "return True", "apiserver/auth"),
    ("auth/rules.py", 'if verb not in self.verbs and "*" not in self.verbs:\n            return False\n        if group', "if group", "apiserver/auth"),
    ("auth/rbac.py", "if local.any is not None:", "if local.any is None:", "apiserver/auth"),
    ("registry.py", 'if meta.resourceVersion not in ("", "0") and not write.dry_run:', "if False:", "apiserver/test_registry.py"),
    ("watchcache.py", "if exact > self.revision:", "if exact < self.revision:", "apiserver/test_watchcache.py apiserver/test_listing.py"),
    ("watchcache.py", "if revision < objects.floor:", "if False:", "apiserver/test_watchcache.py apiserver/test_listing.py"),
)

BELOW = _in(
    "",
    ("store/memory.py", "if self._mod_revision(compare.key) != compare.mod_revision:", "if False:", "store/test_memory.py"),
    ("store/memory.py", "return record.mod_revision if record else 0", "return 0", "store/test_memory.py"),
    ("node/statuswriter.py", "return codec.to_builtins(now) | dict.fromkeys(went) if went else now", "return now", "node/test_statuswriter.py"),
    ("node/statuswriter.py", "self._uncertain.add(uid)", "pass", "node/test_statuswriter.py"),
    ("kinds/apps/stateful_set.py", "template = _as_pods_have_it(spec)", "template = spec.template", "kinds/apps/test_stateful_set.py"),
)

ALL = (*CONTROLLERS, *SCHEDULER, *CONTROL, *SERVER, *BELOW)
