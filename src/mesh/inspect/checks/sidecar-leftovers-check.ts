import { dataplaneMode, revision, sidecarStatus } from '#base/kube/labels.js';
import {
  mutatingWebhookConfigurations,
  namespaces,
  pods,
  services,
  validatingWebhookConfigurations,
} from '#base/kube/resource.js';
import type { KubeObject, Namespace, Pod, WebhookConfiguration } from '#base/kube/types.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

const injectionLabel = 'istio-injection';

/** Meshes whose webhooks act on pods or on the mesh's own kinds, by the group or name in which they are known. */
const meshesOf: readonly { readonly mesh: string; readonly pattern: RegExp }[] = [
  { mesh: 'Istio', pattern: /(^|[.-])istio(d)?([.-]|$)/ },
  { mesh: 'Linkerd', pattern: /linkerd/ },
  { mesh: 'Consul', pattern: /consul/ },
  { mesh: 'Kuma', pattern: /kuma/ },
  { mesh: 'Open Service Mesh', pattern: /(^|-)osm(-|$)/ },
];

/** What another mesh, or a mesh of sidecars, left behind: webhooks, injection labels, pods with sidecars. */
export const sidecarLeftovers: ConfigurationCheck = {
  codes: ['MESH1104', 'MESH1105', 'MESH1150', 'MESH1151'],
  reads: [namespaces, pods, services, mutatingWebhookConfigurations, validatingWebhookConfigurations],
  run: (configuration) => [
    ...configuration
      .list<Namespace>(namespaces)
      .filter((namespace) => configuration.isAskedAbout(namespace))
      .flatMap((namespace) => namespaceFindings(namespace, configuration)),
    ...[mutatingWebhookConfigurations, validatingWebhookConfigurations].flatMap((resource) =>
      configuration
        .list<WebhookConfiguration>(resource)
        .flatMap((webhooks) => webhookFindings(webhooks, configuration)),
    ),
  ],
};

function namespaceFindings(namespace: Namespace, configuration: Configuration): Finding[] {
  const { name, labels = {} } = namespace.metadata;
  if (labels[dataplaneMode] !== 'ambient') return [];
  const subject = subjectOf(namespace);
  const place = configuration.placeOf(namespace);
  const common = { subject, ...(place === undefined ? {} : { place }) };
  const asked = labels[injectionLabel] === 'enabled' ? injectionLabel : undefined;
  const withSidecar = configuration
    .list<Pod>(pods)
    .filter(
      ({ metadata }) => metadata.namespace === name && metadata.annotations?.[sidecarStatus] !== undefined,
    );
  return [
    ...(asked === undefined
      ? []
      : [
          {
            ...common,
            code: 'MESH1104',
            severity: 'warning' as const,
            message: `Namespace ${name} asks for sidecars (${asked}=enabled) and for ambient mode: a pod that gets a sidecar is left out of the mesh, all others are captured`,
            fix: `kubectl label namespace ${name} ${asked}- ${labels[revision] === undefined ? '' : `${revision}-`}`.trim(),
          },
        ]),
    ...(withSidecar.length === 0
      ? []
      : [
          {
            ...common,
            code: 'MESH1105',
            severity: 'warning' as const,
            message: `Namespace ${name} is in the mesh, but ${withSidecar.length} of its pods have a sidecar and are left out`,
            concerns: withSidecar.map((pod) => subjectOf({ kind: 'Pod', metadata: pod.metadata })),
            evidence: withSidecar.slice(0, 5).map(({ metadata }) => `Pod ${name}/${metadata.name}`),
            fix: `Restart them without injection: kubectl rollout restart deployment -n ${name}`,
          },
        ]),
  ];
}

function webhookFindings(configured: WebhookConfiguration, configuration: Configuration): Finding[] {
  const { name, labels = {} } = configured.metadata;
  const mesh = meshesOf.find(({ pattern }) => pattern.test(`${name} ${labels['app'] ?? ''}`))?.mesh;
  if (mesh === undefined) return [];
  const subject = subjectOf(configured);
  const remove = `kubectl delete ${configured.kind.toLowerCase()} ${name}`;
  const dead = (configured.webhooks ?? []).filter(({ clientConfig }) => {
    const service = clientConfig.service;
    if (service === undefined || !configuration.isSeen(services, service.namespace)) return false;
    return configuration.find<KubeObject>(services, service) === undefined;
  });
  const [first] = dead;
  if (first !== undefined) {
    const at = first.clientConfig.service;
    const isFatal = first.failurePolicy !== 'Ignore';
    return [
      {
        code: 'MESH1150',
        severity: isFatal ? 'error' : 'warning',
        message: `${subjectText(subject)} of ${mesh} calls Service ${at?.namespace}/${at?.name}, which does not exist: ${isFatal ? 'what it selects cannot be created or changed' : 'every such request waits for it in vain'}`,
        subject,
        fix: remove,
      },
    ];
  }
  return [
    {
      code: 'MESH1151',
      severity: 'warning',
      message: `${subjectText(subject)} belongs to another mesh (${mesh}): pods that it gives a sidecar are left out of this one`,
      subject,
      fix: `${remove}, when that mesh is no longer wanted`,
    },
  ];
}
