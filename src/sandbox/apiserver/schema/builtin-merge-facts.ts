/** How one list or map of a built-in type is merged; the published x-kubernetes-* and patch facts of the API. */
export interface MergeFact {
  readonly keys?: readonly string[];
  readonly isSet?: boolean;
  /** Strategic merge patch: merge by this key ('' for a list of scalars). */
  readonly mergeKey?: string;
  readonly isAtomicMap?: boolean;
  /** Strategic merge patch: keys absent from the patch are dropped. */
  readonly retainsKeys?: boolean;
}

const byName: MergeFact = { keys: ['name'], mergeKey: 'name' };
const containerLists = {
  ports: { keys: ['containerPort', 'protocol'], mergeKey: 'containerPort' },
  env: byName,
  volumeMounts: { keys: ['mountPath'], mergeKey: 'mountPath' },
  volumeDevices: { keys: ['devicePath'], mergeKey: 'devicePath' },
} as const satisfies Record<string, MergeFact>;

/** Facts by type and field. Lists that are not named here are atomic. */
export const mergeFacts: Readonly<Record<string, Readonly<Record<string, MergeFact>>>> = {
  V1ObjectMeta: {
    ownerReferences: { keys: ['uid'], mergeKey: 'uid' },
    finalizers: { isSet: true, mergeKey: '' },
  },
  V1PodSpec: {
    containers: byName,
    initContainers: byName,
    ephemeralContainers: byName,
    volumes: { ...byName, retainsKeys: true },
    imagePullSecrets: byName,
    hostAliases: { keys: ['ip'], mergeKey: 'ip' },
    topologySpreadConstraints: { keys: ['topologyKey', 'whenUnsatisfiable'], mergeKey: 'topologyKey' },
    schedulingGates: byName,
    resourceClaims: { ...byName, retainsKeys: true },
    nodeSelector: { isAtomicMap: true },
  },
  V1PodStatus: {
    podIPs: { keys: ['ip'], mergeKey: 'ip' },
    resourceClaimStatuses: { ...byName, retainsKeys: true },
    hostIPs: { mergeKey: 'ip' },
  },
  V1Container: containerLists,
  V1EphemeralContainer: containerLists,
  V1ContainerStatus: { volumeMounts: { keys: ['mountPath'], mergeKey: 'mountPath' } },
  V1ResourceRequirements: { claims: { keys: ['name'] } },
  V1VolumeResourceRequirements: {},
  V1ServiceSpec: {
    ports: { keys: ['port', 'protocol'], mergeKey: 'port' },
    selector: { isAtomicMap: true },
  },
  V1ServiceAccount: { secrets: byName },
  V1NodeStatus: { addresses: { keys: ['type'], mergeKey: 'type' } },
  V1NodeSpec: { podCIDRs: { isSet: true, mergeKey: '' } },
  V1DeploymentSpec: { strategy: { retainsKeys: true } },
  V1MutatingWebhookConfiguration: { webhooks: byName },
  V1ValidatingWebhookConfiguration: { webhooks: byName },
  V1MutatingWebhook: { matchConditions: byName },
  V1ValidatingWebhook: { matchConditions: byName },
  V1ValidatingAdmissionPolicySpec: {
    variables: byName,
    matchConditions: byName,
  },
  V1PodDisruptionBudgetSpec: { selector: { mergeKey: '' } },
  V1EndpointSubset: {},
};

/** Structs that server-side apply treats as one value. */
export const atomicTypes: ReadonlySet<string> = new Set([
  'V1LabelSelector',
  'V1LocalObjectReference',
  'V1ObjectReference',
  'V1SecretKeySelector',
  'V1ConfigMapKeySelector',
  'V1ObjectFieldSelector',
  'V1ResourceFieldSelector',
  'V1SecretReference',
  'V1NodeSelector',
  'V1NodeSelectorTerm',
  'V1TypedLocalObjectReference',
  'V1OwnerReference',
  'V1RoleRef',
  'RbacV1Subject',
  'V1EndpointAddress',
  'CoreV1EndpointPort',
  'DiscoveryV1EndpointPort',
  'V1ScopeSelector',
  'V1ParamKind',
  'V1ParamRef',
]);

/** Defaults that server-side apply needs to compute list keys, before kind defaulting runs. */
export const keyDefaults: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  V1ContainerPort: { protocol: 'TCP' },
  V1ServicePort: { protocol: 'TCP' },
};
