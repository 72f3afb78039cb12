import { counted } from '#base/collections/counted.js';
import { apiError, fieldError } from '../../api-error.js';
import { equalJson, isObject, type JsonObject, objectOf, valueIn, stringMapOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionPlugin, AdmissionRequest } from '../../registry/admission.js';
import { baselineChecks } from './baseline.js';
import { replacedByRestricted, restrictedChecks } from './restricted.js';
import type { PodSecurityCheck, PodSecurityFinding, Subject } from './subject.js';

const prefix = 'pod-security.kubernetes.io/';
const modes = ['enforce', 'audit', 'warn'] as const;
const levels = ['privileged', 'baseline', 'restricted'] as const;
const version = /^(latest|v1\.(0|[1-9]\d{0,4}))$/;
/** Pods of a namespace that are looked at, and told of, when its level is raised. */
const existingPodsMax = 3000;
const shownPodsMax = 10;

type Mode = (typeof modes)[number];
type Level = (typeof levels)[number];

interface LevelVersion {
  readonly level: Level;
  readonly version: string;
}

/** Where the pod spec is in the kinds that make pods, by storage key. */
const templates: Readonly<Record<string, readonly string[]>> = {
  podtemplates: ['template'],
  replicationcontrollers: ['spec', 'template'],
  'replicasets.apps': ['spec', 'template'],
  'deployments.apps': ['spec', 'template'],
  'statefulsets.apps': ['spec', 'template'],
  'daemonsets.apps': ['spec', 'template'],
  'jobs.batch': ['spec', 'template'],
  'cronjobs.batch': ['spec', 'jobTemplate', 'spec', 'template'],
};

function levelOf(labels: Readonly<Record<string, string>> | undefined, mode: Mode): LevelVersion {
  const text = labels?.[`${prefix}${mode}`] ?? 'privileged';
  const known = levels.find((l) => l === text);
  // A label that says nothing known protects most: nobody means "anything goes" by a typing error.
  return { level: known ?? 'restricted', version: labels?.[`${prefix}${mode}-version`] ?? 'latest' };
}

const shown = ({ level, version: at }: LevelVersion): string => `"${level}:${at}"`;

function checksOf(level: Level): PodSecurityCheck[] {
  if (level === 'privileged') return [];
  const baseline = Object.entries(baselineChecks);
  if (level === 'baseline') return baseline.map(([, check]) => check);
  return [
    ...baseline.filter(([name]) => !replacedByRestricted.has(name)).map(([, check]) => check),
    ...restrictedChecks,
  ];
}

function findings(subject: Subject, level: Level): PodSecurityFinding[] {
  return checksOf(level)
    .map((check) => check(subject))
    .filter((f) => f !== undefined);
}

function listed(found: readonly PodSecurityFinding[]): string {
  return found.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ');
}

function subjectOf(template: JsonObject): Subject {
  return { annotations: stringMapOf(objectOf(template.metadata).annotations), spec: objectOf(template.spec) };
}

/** Holds pods to the Pod Security Standard that the labels of their namespace ask for. */
export function podSecurity(store: Store): AdmissionPlugin {
  return {
    name: 'PodSecurity',
    validate: (request) => {
      const { operation, resource, object, subresource = '' } = request;
      if (operation !== 'CREATE' && operation !== 'UPDATE') return;
      if (resource.storage === 'namespaces' && subresource === '') return checkNamespace(request, store);
      const labels = labelsOf(store, object.metadata.namespace);
      if (labels === undefined || !Object.keys(labels).some((key) => key.startsWith(prefix))) return;
      if (resource.storage === 'pods') {
        if (subresource === '' || subresource === 'ephemeralcontainers') checkPod(request, labels);
        return;
      }
      const path = templates[resource.storage];
      const template = path === undefined ? undefined : valueIn(object, ...path);
      if (isObject(template) && subresource === '') warn(request, labels, template);
    },
  };
}

function labelsOf(store: Store, namespace: string | undefined): Record<string, string> | undefined {
  return namespace === undefined ? undefined : store.get('namespaces', undefined, namespace)?.metadata.labels;
}

function warn(
  request: AdmissionRequest,
  labels: Readonly<Record<string, string>>,
  template: JsonObject,
): void {
  const asked = levelOf(labels, 'warn');
  const found = findings(subjectOf(template), asked.level);
  if (found.length > 0) request.warnings?.push(`would violate PodSecurity ${shown(asked)}: ${listed(found)}`);
}

function checkPod(request: AdmissionRequest, labels: Readonly<Record<string, string>>): void {
  const { object, old, resource } = request;
  // What a pod was admitted with it may keep: only changes of its spec are judged.
  if (old !== undefined && equalJson(object.spec, old.spec)) return;
  const asked = levelOf(labels, 'enforce');
  const found = findings(subjectOf(object), asked.level);
  if (found.length > 0) {
    throw apiError.forbidden(
      resource,
      object.metadata.name,
      `violates PodSecurity ${shown(asked)}: ${listed(found)}`,
    );
  }
  warn(request, labels, object);
}

function checkNamespace(request: AdmissionRequest, store: Store): void {
  const { object, old } = request;
  const { labels } = object.metadata;
  const before = old?.metadata.labels;
  const errors = modes.flatMap((mode) => {
    const level = labels?.[`${prefix}${mode}`];
    const at = labels?.[`${prefix}${mode}-version`];
    return [
      ...(level === undefined || level === before?.[`${prefix}${mode}`] || levels.some((l) => l === level)
        ? []
        : [
            fieldError.invalid(
              `metadata.labels[${prefix}${mode}]`,
              level,
              `must be one of ${levels.join(', ')}`,
            ),
          ]),
      ...(at === undefined || at === before?.[`${prefix}${mode}-version`] || version.test(at)
        ? []
        : [
            fieldError.invalid(`metadata.labels[${prefix}${mode}-version]`, at, 'must be "latest" or "v1.x"'),
          ]),
    ];
  });
  if (errors.length > 0) throw apiError.invalid('Namespace', '', object.metadata.name, errors);
  const asked = levelOf(labels, 'enforce');
  if (old === undefined || equalLevels(asked, levelOf(before, 'enforce'))) return;
  request.warnings?.push(...existingPodWarnings(object, asked, store));
}

const equalLevels = (a: LevelVersion, b: LevelVersion): boolean =>
  a.level === b.level && a.version === b.version;

/** What a raised level says of the pods that are there already; they go on running. */
function existingPodWarnings(namespace: ApiObject, asked: LevelVersion, store: Store): string[] {
  const { name } = namespace.metadata;
  const pods = store.list('pods', name).slice(0, existingPodsMax);
  const groups = new Map<string, string[]>();
  for (const pod of pods) {
    const found = findings(subjectOf(pod), asked.level);
    if (found.length === 0) continue;
    const reasons = found.map((f) => f.reason).join(', ');
    groups.set(reasons, [...(groups.get(reasons) ?? []), pod.metadata.name]);
  }
  if (groups.size === 0) return [];
  const lines = [...groups].map(([reasons, names]) => {
    const [first = ''] = names;
    const others = names.length - 1;
    const more = others === 0 ? '' : ` (and ${counted(others, 'other pod')})`;
    return `${first}${more}: ${reasons}`;
  });
  return [
    `existing pods in namespace ${JSON.stringify(name)} violate the new PodSecurity enforce level ${shown(asked)}`,
    ...lines.sort().slice(0, shownPodsMax),
  ];
}
