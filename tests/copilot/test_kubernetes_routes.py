"""Objects of the network and of storage: each fault is named, its healthy twin is not."""

import pytest
import yaml

from tests.copilot.kubernetes_shop import look
from tools.cluster_inspector import diagnose, inspect

CASES = yaml.safe_load(
    r"""
- id: an ingress to a service that is not there
  says: [ingress-backend-missing, Ingress/door]
  faulty:
  - {kind: Ingress, metadata: {name: door}, spec: {rules: [{http: {paths: [
      {path: /, backend: {service: {name: webs, port: {number: 80}}}}]}}]}}
  healthy:
  - {kind: Ingress, metadata: {name: door}, spec: {rules: [{http: {paths: [
      {path: /, backend: {service: {name: web, port: {number: 80}}}}]}}]}}

- id: an ingress to a port that the service lacks
  says: [ingress-backend-missing, Ingress/door]
  faulty:
  - {kind: Ingress, metadata: {name: door}, spec: {defaultBackend: {
      service: {name: web, port: {number: 8443}}}}}
  healthy:
  - {kind: Ingress, metadata: {name: door}, spec: {defaultBackend: {
      resource: {kind: Bucket, name: b}}}}

- id: an ingress of a class without a controller
  says: [ingress-class-missing, Ingress/door]
  faulty:
  - {kind: Ingress, metadata: {name: door}, spec: {ingressClassName: edge}}
  healthy:
  - {kind: Ingress, metadata: {name: door}, spec: {ingressClassName: edge},
     status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}

- id: an ingress whose certificate is not there
  says: [tls-secret-missing, Ingress/door]
  faulty:
  - {kind: Ingress, metadata: {name: door}, spec: {tls: [{secretName: door-cert}]}}
  healthy:
  - {kind: Ingress, metadata: {name: door}, spec: {tls: [{secretName: door-cert}]}}
  - {kind: Secret, metadata: {name: door-cert}}

- id: a gateway that no controller took
  says: [gateway-not-ready, Gateway/gate]
  base: &class {kind: GatewayClass, metadata: {name: mesh}}
  faulty:
  - *class
  - {kind: Gateway, metadata: {name: gate}, spec: {gatewayClassName: mesh}, status: {conditions: [
      {type: Accepted, status: Unknown, reason: Pending, message: waiting for controller}]}}
  healthy:
  - *class
  - {kind: Gateway, metadata: {name: gate}, spec: {gatewayClassName: mesh}, status: {conditions: [
      {type: Accepted, status: 'True'}, {type: Programmed, status: 'True'}]}}

- id: a gateway of no class
  says: [gateway-class-missing, Gateway/gate]
  faulty:
  - {kind: Gateway, metadata: {name: gate}, spec: {gatewayClassName: mash}}
  - *class
  healthy:
  - {kind: Gateway, metadata: {name: gate}, spec: {gatewayClassName: mesh}}
  - *class

- id: a listener whose certificate cannot be read
  says: [tls-secret-missing, Gateway/gate]
  faulty:
  - *class
  - {kind: Gateway, metadata: {name: gate}, spec: {gatewayClassName: mesh}, status: {listeners: [
      {name: tls, conditions: [{type: ResolvedRefs, status: 'False',
        reason: InvalidCertificateRef}]}]}}
  healthy:
  - *class
  - {kind: Gateway, metadata: {name: gate}, spec: {gatewayClassName: mesh}, status: {listeners: [
      {name: tls, conditions: [{type: Conflicted, status: 'False'},
        {type: ResolvedRefs, status: 'True'}]}]}}

- id: a route that its gateway refuses
  says: [route-parent, HTTPRoute/way]
  faulty:
  - {kind: HTTPRoute, metadata: {name: way}, status: {parents: [{conditions: [
      {type: Accepted, status: 'False', reason: NotAllowedByListeners}]}]}}
  healthy:
  - {kind: HTTPRoute, metadata: {name: way}, status: {parents: [{conditions: [
      {type: Accepted, status: 'True'}]}]}}

- id: a route whose target may not be used
  says: [route-backend, HTTPRoute/way]
  faulty:
  - {kind: HTTPRoute, metadata: {name: way}, status: {parents: [{conditions: [
      {type: ResolvedRefs, status: 'False', reason: RefNotPermitted}]}]}}
  healthy:
  - {kind: HTTPRoute, metadata: {name: way}, status: {parents: [{conditions: [
      {type: ResolvedRefs, status: 'True'}]}]}}

- id: a route to a gateway of a closed namespace
  says: [route-parent, HTTPRoute/way]
  faulty:
  - {kind: HTTPRoute, metadata: {name: way}, spec: {parentRefs: [{name: gate, namespace: edge}]}}
  - {kind: Gateway, metadata: {name: gate, namespace: edge}, spec: {listeners: [{name: a}]}}
  healthy:
  - {kind: HTTPRoute, metadata: {name: way}, spec: {parentRefs: [{name: gate, namespace: edge}]}}
  - {kind: Gateway, metadata: {name: gate, namespace: edge}, spec: {listeners: [
      {name: a, allowedRoutes: {namespaces: {from: All}}}]}}

- id: a route to a service that is not there
  says: [route-backend, GRPCRoute/way]
  faulty:
  - {kind: GRPCRoute, metadata: {name: way}, spec: {rules: [{backendRefs: [{name: wob}]}]}}
  healthy:
  - {kind: GRPCRoute, metadata: {name: way}, spec: {rules: [{backendRefs: [
      {name: web, port: 80}]}]}}

- id: a webhook that nobody answers
  says: [webhook-dead, ValidatingWebhookConfiguration/judge]
  base: &judge {kind: ValidatingWebhookConfiguration, metadata: {name: judge}}
  faulty:
  - {<<: *judge, webhooks: [{name: j.io, clientConfig: {service: {name: j, namespace: laws}}}]}
  - {kind: Service, metadata: {name: j, namespace: laws}, spec: {selector: {app: j}}}
  - {kind: Endpoints, metadata: {name: j, namespace: laws}}
  healthy:
  - {<<: *judge, webhooks: [{name: j.io, failurePolicy: Ignore, clientConfig: {
      service: {name: gone, namespace: laws}}}]}
  - {kind: Service, metadata: {name: j, namespace: laws}, spec: {selector: {app: j}}}

- id: a certificate that is not issued
  says: [certificate-not-ready, Certificate/door]
  faulty:
  - {kind: Certificate, metadata: {name: door}, status: {conditions: [
      {type: Ready, status: 'False', reason: Expired, message: expired yesterday}]}}
  healthy:
  - {kind: Certificate, metadata: {name: door}, status: {conditions: [
      {type: Ready, status: 'True'}]}}

- id: a service whose selector no pod carries
  says: [service-selector-unmet, Service/api]
  faulty:
  - {kind: Service, metadata: {name: web}, spec: {selector: {app: other}, ports: [{port: 80}]}}
  - {kind: Endpoints, metadata: {name: web}}
  - {kind: Service, metadata: {name: api}, spec: {selector: {app: webb}, ports: [{port: 80}]}}
  - {kind: Endpoints, metadata: {name: api}}
  healthy:
  - {kind: Service, metadata: {name: api}, spec: {selector: {app: web}, ports: [{port: 80}]}}
  - {kind: EndpointSlice, metadata: {name: api-1, labels: {kubernetes.io/service-name: api}},
     ports: [{port: 80}], endpoints: [{addresses: [10.0.0.1]}]}

- id: a leftover service beside a worker that no service needs
  says: [service-selector-unmet, Service/api]
  base: &api {kind: Service, metadata: {name: api}, spec: {selector: {app: a}, ports: [{port: 80}]}}
  faulty:
  - *api
  - {kind: Endpoints, metadata: {name: api}}
  - {kind: Service, metadata: {name: web}, spec: {selector: {app: other}}}
  - {kind: Endpoints, metadata: {name: web}}
  healthy:
  - *api
  - {kind: Endpoints, metadata: {name: api}}
  - {kind: Deployment, metadata: {name: mill}, spec: {replicas: 1, selector: {
      matchLabels: {app: mill}}}, status: {readyReplicas: 1}}
  - {kind: Pod, metadata: {name: mill-1, labels: {app: mill}}, spec: {nodeName: w1},
     status: {phase: Running, containerStatuses: [{name: c, ready: true}]}}

- id: a service without a pod
  says: [no-endpoints, Service/api]
  faulty:
  - {kind: Service, metadata: {name: api}, spec: {selector: {app: api}}}
  - {kind: Endpoints, metadata: {name: api}}
  healthy:
  - {kind: Service, metadata: {name: api}, spec: {selector: {app: api}}}
  - {kind: Endpoints, metadata: {name: api, annotations: {
      control-plane.alpha.kubernetes.io/leader: api-1}}}

- id: a service whose pods are not ready
  says: [endpoints-not-ready, Service/api]
  faulty:
  - {kind: Service, metadata: {name: api}, spec: {selector: {app: api}}}
  - {kind: EndpointSlice, metadata: {name: api-1, labels: {kubernetes.io/service-name: api}},
     endpoints: [{addresses: [10.0.0.2], conditions: {ready: false}}]}
  healthy:
  - {kind: Service, metadata: {name: api}, spec: {selector: {app: api}}}
  - {kind: EndpointSlice, metadata: {name: api-1, labels: {kubernetes.io/service-name: api}},
     endpoints: [{addresses: [10.0.0.2], conditions: {ready: false}}]}
  - {kind: EndpointSlice, metadata: {name: api-2, labels: {kubernetes.io/service-name: api}},
     endpoints: [{addresses: [10.0.0.3]}]}

- id: a policy that closes the whole namespace
  says: [policy-isolates, NetworkPolicy/shut]
  base: &shut {kind: NetworkPolicy, metadata: {name: shut},
    spec: {podSelector: {}, policyTypes: [Ingress]}}
  faulty:
  - *shut
  healthy:
  - *shut
  - {kind: NetworkPolicy, metadata: {name: open}, spec: {
      podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}, ingress: [{}]}}

- id: a policy that lets nobody out
  says: [policy-isolates, NetworkPolicy/shut]
  faulty:
  - {kind: NetworkPolicy, metadata: {name: shut},
     spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}}
  healthy:
  - {kind: NetworkPolicy, metadata: {name: shut}, spec: {podSelector: {matchLabels: {app: web}},
     policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}

- id: a policy for callers that do not exist
  says: [policy-isolates, NetworkPolicy/shut]
  faulty:
  - {kind: NetworkPolicy, metadata: {name: shut}, spec: {podSelector: {},
     ingress: [{from: [{podSelector: {matchLabels: {app: ghost}}}]}]}}
  healthy:
  - {kind: NetworkPolicy, metadata: {name: shut}, spec: {podSelector: {},
     ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}}

- id: a claim whose volume is gone
  says: [claim-lost, PersistentVolumeClaim/disk]
  faulty:
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, status: {phase: Lost}}
  healthy:
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, status: {phase: Bound}}

- id: a claim that nobody provides for
  says: [claim-unbound, PersistentVolumeClaim/disk]
  faulty:
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, status: {phase: Pending}}
  healthy:
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, status: {phase: Pending}}
  - {kind: Event, type: Normal, reason: WaitForFirstConsumer, metadata: {name: e},
     involvedObject: {kind: PersistentVolumeClaim, name: disk}}

- id: a claim of a class that does not exist
  says: [claim-class-unmet, PersistentVolumeClaim/disk]
  faulty:
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, spec: {storageClassName: quick},
     status: {phase: Pending}}
  healthy:
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, spec: {storageClassName: quick},
     status: {phase: Pending}}
  - {kind: StorageClass, metadata: {name: quick}}

- id: a stateful set with claims of a class that does not exist
  says: [claim-class-unmet, StatefulSet/store]
  base: &claims {volumeClaimTemplates: [{spec: {storageClassName: quick}}]}
  faulty:
  - {kind: StatefulSet, metadata: {name: store}, spec: *claims}
  healthy:
  - {kind: StatefulSet, metadata: {name: store}, spec: *claims}
  - {kind: StorageClass, metadata: {name: quick}}

- id: a stateful set without its service
  says: [service-missing, StatefulSet/store]
  faulty:
  - {kind: StatefulSet, metadata: {name: store}, spec: {serviceName: stores}}
  healthy:
  - {kind: StatefulSet, metadata: {name: store}, spec: {serviceName: web}}

- id: a pod that was put on a node beside the scheduler
  says: [claim-unbound, PersistentVolumeClaim/disk]
  base: &late {kind: Pod, metadata: {name: late-1}, spec: {nodeName: w1, volumes: [
      {name: d, persistentVolumeClaim: {claimName: disk}}]}, status: {phase: Pending,
      containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}}
  faulty:
  - *late
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, status: {phase: Pending}}
  healthy:
  - *late
  - {kind: PersistentVolumeClaim, metadata: {name: disk}, status: {phase: Bound}}

- id: a volume that could not be reclaimed
  says: [volume-failed, PersistentVolume/pv]
  faulty:
  - {kind: PersistentVolume, metadata: {name: pv}, status: {phase: Failed}}
  healthy:
  - {kind: PersistentVolume, metadata: {name: pv}, status: {phase: Available}}
"""
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_fault_is_named_and_its_healthy_twin_is_not(case: dict[str, list[object]]) -> None:
    wanted = tuple(case["says"])
    faulty, healthy = (
        {(found.rule.id, f"{found.kind}/{found.name}") for found in inspect(look(case[side]))}
        for side in ("faulty", "healthy")
    )

    assert wanted in faulty
    assert wanted not in healthy


def test_a_claim_that_the_scheduler_never_saw_comes_before_the_mount_that_waits_for_it() -> None:
    case = next(case for case in CASES if "beside the scheduler" in case["id"])
    waiting = {"kind": "Event", "type": "Warning", "reason": "FailedMount",
               "involvedObject": {"kind": "Pod", "name": "late-1"},
               "message": "Unable to attach or mount volumes: timed out"}  # fmt: skip
    first = diagnose(look([*case["faulty"], waiting])).predictions[0]

    assert (first.rule.id, first.name) == ("claim-unbound", "disk")


def test_a_nearly_right_name_is_offered() -> None:
    case = next(case for case in CASES if case["id"].startswith("an ingress to a service"))

    assert diagnose(look(case["faulty"])).predictions[0].expected == "web"
