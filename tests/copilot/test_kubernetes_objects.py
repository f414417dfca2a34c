"""Objects of every kind, as the API writes them: each fault is named, its healthy twin is not."""

from collections.abc import Iterable

import pytest
import yaml

from copilot.sources.kubernetes.manifests import objects
from tests.copilot.kubernetes_shop import NOW, SHOP, documents, look
from tools.cluster_inspector import diagnose, inspect
from tools.types import ClusterState, ListingGap


def said(state: ClusterState) -> set[tuple[str, str]]:
    """Every broken rule, and the object it was seen on."""
    return {(found.rule.id, f"{found.kind}/{found.name}") for found in inspect(state)}


CASES = yaml.safe_load(
    r"""
- id: a rollout that passed its deadline
  says: [rollout-stuck, Deployment/till]
  base: &till {kind: Deployment, metadata: {name: till, namespace: shop}}
  faulty:
  - {<<: *till, spec: {replicas: 1}, status: {replicas: 1, readyReplicas: 1, conditions: [
      {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: timed out}]}}
  healthy:
  - {<<: *till, spec: {replicas: 1}, status: {replicas: 1, readyReplicas: 1, conditions: [
      {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}}

- id: a daemon set on one of three nodes
  says: [replicas-unavailable, DaemonSet/agent]
  faulty:
  - {kind: DaemonSet, metadata: {name: agent}, status: {desiredNumberScheduled: 3, numberReady: 1}}
  healthy:
  - {kind: DaemonSet, metadata: {name: agent}, status: {desiredNumberScheduled: 3, numberReady: 3}}

- id: a stateful set that is ready, whose pods were not listed
  says: [replicas-unavailable, StatefulSet/ledger]
  faulty:
  - {kind: StatefulSet, metadata: {name: ledger}, spec: {replicas: 3}, status: {replicas: 3}}
  healthy:
  - {kind: StatefulSet, metadata: {name: ledger}, spec: {replicas: 3},
     status: {replicas: 3, readyReplicas: 3}}

- id: a replica set of nobody that the API server refuses
  says: [quota-pods, ResourceQuota/few]
  faulty:
  - {kind: ReplicaSet, metadata: {name: lone}, spec: {replicas: 2}, status: {conditions: [
      {type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'exceeded quota: few,
        requested: pods=1, used: pods=4, limited: pods=4'}]}}
  healthy:
  - {kind: ReplicaSet, metadata: {name: lone}, spec: {replicas: 0}, status: {conditions: [
      {type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'exceeded quota: few,
        requested: pods=1, used: pods=4, limited: pods=4'}]}}

- id: a job that gave up
  says: [job-failed, Job/export]
  faulty:
  - {kind: Job, metadata: {name: export}, status: {failed: 7, conditions: [
      {type: Failed, status: 'True', reason: BackoffLimitExceeded}]}}
  healthy:
  - {kind: Job, metadata: {name: export}, status: {failed: 2, succeeded: 1, conditions: [
      {type: Complete, status: 'True'}]}}

- id: a job of which a later run of its cron job succeeded
  says: [job-failed, Job/night-1]
  base: &night {kind: Job, status: {failed: 1, conditions: [{type: Failed, status: 'True'}]},
    metadata: {name: night-1, creationTimestamp: '2026-03-01T01:00:00Z',
      ownerReferences: [{kind: CronJob, name: night}]}}
  faulty:
  - *night
  healthy:
  - *night
  - {kind: Job, status: {succeeded: 1, conditions: [{type: Complete, status: 'True'}]},
    metadata: {name: night-2, creationTimestamp: '2026-03-01T02:00:00Z',
      ownerReferences: [{kind: CronJob, name: night}]}}

- id: a job whose pods fail before it gives up
  says: [job-failed, Job/sync]
  faulty:
  - {kind: Job, metadata: {name: sync}, status: {failed: 2}}
  healthy:
  - {kind: Job, metadata: {name: sync}, status: {failed: 2, active: 1}}

- id: a job that a webhook refuses
  says: [admission-refused, Job/mail]
  base: &mail {kind: Job, metadata: {name: mail}, spec: {completions: 1, parallelism: 1}}
  faulty:
  - {<<: *mail, status: {}}
  - {kind: Event, type: Warning, reason: FailedCreate, metadata: {name: e},
     regarding: {kind: Job, name: mail}, note: 'Error creating: failed calling webhook "a.b":
       Post "https://judge.rules.svc:443/v": connection refused'}
  healthy:
  - {<<: *mail, status: {succeeded: 1, conditions: [{type: Complete, status: 'True'}]}}

- id: a schedule nobody can read
  says: [schedule-invalid, CronJob/tick]
  faulty:
  - {kind: CronJob, metadata: {name: tick}, spec: {schedule: every noon}}
  healthy:
  - {kind: CronJob, metadata: {name: tick}, spec: {schedule: '0 12 * * MON-FRI'}}

- id: a start that was missed
  says: [schedule-missed, CronJob/tick]
  faulty:
  - {kind: CronJob, metadata: {name: tick}, spec: {schedule: '@hourly'}}
  - {kind: Event, type: Warning, reason: TooManyMissedTimes, metadata: {name: e},
     involvedObject: {kind: CronJob, name: tick}, message: too many missed start times}
  healthy:
  - {kind: CronJob, metadata: {name: tick}, spec: {schedule: '@hourly'}}

- id: a cron job that rests
  says: [schedule-suspended, CronJob/tick]
  faulty:
  - {kind: CronJob, metadata: {name: tick}, spec: {schedule: '@hourly', suspend: true}}
  healthy:
  - {kind: CronJob, metadata: {name: tick}, spec: {schedule: '@hourly', suspend: false}}

- id: an autoscaler without metrics
  says: [hpa-unable, HorizontalPodAutoscaler/web]
  base: &hpa {kind: HorizontalPodAutoscaler, metadata: {name: web}}
  faulty:
  - {<<: *hpa, spec: &scales {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: 5},
     status: {conditions: [{type: ScalingActive, status: 'False', reason: FailedGetPodsMetric}]}}
  healthy:
  - {<<: *hpa, spec: *scales, status: {conditions: [
      {type: ScalingActive, status: 'False', reason: ScalingDisabled, message: scaled to zero}]}}

- id: an autoscaler that may not scale
  says: [hpa-unable, HorizontalPodAutoscaler/web]
  faulty:
  - {<<: *hpa, spec: *scales, status: {conditions: [
      {type: AbleToScale, status: 'False', reason: FailedUpdateScale}]}}
  healthy:
  - {<<: *hpa, spec: *scales, status: {conditions: [
      {type: AbleToScale, status: 'True', reason: ReadyForNewScale}]}}

- id: an autoscaler of nobody
  says: [hpa-target-missing, HorizontalPodAutoscaler/web]
  faulty:
  - {<<: *hpa, spec: {scaleTargetRef: {kind: StatefulSet, name: web}}}
  healthy:
  - {<<: *hpa, spec: *scales}

- id: an autoscaler held at its maximum
  says: [hpa-limited, HorizontalPodAutoscaler/web]
  faulty:
  - {<<: *hpa, spec: *scales, status: {currentReplicas: 5, desiredReplicas: 5, conditions: [
      {type: ScalingLimited, status: 'True', reason: TooManyReplicas}]}}
  healthy:
  - {<<: *hpa, spec: *scales, status: {currentReplicas: 1, desiredReplicas: 1, conditions: [
      {type: ScalingLimited, status: 'True', reason: TooFewReplicas}]}}

- id: an autoscaler that shares out a request nobody made
  says: [hpa-no-resources, HorizontalPodAutoscaler/web]
  faulty:
  - {<<: *hpa, spec: {<<: *scales, metrics: [
      {type: Resource, resource: {name: memory, target: {type: Utilization}}}]}}
  healthy:
  - {<<: *hpa, spec: {<<: *scales, metrics: [
      {type: Resource, resource: {name: memory, target: {type: AverageValue}}}]}}

- id: a budget that lets nobody go
  says: [disruption-blocked, PodDisruptionBudget/web]
  base: &pdb {kind: PodDisruptionBudget, metadata: {name: web}}
  faulty:
  - {<<: *pdb, status: {expectedPods: 1, currentHealthy: 1, desiredHealthy: 1, conditions: [
      {type: DisruptionAllowed, status: 'False', reason: InsufficientPods}]}}
  healthy:
  - {<<: *pdb, status: {expectedPods: 2, currentHealthy: 2, desiredHealthy: 1,
     disruptionsAllowed: 1}}

- id: a pod held by a gate
  says: [scheduling-gated, Pod/gate-1]
  faulty:
  - {kind: Pod, metadata: {name: gate-1}, status: {phase: Pending, conditions: [
      {type: PodScheduled, status: 'False', reason: SchedulingGated}]}}
  healthy:
  - {kind: Pod, metadata: {name: gate-1}, status: {phase: Succeeded, conditions: [
      {type: PodScheduled, status: 'True'}]}}

- id: nodes that are full of pods
  says: [pod-limit, Pod/more-1]
  faulty:
  - {kind: Pod, metadata: {name: more-1}, status: {phase: Pending, conditions: [{
      type: PodScheduled, status: 'False', reason: Unschedulable,
      message: '0/2 nodes are available: 2 Too many pods.'}]}}
  healthy:
  - {kind: Pod, metadata: {name: more-1}, status: {phase: Succeeded}}

- id: an init container that fails with last words
  says: [container-exits, Pod/boot-1]
  faulty:
  - {kind: Pod, metadata: {name: boot-1}, spec: {nodeName: w, initContainers: [{name: seed}]},
     status: {phase: Pending, initContainerStatuses: [{name: seed, ready: false, restartCount: 3,
       state: {waiting: {reason: CrashLoopBackOff}},
       lastState: {terminated: {exitCode: 2, reason: Error, message: no such schema}}}]}}
  healthy:
  - {kind: Pod, metadata: {name: boot-1}, spec: {nodeName: w, initContainers: [{name: seed}]},
     status: {phase: Running, initContainerStatuses: [{name: seed, ready: true, restartCount: 0,
       state: {terminated: {exitCode: 0, reason: Completed}}}]}}

- id: a service account that may not
  says: ['rbac-forbidden', 'ServiceAccount/shop:boot']
  faulty:
  - {kind: Pod, metadata: {name: boot-1}, spec: {nodeName: w},
     status: {phase: Running, containerStatuses: [{name: c, ready: false, restartCount: 3,
       state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1,
         reason: Error, message: 'pods is forbidden: User "system:serviceaccount:shop:boot" cannot
           list resource "pods" in API group "" in the namespace "shop"'}}}]}}
  healthy:
  - {kind: Pod, metadata: {name: boot-1}, spec: {nodeName: w},
     status: {phase: Running, containerStatuses: [{name: c, ready: true, restartCount: 0}]}}

- id: an evicted pod beside its successor
  says: [pod-evicted, Pod/web-5f4dcc3b5a-old01]
  base: &old {kind: Pod, metadata: {name: web-5f4dcc3b5a-old01, labels: {app: web}},
    status: {phase: Failed, reason: Evicted, message: 'low on resource: memory'}}
  faulty:
  - *old
  - {kind: Deployment, metadata: {name: web}, spec: {replicas: 2},
     status: {replicas: 2, readyReplicas: 1}}
  healthy:
  - *old

- id: a pull secret that is not there
  says: [pull-secret-missing, Deployment/till]
  faulty:
  - {<<: *till, spec: {template: {spec: {imagePullSecrets: [{name: key}]}}}}
  healthy:
  - {<<: *till, spec: {template: {spec: {imagePullSecrets: [{name: key}]}}}}
  - {kind: Secret, metadata: {name: key}}

- id: a pod that is being taken away
  says: [readiness-failed, Pod/web-5f4dcc3b5a-old01]
  base: &leaving {status: {phase: Running, containerStatuses: [{name: c, ready: false}]}}
  faulty:
  - {<<: *leaving, kind: Pod, metadata: {name: web-5f4dcc3b5a-old01, labels: {app: web},
     deletionTimestamp: '2026-03-01T02:00:00Z'}}
  healthy:
  - {<<: *leaving, kind: Pod, metadata: {name: web-5f4dcc3b5a-old01, labels: {app: web},
     deletionTimestamp: '2026-03-01T03:00:20Z'}}

- id: a node with a dead disk
  says: [node-problem, Node/w]
  faulty:
  - {kind: Node, metadata: {name: w}, status: {conditions: [
      {type: Ready, status: 'True'}, {type: ReadonlyFilesystem, status: 'True'}]}}
  healthy:
  - {kind: Node, metadata: {name: w}, status: {conditions: [
      {type: Ready, status: 'True'}, {type: ReadonlyFilesystem, status: 'False'}]}}

- id: a deletion that a finalizer holds
  says: [deletion-held, Service/gone]
  faulty:
  - {kind: Service, metadata: {name: gone, finalizers: [a/b],
     deletionTimestamp: '2026-03-01T02:00:00Z'}}
  healthy:
  - {kind: Service, metadata: {name: gone, finalizers: [a/b],
     deletionTimestamp: '2026-03-01T02:59:00Z'}}
"""
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_fault_is_named_and_its_healthy_twin_is_not(case: dict[str, list[object]]) -> None:
    wanted = tuple(case["says"])

    assert wanted in said(look(case["faulty"]))
    assert wanted not in said(look(case["healthy"]))


def test_the_shop_has_no_finding() -> None:
    assert said(look([])) == set()


def test_an_object_of_another_namespace_is_nobody_here() -> None:
    foreign = {"kind": "Pod", "metadata": {"name": "x", "namespace": "lab"},
               "status": {"phase": "Failed"}}  # fmt: skip
    state = objects([*documents(SHOP), foreign], NOW, "shop")

    assert {pod.name for pod in state.pods} == {pod.name for pod in look([]).pods}
    assert [pod.name for pod in state.others["lab"].pods] == ["x"]


def test_both_groups_of_events_say_the_same() -> None:
    core = {"kind": "Event", "involvedObject": {"kind": "Pod", "name": "p"}, "type": "Warning",
            "reason": "R", "message": "m", "count": 3, "source": {"component": "kubelet"},
            "lastTimestamp": "2026-03-01T02:00:00Z"}  # fmt: skip
    later = {"kind": "Event", "regarding": {"kind": "Pod", "name": "p"}, "type": "Warning",
             "reason": "R", "note": "m", "reportingController": "kubelet",
             "series": {"count": 3, "lastObservedTime": "2026-03-01T02:00:00Z"}}  # fmt: skip

    assert objects([core], NOW).events == objects([later], NOW).events


def unread(state: ClusterState, kinds: Iterable[str]) -> ClusterState:
    """The same state where these kinds were refused."""
    listed = {kind: names for kind, names in state.listed.items() if kind not in kinds}
    gaps = tuple(ListingGap(kind=kind, reason="forbidden") for kind in kinds)
    return state.model_copy(update={"listed": listed, "gaps": gaps})


def test_nothing_follows_from_a_kind_that_was_not_read_to_its_end() -> None:
    lost = look([{"kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
                  "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "gone"}}}])  # fmt: skip

    assert said(lost) == {("hpa-target-missing", "HorizontalPodAutoscaler/h")}
    assert said(unread(lost, ["Deployment"])) == set()


def test_last_words_are_the_evidence_of_a_container_that_ended() -> None:
    case = next(case for case in CASES if "last words" in case["id"])

    assert diagnose(look(case["faulty"])).predictions[0].evidence == "no such schema"
