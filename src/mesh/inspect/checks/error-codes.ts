import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH1100 to MESH1199: what configuration alone shows. */
export const checkCodes = {
  MESH1100: {
    kind: 'failed',
    title: 'a document of a file cannot be read',
    cause:
      'It is no valid YAML or JSON, or no Kubernetes object: apiVersion, kind or metadata.name is missing.',
    fix: 'Correct the file at the line that the message names.',
  },
  MESH1101: {
    kind: 'failed',
    title: 'a label of the mesh is misspelled',
    cause: 'The name of a label resembles one that the mesh reads, and is not it: nothing acts on it.',
    fix: 'Write the label as the message suggests.',
  },
  MESH1102: {
    kind: 'failed',
    title: 'a label of the mesh has a value that means nothing',
    cause:
      'istio.io/dataplane-mode takes "ambient" and "none", in lower case; any other value counts as absent.',
    fix: 'Set the value to "ambient" or "none", or remove the label.',
  },
  MESH1103: {
    kind: 'failed',
    title: 'a label of the mesh is written as an annotation',
    cause: 'The mesh selects by labels; an annotation of the same name has no effect.',
    fix: 'Set it as a label.',
  },
  MESH1110: {
    kind: 'failed',
    title: 'a waypoint that is used does not exist',
    cause:
      'A label istio.io/use-waypoint names a Gateway that is not there: calls are refused, or with waypointFailurePolicy open go past it.',
    fix: 'Create the waypoint with "meshctl waypoint apply", or remove the label.',
  },
  MESH1111: {
    kind: 'failed',
    title: 'a waypoint that is used is not ready',
    cause: 'The Gateway exists and has no address yet: calls through it are refused until it has.',
    fix: 'Look at it with "meshctl waypoint status"; its pods say why they are not ready.',
  },
  MESH1112: {
    kind: 'failed',
    title: 'a waypoint does not admit the namespace that uses it',
    cause:
      'allowedRoutes of the listener of the Gateway do not admit the namespace: calls go past the waypoint, without its policies.',
    fix: 'Let the listener admit the namespace, or use a waypoint of the own namespace.',
  },
  MESH1113: {
    kind: 'failed',
    title: 'a waypoint is not for the traffic it is used for',
    cause:
      'The label istio.io/waypoint-for of the Gateway leaves out the services or the workloads that use it: calls go past it.',
    fix: 'Make it for all traffic: meshctl waypoint apply NAME --for all --overwrite.',
  },
  MESH1120: {
    kind: 'failed',
    title: 'a policy is enforced by nobody at its target',
    cause: 'The target has no waypoint that enforces the policy, so that calls it denies are admitted.',
    fix: 'Give the Service a waypoint (istio.io/use-waypoint), or write the policy with a selector for the node proxies.',
  },
  MESH1121: {
    kind: 'failed',
    title: 'the target of a policy does not exist',
    cause: 'targetRefs name a Service, Gateway or GatewayClass that is not there.',
    fix: 'Correct the name in targetRefs; targets are in the namespace of the policy.',
  },
  MESH1122: {
    kind: 'failed',
    title: 'a policy is not enforced as it is written',
    cause: 'A waypoint cannot evaluate a part of the policy, and refuses what it would have decided.',
    fix: 'Rewrite the part that the message names.',
  },
  MESH1130: {
    kind: 'failed',
    title: 'a policy asks node proxies for HTTP',
    cause:
      'A policy without targetRefs is enforced by node proxies, which see connections and no requests: rules with HTTP attributes admit nobody or refuse everybody.',
    fix: 'Attach the policy to a waypoint with targetRefs.',
  },
  MESH1131: {
    kind: 'failed',
    title: 'a policy selects no pod',
    cause: 'No pod of the namespace has the labels of the selector.',
    fix: 'Compare the selector with the labels of the pods.',
  },
  MESH1132: {
    kind: 'failed',
    title: 'a policy selects pods outside the mesh only',
    cause: 'Policies are enforced for pods of the mesh; none of the selected ones is.',
    fix: 'Enroll the namespace with "meshctl enroll".',
  },
  MESH1133: {
    kind: 'failed',
    title: 'a PeerAuthentication is not followed as it is written',
    cause: 'The mesh cannot do a part of it, such as DISABLE or ports without a selector.',
    fix: 'Correct the part that the message names.',
  },
  MESH1104: {
    kind: 'failed',
    title: 'a namespace asks for sidecars and for ambient mode',
    cause:
      'Both labels are set. This mesh injects no sidecars; where another one does, its pods are left out of ambient mode.',
    fix: 'Remove the label istio-injection.',
  },
  MESH1105: {
    kind: 'failed',
    title: 'pods of an enrolled namespace have sidecars',
    cause: 'Pods with a sidecar are left out of ambient mode: two proxies would fight over their traffic.',
    fix: 'Restart the pods without injection.',
  },
  MESH1140: {
    kind: 'failed',
    title: 'a NetworkPolicy blocks port 15008',
    cause:
      "Between pods of the mesh every call travels on TCP port 15008, whatever port the application has. A NetworkPolicy that admits the application's port only lets it time out.",
    fix: 'Admit TCP port 15008 beside the port of the application.',
  },
  MESH1150: {
    kind: 'failed',
    title: 'a webhook of another mesh calls a service that is gone',
    cause:
      'A mesh was removed and left a webhook behind: requests that it selects fail, or wait for its time-out.',
    fix: 'Delete the webhook configuration that the message names.',
  },
  MESH1151: {
    kind: 'failed',
    title: 'a webhook of another mesh is active',
    cause: 'It may give pods a sidecar, and such pods are left out of ambient mode.',
    fix: 'Delete it when that mesh is no longer wanted.',
  },
  MESH1160: {
    kind: 'failed',
    title: 'a Service has no endpoints',
    cause: 'No pod of its namespace has the labels of its selector.',
    fix: 'Compare the selector with the labels of the pods.',
  },
} as const satisfies Record<string, ErrorCode>;
