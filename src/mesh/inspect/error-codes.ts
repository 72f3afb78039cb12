import type { ErrorCode } from '#base/errors/mesh-error.js';
import { checkCodes } from './checks/error-codes.js';

/**
 * Codes MESH0900 to MESH0999 and those of the checks; from MESH0920 on they are findings, not errors. MESH0103 is the command
 * line's too, but the features read some arguments themselves.
 */
export const inspectCodes = {
  ...checkCodes,
  MESH0103: {
    kind: 'usage',
    title: 'Invalid value of a flag or argument',
    cause: 'A value is not one of the choices, or is not of the expected form.',
    fix: 'Use one of the values named in the message.',
  },
  MESH0901: {
    kind: 'failed',
    title: 'a component answered something unusable',
    cause:
      'The admin endpoint of a component answered with an error, or with something that is not its configuration.',
    fix: 'Check that the pod runs a supported version; look at its logs.',
  },
  MESH0902: {
    kind: 'failed',
    title: 'no running ztunnel',
    cause: 'There is no running ztunnel pod in the mesh namespace, or none on the node in question.',
    fix: 'Run meshctl verify-install; look at kubectl get pods -n istio-system -l app=ztunnel.',
  },
  MESH0903: {
    kind: 'failed',
    title: 'the saved configuration dump cannot be read',
    cause: 'The file does not exist or is not a ztunnel configuration dump.',
    fix: 'Save one with: meshctl ztunnel-config all -o json > dump.json.',
  },
  MESH0905: {
    kind: 'failed',
    title: 'no such waypoint',
    cause: 'There is no Gateway of class istio-waypoint with that name in the namespace.',
    fix: 'meshctl waypoint list -A shows the waypoints; meshctl waypoint apply makes one.',
  },
  MESH0906: {
    kind: 'failed',
    title: 'the Gateway API is not installed',
    cause: 'Waypoints are Gateways, and the cluster has no CustomResourceDefinition for them.',
    fix: 'Run "meshctl install", which installs the Gateway API when it is absent.',
  },
  MESH0907: {
    kind: 'usage',
    title: 'a file cannot be read',
    cause: 'A path given with -f does not exist, may not be read, or is too large.',
    fix: 'Correct the path.',
  },
  MESH0908: {
    kind: 'failed',
    title: 'no controller could be asked',
    cause: 'No pod of the controller runs, or its debug port did not answer.',
    fix: 'Run "meshctl status", which says what is wrong with the controller.',
  },
  MESH0909: {
    kind: 'usage',
    title: 'the reference leads to no one object',
    cause: 'Several objects begin with the name that was given, or a workload has no pods.',
    fix: 'Write the whole name.',
  },
  MESH0920: {
    kind: 'failed',
    title: 'the pod should be in the mesh and is not captured',
    cause:
      'Labels ask for ambient mode, but the redirection rules or the listeners of the node proxy were not seen in the network namespace of the pod.',
    fix: 'Look at the CNI agent of the node: kubectl logs -n istio-system ds/istio-cni-node; meshctl verify-install shows all nodes.',
  },
  MESH0921: {
    kind: 'failed',
    title: 'the pod is captured although it should not be',
    cause: 'Redirection was seen in the network namespace of a pod that no label enrolls.',
    fix: 'Look at the CNI agent of the node: it removes redirection by itself within seconds when it runs.',
  },
  MESH0922: {
    kind: 'failed',
    title: 'the workload has no valid certificate',
    cause:
      'The node proxy has no valid certificate for the identity of the pod; its traffic is refused until it has.',
    fix: 'Look at the node proxy and the controller: kubectl logs -n istio-system ds/ztunnel; kubectl logs -n istio-system deploy/istiod.',
  },
  MESH0923: {
    kind: 'failed',
    title: 'a policy is not loaded where it is enforced',
    cause:
      'An AuthorizationPolicy applies to the pod, but its enforcement point does not have it, or not for this pod.',
    fix: 'Look at the status of the policy and at the log of the controller.',
  },
  MESH0924: {
    kind: 'failed',
    title: 'the waypoint is not ready',
    cause:
      'Traffic is bound to a waypoint that is missing, has no address or no ready pod; such traffic is refused.',
    fix: 'meshctl waypoint status shows what is missing.',
  },
  MESH0925: {
    kind: 'failed',
    title: 'live connections in plaintext',
    cause:
      'The node proxy holds connections to or from the pod that are not encrypted: peers outside the mesh, which PERMISSIVE mode admits.',
    fix: 'Enroll the peers, or refuse them with a PeerAuthentication of mode STRICT.',
  },
  MESH0926: {
    kind: 'failed',
    title: 'an observation could not be made',
    cause: 'A component that should tell what it sees could not be asked.',
    fix: 'Check the component named in the message; what it would have shown is unknown, not fine.',
  },
  MESH0927: {
    kind: 'failed',
    title: 'PeerAuthentication mode DISABLE is taken as PERMISSIVE',
    cause: 'Ambient mode has no way to turn encryption between captured pods off.',
    fix: 'Use PERMISSIVE, or take the workload out of the mesh with the label istio.io/dataplane-mode=none.',
  },
  MESH0928: {
    kind: 'failed',
    title: 'the pod is not ready',
    cause: 'The pod does not run or its readiness probe fails; Services do not send traffic to it.',
    fix: 'kubectl describe pod shows why.',
  },
  MESH0929: {
    kind: 'failed',
    title: 'the waypoint that labels name is not used',
    cause:
      'The waypoint does not admit the namespace or is not for this kind of traffic, or it is not ready and the mesh option waypointFailurePolicy is open. Traffic goes past it, and so past its policies.',
    fix: 'Change allowedRoutes or the label istio.io/waypoint-for of the Gateway, or the istio.io/use-waypoint label.',
  },
  MESH0930: {
    kind: 'failed',
    title: 'the CNI agent decides otherwise than the settings of the mesh',
    cause:
      'The agent goes by the environment it was started with; ConfigMap istio-cni-config was changed since, or a variable of the DaemonSet overrides it.',
    fix: 'kubectl rollout restart daemonset istio-cni-node in the mesh namespace, or run meshctl install again.',
  },
  MESH0931: {
    kind: 'failed',
    title: 'a policy is enforced nowhere',
    cause:
      'An AuthorizationPolicy concerns the pod, but nothing enforces it: its target is not bound to a waypoint, its action is not for ztunnel, or the pod is not in the mesh.',
    fix: 'The message says why. Bind the target to a waypoint, or enroll the pod; the status of the policy says the same.',
  },
  MESH0932: {
    kind: 'failed',
    title: 'a policy is not enforced as it is written',
    cause:
      'The enforcement point cannot evaluate a part of the policy, such as an HTTP attribute at ztunnel. What it makes of it never admits more than was written, unless the mesh option l7PolicyAtZtunnel is ignore.',
    fix: 'Attach the policy to a waypoint with targetRefs, or use only attributes of connections.',
  },
  MESH0933: {
    kind: 'failed',
    title: 'the enforced mTLS mode is not the one asked for',
    cause:
      'What the node proxy holds of the PeerAuthentications differs from what they say now: a change has not arrived, or the controller reads them otherwise.',
    fix: 'Look again in a moment; if it stays, look at the log of the controller and at meshctl ztunnel-config policy.',
  },
  MESH0934: {
    kind: 'failed',
    title: 'a proxy enforces another policy than the one that is there',
    cause:
      'The enforcement point holds an older version of an AuthorizationPolicy, or one that was deleted: a change has not arrived.',
    fix: 'Look again in a moment; if it stays, the proxy has lost the controller: look at the logs of both.',
  },
  MESH0935: {
    kind: 'failed',
    title: 'proxies do not trust each other',
    cause:
      'Certificates in use lead to a root that another proxy does not trust, so calls between the two fail. This happens when the certificate authority was replaced and its root was not distributed first.',
    fix: 'Restart the proxies named (kubectl rollout restart daemonset ztunnel in the mesh namespace), so that they fetch certificates of the present authority.',
  },
  MESH0936: {
    kind: 'failed',
    title: 'nothing in the mesh acts on it',
    cause:
      'An object, field, label or annotation asks the mesh for something that this version does not do. Nothing else is wrong.',
    fix: 'Remove it, or leave it for a version that does; docs/support.md lists what is supported.',
  },
  MESH0937: {
    kind: 'failed',
    title: 'the pod has not started',
    cause:
      'It is not scheduled, waits for an image or a volume, or its network is not there yet: nothing can be captured.',
    fix: 'The message and its events say what it waits for.',
  },
  MESH0938: {
    kind: 'failed',
    title: 'a rule in the pod overrides its redirection',
    cause:
      'Somebody with NET_ADMIN in the network namespace of the pod (a container of it, a VPN client, a debugger) wrote an iptables rule with which traffic does not come to the rules of the mesh: it leaves and arrives in plaintext. The CNI agent puts its own rules before such a rule within seconds and records an event of the pod (MeshRedirectionOverridden); a rule that switches tracking off (NOTRACK) or sets the mark of the proxy works wherever it stands, and is only reported.',
    fix: 'Remove the rule, and what writes it; or restart the pod.',
  },
  MESH0956: {
    kind: 'failed',
    title: 'no mesh is installed there',
    cause: 'The namespace of the mesh (-i, default istio-system) has neither a controller nor a node proxy.',
    fix: 'Install the mesh with "meshctl install", or name its namespace with --istio-namespace.',
  },
  MESH0957: {
    kind: 'failed',
    title: 'a node is NotReady',
    cause: 'The kubelet of the node stopped reporting, or reports that it cannot run pods.',
    fix: 'Start the node again, or remove it from the cluster. What runs on it is not served meanwhile.',
  },
  MESH0958: {
    kind: 'failed',
    title: 'a component of the mesh lacks pods',
    cause:
      'A Deployment or DaemonSet of the mesh is missing, asks for no pods, or its pods are refused (quota, Pod Security, webhooks).',
    fix: 'Remove what refuses them, as the evidence says; "meshctl install" puts missing objects back.',
  },
  MESH0959: {
    kind: 'failed',
    title: 'a pod of a component is not ready',
    cause: 'A pod of the controller, of a node proxy or of a CNI agent does not run or is not ready.',
    fix: 'Its last event and log lines stand below the finding; mend what they name.',
  },
  MESH0960: {
    kind: 'failed',
    title: 'the Secret of the certificate authority is damaged',
    cause:
      'A key of Secret cacerts or istio-ca-secret is missing, unreadable, expired, or does not belong to the others: the controller can sign nothing once it restarts.',
    fix: 'Restore the Secret from a backup, or begin with a new root and restart the controller and all proxies.',
  },
  MESH0961: {
    kind: 'failed',
    title: 'a component counts as ready and does not answer',
    cause:
      'Its process was asked through the API server and stayed silent for seconds: it is stopped or wedged, or its node has no time for it. Probes notice that later, or not at all.',
    fix: 'Look at its log and its node, then delete the pod: its successor starts anew.',
  },
  MESH0962: {
    kind: 'failed',
    title: 'components run different versions',
    cause: 'Pods of a component run another version than their siblings or than the controller.',
    fix: 'Run "meshctl install", which rolls all of them to one version.',
  },
  MESH0963: {
    kind: 'failed',
    title: 'clocks differ',
    cause:
      'Certificates are valid from two minutes before they were issued: a clock that is off refuses them.',
    fix: 'Let the nodes synchronize their clocks (chrony, systemd-timesyncd).',
  },
  MESH0964: {
    kind: 'failed',
    title: 'a proxy is connected to no controller',
    cause:
      'The proxy lost its connection to the control plane, or never had one. It goes by what it was last told.',
    fix: 'Look at its log: the name of the controller does not resolve, a NetworkPolicy is in the way, or trust is broken.',
  },
  MESH0965: {
    kind: 'failed',
    title: 'a proxy has not taken what it was sent',
    cause: 'The proxy refused resources, or has not acknowledged them for seconds.',
    fix: 'Read the error below the finding; a restarted proxy is sent everything anew.',
  },
  MESH0966: {
    kind: 'failed',
    title: 'the controller is stopped',
    cause:
      'No replica of the controller serves: its Deployment is missing or scaled to 0, its pods are refused or not ready, or its process hangs. Connections of the pods that proxies know go on, with the policies and certificates that they have. New pods have none, and changes reach no proxy.',
    fix: 'Start it again, as the finding says. Certificates are not renewed meanwhile: when the first of them ends, its pods lose their connections.',
  },
  MESH0990: {
    kind: 'usage',
    title: 'the target of a probe is not clear',
    cause: 'The port is missing or unknown, or the name leads to no address.',
    fix: 'Write SERVICE[.NAMESPACE]:PORT, pod/NAME[.NAMESPACE]:PORT, IP:PORT or HOST:PORT.',
  },
  MESH0991: {
    kind: 'failed',
    title: 'nobody can open the connection of a probe',
    cause:
      "A probe is opened by meshctl's CNI agent on the node of its source. None runs there, or it is an older one, or that of upstream, which has no such endpoint.",
    fix: 'Pick a source on another node, or run "meshctl install" so that the agents are of this version.',
  },
  MESH0992: {
    kind: 'failed',
    title: 'the CNI agent refuses to probe',
    cause:
      'The source is not a running pod of that node, uses the network of its node, or too many probes are under way.',
    fix: 'The message says which; pick another source, or try again in a moment.',
  },
  MESH0993: {
    kind: 'failed',
    title: 'the connection of a probe was not made',
    cause: 'A real connection from the source to the target failed; the message says where and why.',
    fix: 'Mend what the message names: a Service without pods, a port nobody listens on, a proxy that is away.',
  },
  MESH0994: {
    kind: 'failed',
    title: 'the connection of a probe is refused by policy',
    cause:
      'A node proxy or waypoint refused a real connection because an AuthorizationPolicy or the mTLS mode STRICT says so.',
    fix: 'If the call is to be allowed, change the policy that the message names, or enroll the caller.',
  },
  MESH0995: {
    kind: 'failed',
    title: 'the HBONE port 15008 cannot be reached',
    cause:
      'The node proxy of the source gets no answer from port 15008 of the other side. A NetworkPolicy that admits the port of the application but not 15008 does this.',
    fix: 'Admit TCP port 15008 to and from pods of the mesh in NetworkPolicies; meshctl analyze names those that do not.',
  },
  MESH0996: {
    kind: 'failed',
    title: 'a connection between pods of the mesh is in plaintext',
    cause:
      'A real connection between two enrolled pods was seen unencrypted: it went past the node proxy (a port excluded by annotation, a foreign rule), or the proxy was told that the other side is not in the mesh.',
    fix: 'meshctl describe pod shows redirection rules and annotations of the source.',
  },
  MESH0997: {
    kind: 'failed',
    title: 'the waypoint of a probe does not deliver',
    cause: 'The waypoint in the way is missing or not ready, or reaches no backend.',
    fix: 'meshctl waypoint status shows what is missing; meshctl describe service shows the endpoints.',
  },
  MESH0998: {
    kind: 'failed',
    title: 'a node does not reach the controller over TLS',
    cause:
      'A TLS session from the CNI agent of a node to the controller failed, or its certificate does not lead to the root of the mesh.',
    fix: 'Look at the Service istiod and its endpoints, at NetworkPolicies and DNS of the mesh namespace, and at the ConfigMap istio-ca-root-cert.',
  },
} as const satisfies Record<string, ErrorCode>;
