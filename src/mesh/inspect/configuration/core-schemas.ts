/** A JSON schema, as far as it is needed here. */
export type ShapeSchema = Readonly<Record<string, unknown>>;

const text = { type: 'string' };
const texts = { type: 'array', items: text };
const whole = { type: 'integer' };
const portValue = { type: ['integer', 'string'] };
const textMap = { type: 'object', additionalProperties: text };
const list = (items: ShapeSchema): ShapeSchema => ({ type: 'array', items });
const object = (properties: ShapeSchema, ...required: readonly string[]): ShapeSchema => ({
  type: 'object',
  properties,
  ...(required.length === 0 ? {} : { required }),
});

const selector = object({
  matchLabels: textMap,
  matchExpressions: list(object({ key: text, operator: text, values: texts }, 'key', 'operator')),
});
const probe = object({ httpGet: object({}), tcpSocket: object({}), grpc: object({}) });
const container = object(
  {
    name: text,
    image: text,
    ports: list(object({ name: text, containerPort: whole, protocol: text }, 'containerPort')),
    livenessProbe: probe,
    readinessProbe: probe,
    startupProbe: probe,
  },
  'name',
);
const podSpec = object(
  { containers: list(container), initContainers: list(container), hostNetwork: { type: 'boolean' } },
  'containers',
);
const template = object(
  { metadata: object({ labels: textMap, annotations: textMap }), spec: podSpec },
  'spec',
);
const workload = object({ spec: object({ replicas: whole, template }, 'template') }, 'spec');
const policyPorts = list(object({ protocol: text, port: portValue, endPort: whole }));
const policyPeers = list(
  object({
    podSelector: selector,
    namespaceSelector: selector,
    ipBlock: object({ cidr: text, except: texts }, 'cidr'),
  }),
);
const webhooks = object({
  webhooks: list(
    object(
      {
        name: text,
        failurePolicy: text,
        clientConfig: object({
          url: text,
          service: object({ namespace: text, name: text, path: text }, 'namespace', 'name'),
        }),
      },
      'name',
      'clientConfig',
    ),
  ),
});
const quantities = { type: 'object', additionalProperties: { type: ['string', 'number'] } };

/** What every object has. */
export const metadataSchema: ShapeSchema = object({
  metadata: object({ name: text, namespace: text, labels: textMap, annotations: textMap }, 'name'),
});

/** Fields of Kubernetes' own kinds that are read here, by `group/Kind`. */
export const coreSchemas: Readonly<Record<string, ShapeSchema>> = {
  '/Pod': object({ spec: podSpec }, 'spec'),
  '/Service': object(
    {
      spec: object({
        type: text,
        clusterIP: text,
        externalName: text,
        selector: textMap,
        ports: list(
          object(
            { name: text, port: whole, targetPort: portValue, protocol: text, appProtocol: text },
            'port',
          ),
        ),
      }),
    },
    'spec',
  ),
  '/ResourceQuota': object({ spec: object({ hard: quantities }) }),
  'apps/Deployment': workload,
  'apps/StatefulSet': workload,
  'apps/DaemonSet': workload,
  'apps/ReplicaSet': workload,
  'batch/Job': workload,
  'batch/CronJob': object(
    {
      spec: object(
        { jobTemplate: object({ spec: object({ template }, 'template') }, 'spec') },
        'jobTemplate',
      ),
    },
    'spec',
  ),
  'networking.k8s.io/NetworkPolicy': object({
    spec: object({
      podSelector: selector,
      policyTypes: texts,
      ingress: list(object({ from: policyPeers, ports: policyPorts })),
      egress: list(object({ to: policyPeers, ports: policyPorts })),
    }),
  }),
  'admissionregistration.k8s.io/MutatingWebhookConfiguration': webhooks,
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration': webhooks,
};
