import { isConflict, isNotFound, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { customResourceDefinitions } from '#base/kube/resource.js';
import type { CustomResourceDefinition, KubeObject, ManagedFieldsEntry } from '#base/kube/types.js';
import type { InstallReporter } from '../reporter.js';
import { isMap } from '../../templates/values.js';
import { fieldManager, isOurs } from './field-manager.js';

/** Says which release of the Gateway API a definition is; written by the published CRDs and by ours. */
export const bundleVersion = 'gateway.networking.k8s.io/bundle-version';
/** Which of the two channels it is of; likewise. */
const channel = 'gateway.networking.k8s.io/channel';
/** Where the API group's owners approved it: differs between the published CRDs and ours. */
const approval = 'api-approved.kubernetes.io';
/** Left by client-side `kubectl apply`. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

const versionsPath = ['f:spec', 'f:versions'];

/**
 * Whether a CRD is ours: an installation made it, and nobody declared it after us. An
 * edit is drift and is put back; but who applied the definition, with whatever tool,
 * owns it from then on.
 */
export function isOurCrd(live: KubeObject): boolean {
  if (!isOurs(live)) return false;
  const writers = entriesOf(live).filter((entry) => owns(entry, versionsPath));
  if (writers.length === 0 || writers.some(isOurEntry)) return true;
  const isDeclared = writers.some((w) => w.operation === 'Apply') || hasAnnotation(live, lastApplied);
  return !isDeclared && ![bundleVersion, approval].some((name) => isSetByOthers(live, name));
}

/** Whether the CRD of somebody else still carries fields that an installation of ours put there. */
export function isToBeReleased(live: KubeObject): boolean {
  return !isOurCrd(live) && entriesOf(live).some(isOurEntry);
}

/** Who declares a CRD that is not ours, as managedFields names it. */
export function declarerOf(live: KubeObject): string {
  const writer = entriesOf(live).findLast((entry) => owns(entry, versionsPath));
  return writer?.manager ?? 'somebody else';
}

/** Whether a CRD belongs to a newer release of the Gateway API than another. */
export function isNewerBundle(live: KubeObject, than: KubeObject): boolean {
  const [a, b] = [live, than].map((o) => releaseOf(o.metadata.annotations?.[bundleVersion]));
  if (a === undefined || b === undefined) return false;
  const at = a.findIndex((part, i) => part !== b[i]);
  return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
}

const attemptsMax = 5;

/**
 * Takes our labels and annotations off a CRD that became somebody else's, and gives up
 * every field we still own, so that its owner's next apply meets no conflict. The
 * definition itself stays as it is. Marks that an admission policy keeps do no harm: that is
 * reported, not thrown.
 */
export async function releaseCrd(client: KubeClient, name: string, reporter: InstallReporter): Promise<void> {
  const ref = { resource: customResourceDefinitions, name };
  for (let attempt = 1; ; attempt++) {
    const live = await client.getOrUndefined<CustomResourceDefinition>(ref);
    if (live === undefined || !isToBeReleased(live)) return;
    try {
      await client.patch(ref, releasePatch(live), 'json', { fieldManager });
      reporter.info(`${nameOfCrd(name)} is ${declarerOf(live)}'s now and no longer carries our labels`);
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      // Written since it was read: whose it is has to be looked at again.
      if (isConflict(error) && attempt < attemptsMax) continue;
      if (!(error instanceof KubeApiError)) throw error;
      reporter.warn(
        `${nameOfCrd(name)} is ${declarerOf(live)}'s now, and keeps our labels: ${error.message}`,
      );
      return;
    }
  }
}

function nameOfCrd(name: string): string {
  return `${customResourceDefinitions.kind} ${name}`;
}

function releasePatch(live: KubeObject): unknown[] {
  const { resourceVersion } = live.metadata;
  const others = entriesOf(live).filter((entry) => !isOurEntry(entry));
  return [
    // Makes the server refuse the patch when the CRD changed meanwhile.
    { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
    ...(['labels', 'annotations'] as const).flatMap((section) =>
      leftBehind(live, section).map((key) => ({
        op: 'remove',
        path: `/metadata/${section}/${escapePointer(key)}`,
      })),
    ),
    { op: 'replace', path: '/metadata/managedFields', value: others },
  ];
}

/** Labels or annotations that only an installation of ours put there. */
function leftBehind(live: KubeObject, section: 'labels' | 'annotations'): string[] {
  // Replaced as a whole, it has nothing that is not its owner's.
  if (!isOurs(live)) return [];
  const ours = entriesOf(live).filter(isOurEntry);
  const others = entriesOf(live).filter((entry) => !isOurEntry(entry));
  const declared = lastAppliedOf(live)?.[section];
  // A plain update takes over nothing that it leaves as it is: it may say the same release as we did.
  const isKnown = declared !== undefined || others.some((entry) => entry.operation === 'Apply');
  return Object.keys(live.metadata[section] ?? {}).filter((key) => {
    // The server refuses a CRD of a reserved group without it.
    if (key === approval || (isMap(declared) && key in declared)) return false;
    if (!isKnown && (key === bundleVersion || key === channel)) return false;
    const path = ['f:metadata', `f:${section}`, `f:${key}`];
    return ours.some((entry) => owns(entry, path)) && !others.some((entry) => owns(entry, path));
  });
}

/** The metadata that client-side `kubectl apply` was given; undefined when it was not used, or left something else. */
function lastAppliedOf(live: KubeObject): Readonly<Record<string, unknown>> | undefined {
  const text = live.metadata.annotations?.[lastApplied];
  if (text === undefined) return undefined;
  try {
    const { metadata } = JSON.parse(text) as { metadata?: unknown };
    return isMap(metadata) ? { labels: {}, annotations: {}, ...metadata } : undefined;
  } catch {
    return undefined;
  }
}

function entriesOf(live: KubeObject): readonly ManagedFieldsEntry[] {
  return live.metadata.managedFields ?? [];
}

/** The installer only ever applies; other requests of ours go by the same name. */
function isOurEntry(entry: ManagedFieldsEntry): boolean {
  return entry.manager === fieldManager && entry.operation === 'Apply';
}

/** Whether a field, or something below it, belongs to an entry. */
function owns(entry: ManagedFieldsEntry, path: readonly string[]): boolean {
  let at: unknown = entry.fieldsV1;
  for (const step of path) {
    if (!isMap(at) || !(step in at)) return false;
    at = at[step];
  }
  return true;
}

function hasAnnotation(live: KubeObject, name: string): boolean {
  return live.metadata.annotations?.[name] !== undefined;
}

function isSetByOthers(live: KubeObject, name: string): boolean {
  const path = ['f:metadata', 'f:annotations', `f:${name}`];
  return hasAnnotation(live, name) && !entriesOf(live).some((e) => isOurEntry(e) && owns(e, path));
}

/** `v1.6.1` and `v1.6.0-rc.2` as numbers; undefined for anything else. */
function releaseOf(version: string | undefined): number[] | undefined {
  const [, major, minor, patch, candidate] =
    /^v(\d+)\.(\d+)\.(\d+)(?:-rc\.?(\d+))?$/.exec(version ?? '') ?? [];
  if (patch === undefined) return undefined;
  return [major, minor, patch, candidate ?? Number.MAX_SAFE_INTEGER].map(Number);
}

function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
