/**
 * What `kubectl explain` says of the types and fields that people ask about
 * most, in our own words: `Type` or `Type.field`, where Type is the last part
 * of the published name. What is not here is explained by its name and type.
 */
const texts: Readonly<Record<string, string>> = {
  ConfigMap: 'Configuration that pods read as files or environment variables.',
  'ConfigMap.data': 'Text by key. Keys become file names or variable names.',
  'ConfigMap.immutable': 'When true, the data can never change again.',
  CronJob: 'Creates a Job whenever its schedule says so.',
  'CronJobSpec.concurrencyPolicy':
    'What happens when a run is due while the last one still goes on: Allow, Forbid or Replace.',
  'CronJobSpec.schedule': 'When to run, as five cron fields.',
  DaemonSet: 'Keeps one pod on every node that it selects.',
  Deployment: 'Keeps a number of interchangeable pods running and rolls out changes to them.',
  'DeploymentSpec.replicas': 'How many pods there should be. Default 1.',
  'DeploymentSpec.selector':
    'Labels by which its pods are found. They must fit the template and cannot change.',
  'DeploymentSpec.strategy': 'How old pods are replaced by new ones.',
  'DeploymentSpec.template': 'What its pods look like.',
  Ingress: 'Leads HTTP requests from outside to Services, by host and path.',
  Job: 'Runs pods until enough of them have succeeded.',
  'JobSpec.backoffLimit': 'How many failures are tolerated before the job counts as failed. Default 6.',
  'JobSpec.completions': 'How many pods have to succeed.',
  'JobSpec.parallelism': 'How many pods may run at the same time.',
  Namespace: 'A scope for names, rights and quotas.',
  NetworkPolicy: 'Which traffic the selected pods accept and send.',
  Node: 'A machine that runs pods.',
  'NodeSpec.taints': 'What keeps pods away that do not tolerate it.',
  'NodeSpec.unschedulable': 'When true, no new pods are placed here.',
  ObjectMeta: 'What every object has besides its own content.',
  'ObjectMeta.creationTimestamp':
    'CreationTimestamp is a timestamp of the moment the server made the object.',
  'ObjectMeta.annotations': 'Notes for tools, not used for selection.',
  'ObjectMeta.finalizers': 'Who still has work to do before the object may go.',
  'ObjectMeta.labels': 'Keys and values by which objects are selected.',
  'ObjectMeta.name': 'Unique among objects of its kind in the namespace. Cannot change.',
  'ObjectMeta.ownerReferences': 'Objects with which this one is deleted.',
  PersistentVolumeClaim: 'A request for storage that pods can mount.',
  Pod: 'Containers that run together on one node and share its network address.',
  'PodSpec.containers': 'What runs, all at the same time. At least one.',
  'PodSpec.hostNetwork': "When true, the pod uses the node's network instead of its own.",
  'PodSpec.initContainers': 'What runs first, one after the other, until each has succeeded.',
  'PodSpec.nodeName': 'The node the pod is on. Set by the scheduler.',
  'PodSpec.nodeSelector': 'Labels that the node must have.',
  'PodSpec.restartPolicy': 'Whether containers that end are started again: Always, OnFailure or Never.',
  'PodSpec.serviceAccountName': 'The identity under which the pod talks to the API.',
  'PodSpec.terminationGracePeriodSeconds':
    'How long containers may take to stop before they are killed. Default 30.',
  'PodSpec.tolerations': 'Taints that do not keep the pod away from a node.',
  'PodSpec.volumes': 'Storage that the containers can mount.',
  'Container.args': "Arguments of the command; instead of the image's own.",
  'Container.command': "What to run; instead of the image's own entry point.",
  'Container.env': 'Environment variables.',
  'Container.image': 'The image to run, with its tag or digest.',
  'Container.livenessProbe': 'A check whose failure restarts the container.',
  'Container.name': 'A name of its own within the pod.',
  'Container.ports': 'Ports the container listens on. For information; others are reachable too.',
  'Container.readinessProbe': 'A check whose failure keeps traffic of Services away.',
  'Container.resources': 'What the container asks for and may use at most.',
  'Container.securityContext': 'What the process runs as and may do.',
  'Container.startupProbe': 'A check that must succeed once before the other probes begin.',
  'Container.volumeMounts': "Where the pod's volumes appear in the container.",
  PodDisruptionBudget: 'How many pods of a group may be evicted at the same time.',
  Role: 'Rights within one namespace.',
  RoleBinding: 'Gives the rights of a role to users, groups and service accounts.',
  ClusterRole: 'Rights in the whole cluster, or to be given in single namespaces.',
  Secret: 'Confidential data that pods read as files or environment variables.',
  'Secret.data': 'Values by key, base64 encoded.',
  'Secret.stringData': 'Values in the clear; encoded into data when written, never shown.',
  Service: 'A stable name and address for a changing set of pods.',
  'ServiceSpec.clusterIP': 'The address inside the cluster; None for a headless service.',
  'ServiceSpec.ports': 'Ports of the service and the pod ports behind them.',
  'ServiceSpec.selector': 'Labels of the pods behind the service.',
  'ServiceSpec.type': 'Who can reach it: ClusterIP, NodePort, LoadBalancer or ExternalName.',
  ServiceAccount: 'An identity for pods.',
  StatefulSet: 'Keeps pods that each have a name and storage of their own.',
  'StatefulSetSpec.volumeClaimTemplates': 'Claims that every pod gets for itself.',
};

function lastPart(type: string): string {
  return type.slice(type.lastIndexOf('.') + 1);
}

/** What every object has, whatever its kind. */
export const rootFields = {
  apiVersion: 'APIVersion defines by which version of the API the object is to be read.',
  kind: 'Kind is the name of what the object is, such as Pod.',
  metadata: "Standard object's metadata: its name, its labels and what the server notes about it.",
} as const;

/** What a built-in type is, in a sentence; undefined where we have none. */
export function describeType(type: string): string | undefined {
  return texts[lastPart(type)];
}

/** What a field of a built-in type is for; undefined where we have none. */
export function describeField(type: string, field: string): string | undefined {
  return texts[`${lastPart(type)}.${field}`];
}
