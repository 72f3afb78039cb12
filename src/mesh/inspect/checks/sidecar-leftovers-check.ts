import { someOf } from '#base/collections/some-of.js';
import { dataplaneMode, revision, sidecarStatus } from '#base/kube/labels.js';
import {
  mutatingWebhookConfigurations,
  namespaces,
  pods,
  type Resource,
  services,
  validatingWebhookConfigurations,
} from '#base/kube/resource.js';
import type { KubeObject, Namespace, Pod, WebhookConfiguration } from '#base/kube/types.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { findingAbout } from './check-finding.js';
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
  codes: ['MESH1104', 'MESH1105', 'MESH1106', 'MESH1150', 'MESH1151'],
  reads: [namespaces, pods, services, mutatingWebhookConfigurations, validatingWebhookConfigurations],
  run: (configuration) => [
    ...configuration
      .list<Namespace>(namespaces)
      .filter((namespace) => configuration.isAskedAbout(namespace))
      .flatMap((namespace) => namespaceFindings(namespace, configuration)),
    ...foreignWebhookFindings(configuration),
  ],
};

/** What {@link foreignWebhookFindings} reads. */
export const webhookResources: readonly Resource[] = [
  services,
  mutatingWebhookConfigurations,
  validatingWebhookConfigurations,
];

/** Webhooks of other meshes: those that call nobody any more, and those that work. */
export function foreignWebhookFindings(configuration: Configuration): readonly Finding[] {
  return [mutatingWebhookConfigurations, validatingWebhookConfigurations].flatMap((resource) =>
    configuration
      .list<WebhookConfiguration>(resource)
      .flatMap((webhooks) => webhookFindings(webhooks, configuration)),
  );
}

function namespaceFindings(namespace: Namespace, configuration: Configuration): Finding[] {
  const { name, labels = {} } = namespace.metadata;
  if (labels[dataplaneMode] !== 'ambient') return [];
  const asked = labels[injectionLabel] === 'enabled' ? injectionLabel : undefined;
  const withSidecar = configuration
    .inNamespace<Pod>(pods, name)
    .filter(({ metadata }) => metadata.annotations?.[sidecarStatus] !== undefined);
  const onHost = configuration.inNamespace<Pod>(pods, name).filter(({ spec }) => spec.hostNetwork === true);
  return [
    ...(asked === undefined
      ? []
      : [
          findingAbout(namespace, configuration, {
            code: 'MESH1104',
            severity: 'warning',
            message: `Namespace ${name} asks for sidecars (${asked}=enabled) and for ambient mode: a pod that gets a sidecar is left out of the mesh, all others are captured`,
            fix: `kubectl label namespace ${name} ${asked}- ${labels[revision] === undefined ? '' : `${revision}-`}`.trim(),
          }),
        ]),
    ...(withSidecar.length === 0
      ? []
      : [
          findingAbout(namespace, configuration, {
            code: 'MESH1105',
            severity: 'warning',
            message: `Namespace ${name} is in the mesh, but ${withSidecar.length} of its pods have a sidecar and are left out`,
            concerns: withSidecar.map((pod) => subjectOf({ kind: 'Pod', metadata: pod.metadata })),
            evidence: withSidecar.slice(0, 5).map(({ metadata }) => `Pod ${name}/${metadata.name}`),
            fix: `Restart them without injection: kubectl rollout restart deployment -n ${name}`,
          }),
        ]),
    ...(onHost.length === 0
      ? []
      : [
          findingAbout(namespace, configuration, {
            code: 'MESH1106',
            severity: 'info',
            message: `Namespace ${name} is in the mesh, but ${onHost.length} of its pods use the network of their node and are left out: ${someOf(onHost.map(({ metadata }) => metadata.name))}`,
            concerns: onHost.map((pod) => subjectOf({ kind: 'Pod', metadata: pod.metadata })),
            fix: 'Run them without hostNetwork, or expect plaintext to and from them.',
          }),
        ]),
  ];
}

function webhookFindings(configured: WebhookConfiguration, configuration: Configuration): Finding[] {
  const { name, labels = {} } = configured.metadata;
  const names = [name, labels['app'] ?? '', ...(configured.webhooks ?? []).map((webhook) => webhook.name)];
  const mesh = meshesOf.find(({ pattern }) => names.some((own) => pattern.test(own)))?.mesh;
  if (mesh === undefined) return [];
  const subject = subjectText(subjectOf(configured));
  const remove = `kubectl delete ${configured.kind.toLowerCase()} ${name}`;
  const called = (configured.webhooks ?? []).map((webhook) => ({
    ...webhook,
    problem: problemOf(webhook.clientConfig.service, configuration),
  }));
  const dead = called.filter(({ problem }) => typeof problem === 'string');
  const worst = dead.find(({ failurePolicy }) => failurePolicy !== 'Ignore') ?? dead[0];
  if (worst !== undefined) {
    const isFatal = worst.failurePolicy !== 'Ignore';
    return [
      findingAbout(configured, configuration, {
        code: 'MESH1150',
        severity: isFatal ? 'error' : 'warning',
        message: `${subject} of ${mesh} calls ${worst.problem}: ${isFatal ? 'what it selects cannot be created or changed' : 'every such request waits for it in vain'}`,
        evidence: dead.map(
          (webhook) => `webhook ${webhook.name}, failurePolicy ${webhook.failurePolicy ?? 'Fail'}`,
        ),
        fix: remove,
      }),
    ];
  }
  // Whether a service that may not be seen is there, nobody knows.
  if (called.every(({ problem }) => problem === null)) return [];
  return [
    findingAbout(configured, configuration, {
      code: 'MESH1151',
      severity: 'warning',
      message: `${subject} belongs to another mesh (${mesh}): pods that it gives a sidecar are left out of this one`,
      fix: `${remove}, when that mesh is no longer wanted`,
    }),
  ];
}

/** Why a webhook's service answers nothing; undefined when it may, null when it cannot be seen. This mesh has no webhooks. */
function problemOf(
  service: { readonly namespace: string; readonly name: string } | undefined,
  configuration: Configuration,
): string | undefined | null {
  if (service === undefined) return undefined;
  const text = `Service ${service.namespace}/${service.name}`;
  if (service.namespace === configuration.meshNamespace && service.name === 'istiod') {
    return `${text}, the controller of this mesh, which answers no webhooks`;
  }
  if (!configuration.isSeen(services, service.namespace)) return null;
  return configuration.find<KubeObject>(services, service) === undefined
    ? `${text}, which does not exist`
    : undefined;
}
