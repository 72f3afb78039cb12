import { isConflict, isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import {
  authorizationPolicies,
  customResourceDefinitions,
  gatewayClasses,
  gateways,
  peerAuthentications,
  type Resource,
} from '#base/kube/resource.js';
import type { CustomResourceDefinition, KubeObject } from '#base/kube/types.js';
import { type FieldChange, objectDiff } from '../apply/object-diff.js';
import { isOurCrd } from '../apply/crd-ownership.js';
import { fieldManager } from '../apply/field-manager.js';
import { nameOf, refOf } from '../apply/plan-changes.js';
import { missingForReady, podsOf } from '../apply/readiness.js';
import { isPodReady } from '../../inspect/component-pods.js';
import { type FindingSubject, subjectOf } from '../../inspect/findings/finding.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { resourceOf } from '../kinds.js';
import { type Check, check } from './check.js';

/** Requests in flight: reads and dry runs only. */
const concurrency = 16;

/** Every object of the inventory: there, as it was applied, and (a workload) rolled out. */
export async function checkObjects(
  client: KubeClient,
  of: {
    readonly objects: readonly KubeObject[];
    /** What explains that an object is not as it should be: the installation that put it there. */
    readonly dependsOn: readonly FindingSubject[];
    readonly signal: AbortSignal;
  },
): Promise<Check[]> {
  const checks = await mapConcurrently(
    of.objects,
    (object) => checkObject(client, { ...of, object }),
    concurrency,
  );
  return checks.flat();
}

async function checkObject(
  client: KubeClient,
  of: {
    readonly object: KubeObject;
    readonly dependsOn: readonly FindingSubject[];
    readonly signal: AbortSignal;
  },
): Promise<Check[]> {
  const { object, signal } = of;
  const subject = nameOf(object);
  const live = await client.getOrUndefined<KubeObject>(refOf(object));
  const about = subjectOf(object);
  const exists = {
    area: 'object',
    subject,
    fact: 'is there and as it was installed',
    about,
    dependsOn: of.dependsOn,
    fix: 'meshctl install',
  };
  if (live === undefined) return [check({ ...exists, code: 'MESH0330', problem: 'is missing' })];
  // Its new owner decides what it is; that it is served is checked for every CRD.
  if (object.kind === customResourceDefinitions.kind && !isOurCrd(live)) return [];
  const changed = await drift(client, { live, object, signal });
  // That it was stopped, for one, is a change of it: whatever says so of the object comes before.
  const checks = [
    check({ ...exists, code: 'MESH0331', problem: changed, dependsOn: [...of.dependsOn, about] }),
  ];
  if (object.kind === 'Deployment' || object.kind === 'DaemonSet') {
    const missing = missingForReady(live);
    const unready =
      missing === undefined ? [] : (await podsOf(client, live)).filter((pod) => !isPodReady(pod));
    checks.push(
      check({
        area: 'rollout',
        subject,
        fact: 'is rolled out, every pod up to date and ready',
        code: 'MESH0332',
        problem: missing,
        about,
        dependsOn: [
          about,
          ...unready.flatMap(({ metadata, spec }) => [
            subjectOf({ kind: 'Pod', metadata }),
            ...(spec.nodeName === undefined ? [] : [{ kind: 'Node', name: spec.nodeName }]),
          ]),
        ],
        fix: `kubectl rollout status ${object.kind.toLowerCase()} ${object.metadata.name} -n ${object.metadata.namespace}`,
      }),
    );
  }
  return checks;
}

/** What applying the recorded object again would put back, as the API server computes it. */
async function drift(
  client: KubeClient,
  of: { live: KubeObject; object: KubeObject; signal: AbortSignal },
): Promise<string | undefined> {
  try {
    const after = await client.apply<KubeObject>(resourceOf(of.object), of.object, {
      fieldManager,
      force: true,
      dryRun: true,
      signal: of.signal,
    });
    const changes = objectDiff(of.live, after);
    return changes.length === 0 ? undefined : `was changed: ${changesText(changes)}`;
  } catch (error) {
    if (isNotFound(error)) return 'vanished while it was looked at';
    // It was written between the two requests; the next look will tell.
    if (isConflict(error)) return undefined;
    throw error;
  }
}

function changesText(changes: readonly FieldChange[]): string {
  const shownMax = 3;
  const textMaxChars = 60;
  const short = (value: unknown): string =>
    value === undefined ? 'absent' : JSON.stringify(value).slice(0, textMaxChars);
  const shown = changes
    .slice(0, shownMax)
    .map((c) => `${c.path} is ${short(c.before)}, was installed as ${short(c.after)}`);
  const rest = changes.length - shown.length;
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join('; ');
}

/** Kinds that the mesh reads, in the version in which it reads them. */
const readKinds: readonly Resource[] = [gatewayClasses, gateways, authorizationPolicies, peerAuthentications];

/** Every kind the mesh is configured with is served, whoever installed it, and as the mesh reads it. */
export async function checkCrds(client: KubeClient, names: readonly string[]): Promise<Check[]> {
  if (names.length === 0) return [];
  const live = await client.list<CustomResourceDefinition>(customResourceDefinitions);
  const byName = new Map(live.map((crd) => [crd.metadata.name, crd]));
  return names.map((name) => {
    const crd = byName.get(name);
    return check({
      area: 'crd',
      subject: `CustomResourceDefinition ${name}`,
      fact: 'is established',
      code: 'MESH0334',
      problem: crd === undefined ? 'is missing' : (missingForReady(crd) ?? unservedOf(crd)),
    });
  });
}

function unservedOf({ spec }: CustomResourceDefinition): string | undefined {
  const read = readKinds.find((kind) => kind.group === spec.group && kind.plural === spec.names.plural);
  if (read === undefined || spec.versions.some((v) => v.served && v.name === read.version)) return undefined;
  return `does not serve ${read.version}, which the mesh reads`;
}
