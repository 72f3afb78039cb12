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
  MESH1106: {
    kind: 'failed',
    title: 'pods use the network of their node',
    cause:
      'hostNetwork pods have no network namespace of their own, so that their traffic cannot be captured although their namespace is in the mesh.',
    fix: 'Run them without hostNetwork, or expect plaintext to and from them.',
  },
  MESH1107: {
    kind: 'failed',
    title: 'a revision that no controller has',
    cause:
      'A label istio.io/rev names a revision of which no controller runs: its Gateways are deployed by nobody.',
    fix: 'Remove the label, or install that revision.',
  },
  MESH1108: {
    kind: 'failed',
    title: 'a namespace of a waypoint without its name',
    cause: 'The label istio.io/use-waypoint-namespace has no effect without istio.io/use-waypoint beside it.',
    fix: 'Name the waypoint, or remove the label.',
  },
  MESH1109: {
    kind: 'failed',
    title: 'istio.io/waypoint-for has a value that means nothing',
    cause: 'The label takes service, workload, all and none; any other value counts as service.',
    fix: 'Set one of the values.',
  },
  MESH1114: {
    kind: 'failed',
    title: 'nobody uses a waypoint',
    cause:
      'No label istio.io/use-waypoint of a namespace, Service or pod names it: no call passes through it.',
    fix: 'Let a namespace or Service use it, or delete it.',
  },
  MESH1115: {
    kind: 'failed',
    title: 'a waypoint has no listener for the mesh',
    cause:
      'Calls of the mesh reach a waypoint on a listener with protocol HBONE and port 15008, which the Gateway lacks.',
    fix: 'Run "meshctl waypoint apply", which writes the Gateway as it should be.',
  },
  MESH1116: {
    kind: 'failed',
    title: 'a namespace uses a waypoint and is not in the mesh',
    cause:
      'None of its pods is in the mesh: the waypoint calls them in plaintext, and callers outside of the mesh go past it.',
    fix: 'Enroll the namespace with "meshctl enroll".',
  },
  MESH1123: {
    kind: 'failed',
    title: 'a policy names a principal that nobody is',
    cause:
      'Principals are written TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT, without spiffe://, in a trust domain of the mesh; others match nobody.',
    fix: 'Write the principal in that form; cluster.local stands for the trust domain of the mesh.',
  },
  MESH1124: {
    kind: 'failed',
    title: 'a policy names a namespace that does not exist',
    cause: 'A source namespace in a rule is nowhere in the cluster, so that nobody can call from it.',
    fix: 'Correct the name, or create the namespace.',
  },
  MESH1134: {
    kind: 'failed',
    title: 'a PeerAuthentication of two with one scope',
    cause: 'Of several for the same pods the oldest applies, and the others have no effect.',
    fix: 'Delete the one that is not wanted.',
  },
  MESH1135: {
    kind: 'failed',
    title: 'a Service for the outside behind STRICT',
    cause:
      'Callers from outside the mesh, as load balancers and ports of nodes let in, have no identity: STRICT refuses them.',
    fix: 'Let them in through a gateway, or make the port PERMISSIVE.',
  },
  MESH1142: {
    kind: 'failed',
    title: 'a NetworkPolicy does not name the address of probes',
    cause:
      'Probes of the kubelet reach pods of the mesh from 169.254.7.127. Most CNI plugins always admit them; some go by the address.',
    fix: 'If pods do not become ready, admit ipBlock 169.254.7.127/32.',
  },
  MESH1143: {
    kind: 'failed',
    title: 'a NetworkPolicy keeps callers from a waypoint',
    cause:
      'A policy that isolates the pods of the waypoint admits nobody on TCP port 15008, on which all calls to it arrive.',
    fix: 'Admit TCP port 15008 to the pods of the waypoint.',
  },
  MESH1144: {
    kind: 'failed',
    title: 'a NetworkPolicy keeps a waypoint from the pods behind it',
    cause:
      'Calls that pass through a waypoint come from its pods: a policy that names the callers only does not admit them.',
    fix: 'Admit port 15008 from the pods of the waypoint, too.',
  },
  MESH1145: {
    kind: 'failed',
    title: 'a NetworkPolicy keeps proxies from the controller',
    cause:
      'A policy that isolates the controller admits nobody on TCP port 15012, where proxies fetch configuration and certificates.',
    fix: 'Admit TCP port 15012 to the controller.',
  },
  MESH1146: {
    kind: 'failed',
    title: 'a NetworkPolicy keeps a waypoint from the controller',
    cause:
      'NetworkPolicies of the namespace of a waypoint close what goes out, and admit neither the controller nor its port 15012. The waypoint gets no configuration and no certificate, and never becomes ready.',
    fix: 'Let the pods of the waypoint out to the namespace of the mesh on port 15012, and to DNS.',
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
  MESH1161: {
    kind: 'failed',
    title: 'a port of a Service leads nowhere',
    cause: 'targetPort is a name, and none of the pods behind the Service has a container port of that name.',
    fix: 'Correct targetPort, or name the port of the container.',
  },
  MESH1162: {
    kind: 'failed',
    title: 'a Service without an address has a waypoint or a policy',
    cause:
      'Calls to a headless Service go to addresses of pods, and an ExternalName is a name in DNS: neither passes through a waypoint.',
    fix: 'Give the Service an address of its own, or write the policies with a selector for its pods.',
  },
  MESH1163: {
    kind: 'failed',
    title: 'a policy about HTTP for a Service that speaks none',
    cause: 'Every port of the Service is declared as TCP or TLS, so that the waypoint sees no requests.',
    fix: 'Declare appProtocol: http on the port, or write the policy without HTTP.',
  },
  MESH1170: {
    kind: 'failed',
    title: 'the class of a Gateway does not exist',
    cause: 'No GatewayClass has the name in gatewayClassName: nobody deploys the Gateway.',
    fix: 'Correct the name, or install what brings the class.',
  },
  MESH1171: {
    kind: 'failed',
    title: 'a route is attached to nothing',
    cause: 'A parentRef names a Gateway, a listener or a Service that is not there.',
    fix: 'Correct the reference.',
  },
  MESH1172: {
    kind: 'failed',
    title: 'a route leads to a Service or port that does not exist',
    cause: 'Requests that match the rule are answered with an error.',
    fix: 'Correct the backendRef, or create the Service.',
  },
  MESH1173: {
    kind: 'failed',
    title: 'listeners of a Gateway conflict',
    cause: 'Two listeners of a Gateway have the same port and host name.',
    fix: 'Give them different ports or host names.',
  },
  MESH1174: {
    kind: 'failed',
    title: 'a route may not refer into another namespace',
    cause: 'No ReferenceGrant of the namespace of the Service lets the route refer to it.',
    fix: 'Create the ReferenceGrant, or move the route.',
  },
  MESH1175: {
    kind: 'failed',
    title: 'two routes match the same requests',
    cause: 'Of routes with the same match at one parent the oldest gets the requests.',
    fix: 'Make the matches different, or delete one of the routes.',
  },
  MESH1180: {
    kind: 'failed',
    title: 'a quota leaves no room for a waypoint',
    cause:
      'A ResourceQuota of the namespace is used up, so that the Deployment, Service or pods of a waypoint are refused.',
    fix: 'Raise the quota, or free what it counts.',
  },
  MESH1181: {
    kind: 'failed',
    title: 'Pod Security refuses the node agents',
    cause:
      'The namespace of the mesh enforces a level under which node agents, which use the network and files of the node, are refused.',
    fix: 'Label the namespace pod-security.kubernetes.io/enforce=privileged.',
  },
  MESH1190: {
    kind: 'failed',
    title: 'the controller says that something is not done',
    cause: 'A condition in the status of the object is False, and no other check explains it.',
    fix: 'The message of the condition says why.',
  },
  MESH1191: {
    kind: 'failed',
    title: 'an object of a file is not what its kind asks for',
    cause:
      'A field is missing, or has a value of another type than its kind allows: the API server would refuse the object.',
    fix: 'Correct the field that the message names.',
  },
  MESH1195: {
    kind: 'failed',
    title: 'files were analyzed without a cluster',
    cause: 'No cluster could be reached, so that what the files do not hold is unknown.',
    fix: 'Name a cluster with --context, or leave it out on purpose with --use-kube=false.',
  },
} as const satisfies Record<string, ErrorCode>;
