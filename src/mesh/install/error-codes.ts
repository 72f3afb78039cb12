import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0300 to MESH0399. */
export const installCodes = {
  MESH0300: {
    kind: 'usage',
    title: 'Unknown profile',
    cause: 'The name given with --profile, --set profile= or spec.profile is no profile of this version.',
    fix: 'Run "meshctl profile list".',
  },
  MESH0301: {
    kind: 'usage',
    title: 'Malformed --set',
    cause: 'The text is not PATH=VALUE, or the path cannot be followed in the values given so far.',
    fix: 'Write paths such as values.pilot.env.NAME=x or meshConfig.extensionProviders[0].name=x.',
  },
  MESH0302: {
    kind: 'usage',
    title: 'Invalid value',
    cause: 'A value does not exist under this name, or has another type than given.',
    fix: 'Run "meshctl profile dump" for the values there are.',
  },
  MESH0303: {
    kind: 'usage',
    title: 'Invalid values file',
    cause:
      'A file given with -f is not readable, is not YAML, or is not an IstioOperator or values document.',
    fix: 'Check the file and line named in the message.',
  },
  MESH0304: {
    kind: 'bug',
    title: 'Broken template',
    cause: 'A template of this version is missing or refers to a value that does not exist.',
    fix: 'Report it with the output of the command.',
  },
  MESH0305: {
    kind: 'failed',
    title: 'Another mesh is installed',
    cause: 'The cluster has an Istio control plane that meshctl did not install.',
    fix: 'Uninstall the other control plane first, or choose another cluster.',
  },
  MESH0306: {
    kind: 'access',
    title: 'Missing permissions',
    cause: 'The user may not write all objects of the installation; nothing was changed.',
    fix: 'Run as a cluster administrator, or have the listed permissions granted.',
  },
  MESH0307: {
    kind: 'failed',
    title: 'Object owned by somebody else',
    cause:
      'A field that the installation sets is managed by another tool, and taking it over was not asked for.',
    fix: 'Remove the object or the field from the other tool, or repeat with --force.',
  },
  MESH0308: {
    kind: 'timeout',
    title: 'Component not ready',
    cause: 'A component was applied but did not become ready within --timeout.',
    fix: 'The evidence names the pod and its reason; after fixing it, run the same command again.',
  },
  MESH0309: {
    kind: 'failed',
    title: 'The mesh is not installed',
    cause: 'There is no inventory of an installation in the mesh namespace.',
    fix: 'Run "meshctl install", or name the namespace with --istio-namespace.',
  },
  MESH0310: {
    kind: 'failed',
    title: 'Something of the mesh is left',
    cause: 'Uninstall removed what it could, and then found objects, rules or files of the mesh.',
    fix: 'The evidence lists what is left and where; run the command again once the cause is gone.',
  },
  MESH0311: {
    kind: 'failed',
    title: 'Cluster rejected an object',
    cause: 'The API server refused an object of the installation.',
    fix: 'The evidence has the answer of the server.',
  },
  MESH0312: {
    kind: 'failed',
    title: 'Waypoint in use',
    cause: 'Namespaces, services or pods still name the waypoint in istio.io/use-waypoint.',
    fix: 'Repeat with --detach to remove the labels, or change them first.',
  },
  MESH0313: {
    kind: 'failed',
    title: 'Namespace or object not found',
    cause: 'The object that the command works on does not exist.',
    fix: 'Check the name and the namespace.',
  },
  MESH0314: {
    kind: 'failed',
    title: 'Namespace already uses another waypoint',
    cause: 'The namespace carries istio.io/use-waypoint with another name.',
    fix: 'Repeat with --overwrite to change it.',
  },
  MESH0315: {
    kind: 'failed',
    title: 'Gateway API is missing',
    cause: 'The cluster does not know the kind Gateway, which waypoints are made of.',
    fix: 'Run "meshctl install", which installs the Gateway API when it is absent.',
  },
  MESH0316: {
    kind: 'usage',
    title: 'Value not supported',
    cause:
      'The value exists in Istio, but this version cannot do what it asks for, and going on without it would leave open, or break, what was asked for.',
    fix: 'Do as the message says; docs/support.md lists what is supported.',
  },
  MESH0317: {
    kind: 'timeout',
    title: 'Pods not captured',
    cause:
      'The namespace is labeled, but not every pod could be proven to be in (or out of) the mesh within --timeout.',
    fix: 'The evidence says what is missing for each pod; "meshctl describe pod NAME" shows it all.',
  },
  MESH0318: {
    kind: 'timeout',
    title: 'Waypoint not ready',
    cause: 'The waypoint was applied, but did not become ready within --timeout.',
    fix: 'The evidence names the pod and its reason; "meshctl waypoint status" shows whether it came up since.',
  },
  MESH0320: {
    kind: 'failed',
    title: 'Name taken by another Gateway',
    cause: 'A Gateway of this name exists, but its class is not istio-waypoint.',
    fix: 'Choose another name with --name.',
  },
  MESH0321: {
    kind: 'failed',
    title: 'Value without effect',
    cause:
      'The value exists in Istio, but nothing in this version acts on it. The installation is sound without it.',
    fix: 'Remove the value, or leave it for a version that knows it; docs/support.md lists what is supported.',
  },
  MESH0322: {
    kind: 'usage',
    title: 'Trust domain of a running mesh',
    cause:
      'The trust domain is to change while proxies run that know only the old one: calls between old and new ones would be refused.',
    fix: 'Keep the old trust domain as an alias, as the message says; install then changes it step by step.',
  },
  MESH0330: {
    kind: 'failed',
    title: 'Object of the installation missing',
    cause: 'An object that the inventory lists does not exist any more.',
    fix: 'Run "meshctl install" with the values of the installation; it puts the object back.',
  },
  MESH0331: {
    kind: 'failed',
    title: 'Object of the installation changed',
    cause: 'A field that the installation set has another value now.',
    fix: 'Run "meshctl manifest diff" to see every field, and "meshctl install" to put it back.',
  },
  MESH0332: {
    kind: 'failed',
    title: 'Component not rolled out',
    cause: 'A Deployment or DaemonSet of the mesh has pods that are missing, old or not ready.',
    fix: 'The evidence names the pod and its reason.',
  },
  MESH0333: {
    kind: 'failed',
    title: 'Node not served by the mesh',
    cause:
      'The CNI agent or the node proxy of a node is not ready, or the two are not connected; or their DaemonSets no longer select the node while pods on it are captured.',
    fix: 'Look at the logs of the pod that the message names. Let the DaemonSet select the node again, or move the pods of the mesh to another one.',
  },
  MESH0334: {
    kind: 'failed',
    title: 'Custom resource definition not established',
    cause: 'The API server does not serve a kind that the mesh is configured with.',
    fix: 'Run "kubectl describe crd NAME"; "meshctl install" creates those that are missing.',
  },
  MESH0335: {
    kind: 'failed',
    title: 'Controller not ready',
    cause: 'The controller does not answer its readiness check.',
    fix: 'Look at the logs of Deployment istiod.',
  },
  MESH0336: {
    kind: 'failed',
    title: 'Installation not finished',
    cause: 'The inventory says that the last installation was interrupted.',
    fix: 'Run the same "meshctl install" again; it continues where it stopped.',
  },
  MESH0337: {
    kind: 'failed',
    title: 'Component with other mesh options',
    cause:
      'A component goes by other mesh options than ConfigMap istio holds: it was started before they changed, or could not read them.',
    fix: 'Run "meshctl install" with the values of the installation, which rolls out what reads an option once; for the controller, look at its log.',
  },
  MESH0340: {
    kind: 'failed',
    title: 'Cluster cannot run the mesh',
    cause: 'A check that installation depends on failed.',
    fix: 'The message says what has to change.',
  },
  MESH0970: {
    kind: 'failed',
    title: 'No such ServiceAccount',
    cause: 'The ServiceAccount that is to use the waypoint does not exist in the namespace.',
    fix: 'Check the name and -n: kubectl get serviceaccounts -n NAMESPACE. "kubectl get pod NAME -o jsonpath={.spec.serviceAccountName}" shows the one a pod runs as.',
  },
  MESH0971: {
    kind: 'failed',
    title: 'ServiceAccount uses another waypoint',
    cause: 'The ServiceAccount already has the label istio.io/use-waypoint with another value.',
    fix: 'Run the command with --overwrite to replace it.',
  },
} as const satisfies Record<string, ErrorCode>;
