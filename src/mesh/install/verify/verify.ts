import { counted } from '#base/collections/counted.js';
import { groupBy } from '#base/collections/group-by.js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { componentPods } from '../../inspect/component-pods.js';
import { unreadyGatewayFinding, unreadyWaypoints } from '../../inspect/gateway-findings.js';
import { MeshObserver } from '../../inspect/mesh-observer.js';
import { noSuchGateway } from '../../inspect/waypoint-bindings.js';
import { listWaypoints } from '../../inspect/waypoint-report.js';
import { distrustText } from '../../inspect/trust.js';
import { listWaypointUsers } from '../../inspect/waypoint-users.js';
import { unhonoredConfiguration } from '../../inspect/checks/unhonored-check.js';
import { waypointKey } from '../../rules/waypoint.js';
import { waypointUserText } from '../../rules/waypoint-users.js';
import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { podHttp } from '#base/kube/port-forward.js';
import { gateways } from '#base/kube/resource.js';
import type { Gateway } from '#base/kube/types.js';
import { type Inventory, readInventory } from '../apply/inventory.js';
import { renderInstallation } from '../render/installation.js';
import { readTemplateFiles } from '../../templates/files.js';
import { effectiveValues } from '../values/effective.js';
import { checkConfiguration, checkedResources } from '../../inspect/checks/configuration-checks.js';
import type { Configuration } from '../../inspect/configuration/configuration.js';
import { readConfiguration } from '../../inspect/configuration/live-configuration.js';
import { type Finding, subjectOf } from '../../inspect/findings/finding.js';
import { asConsequencesOf, foldFindings } from '../../inspect/findings/fold.js';
import { absenceOfMesh } from '../../inspect/runtime/mesh-presence.js';
import { runtimeFindings } from '../../inspect/runtime/runtime-findings.js';
import { meshTrust } from '../../inspect/runtime/trust-findings.js';
import { selfSignedSecret } from '../../identity/ca/material-secret.js';
import { type Check, check } from './check.js';
import { interruptionOf, recordOf } from './interruption.js';
import { checkNodes } from './node-checks.js';
import { checkCrds, checkObjects } from './object-checks.js';
import { checkMeshOptions } from './option-checks.js';

/** What was found, against what was installed. */
export interface Verification {
  readonly version: string;
  readonly profile: string;
  readonly namespace: string;
  readonly checks: readonly Check[];
  /** What is wrong, by cause; checks that fail for a cause are folded under it. */
  readonly findings: readonly Finding[];
}

export interface VerifyRequest {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Where the controller answers its readiness check. */
const controllerPort = 8080;

/** Looks at everything at once; writes nothing. @throws MESH0309 when nothing is installed */
export async function verifyInstallation(request: VerifyRequest): Promise<Verification> {
  const { client, namespace, signal } = request;
  const inventory = await readInventory(client, namespace);
  if (inventory === undefined) {
    const absence = await absenceOfMesh(client, namespace);
    throw new MeshError(
      'MESH0309',
      absence?.message ?? `the mesh in namespace ${namespace} was not installed by meshctl`,
      absence === undefined
        ? {
            hint: 'meshctl status and meshctl analyze look at any mesh; this command needs a record of what was installed.',
          }
        : { evidence: absence.evidence?.join('\n'), hint: absence.fix },
    );
  }
  const has = (kind: string, name: string): boolean =>
    inventory.objects.some((o) => o.kind === kind && o.metadata.name === name);
  const observer = new MeshObserver(client, namespace);
  const record = recordOf(namespace);
  const [groups, runtime, configuration] = await Promise.all([
    Promise.all([
      checkObjects(client, { objects: inventory.objects, dependsOn: [record], signal }),
      checkCrds(client, crdNames(inventory, namespace)),
      has('Deployment', 'istiod') ? checkController(client, namespace) : [],
      has('DaemonSet', 'istio-cni-node') ? checkNodes(observer, request.now) : [],
      checkMeshOptions(observer),
      checkWaypoints(client, namespace),
      checkWaypointUsers(client, namespace),
      checkTrust(observer),
    ]),
    runtimeFindings(observer, { now: request.now }),
    readConfiguration(observer, { resources: checkedResources() }),
  ]);
  const interruption = interruptionOf(inventory, namespace);
  const finished = {
    area: 'installation',
    subject: `installation in ${namespace}`,
    fact: 'is finished',
    ...(interruption === undefined ? {} : { finding: interruption }),
  };
  const { version, profile } = inventory;
  const checks = [finished, ...groups.flat(), ...checkHonored(configuration)];
  const findings = foldFindings([
    ...asConsequencesOf(interruption, [
      ...runtime,
      ...checks.flatMap((made) => (made.finding === undefined || made === finished ? [] : made.finding)),
    ]),
    ...(interruption === undefined ? [] : [interruption]),
    ...checkConfiguration(configuration),
  ]);
  return { version, profile, namespace, checks, findings };
}

/** CRDs the installation relies on, also those that somebody else installed. */
function crdNames(inventory: Inventory, namespace: string): string[] {
  const files = readTemplateFiles();
  const effective = effectiveValues(files, {
    given: inventory.given,
    platform: inventory.platform,
    clientVersion: inventory.version,
  });
  return renderInstallation(files, effective, { namespace, clientVersion: inventory.version })
    .filter((p) => p.stage === 'crds')
    .map((p) => p.object.metadata.name);
}

async function checkController(client: KubeClient, namespace: string): Promise<Check[]> {
  const pods = await componentPods(client, 'controller', namespace);
  const of = {
    area: 'controller',
    fact: 'is ready',
    code: 'MESH0335',
    dependsOn: [{ kind: 'Deployment', namespace, name: 'istiod' }],
  };
  if (pods.length === 0) {
    return [check({ ...of, subject: `Controller in ${namespace}`, problem: 'no pod of it runs' })];
  }
  return Promise.all(
    pods.map(async (pod) => {
      const { name } = pod.metadata;
      const subject = `Controller ${namespace}/${name}`;
      const node = { kind: 'Node', name: pod.spec.nodeName ?? '' };
      const by = {
        dependsOn: [subjectOf({ kind: 'Pod', metadata: pod.metadata }), node, ...of.dependsOn],
      };
      try {
        const { status, body } = await podHttp(client, {
          namespace,
          pod: name,
          port: controllerPort,
          path: '/ready',
        });
        const problem = status === 200 ? undefined : `answers ${status} to /ready: ${body.trim()}`;
        return check({ ...of, ...by, subject, problem });
      } catch (error) {
        return check({ ...of, ...by, subject, problem: `cannot be asked: ${messageOf(error)}` });
      }
    }),
  );
}

/** What the cluster holds for the mesh is acted on. Warnings: nothing is broken, but somebody waits in vain. */
function checkHonored(configuration: Configuration): Check[] {
  const of = { area: 'honored', subject: 'Configuration', fact: 'is all acted on' };
  const findings = unhonoredConfiguration.run(configuration);
  return findings.length === 0 ? [of] : findings.map((finding) => ({ ...of, finding }));
}

/** Everything that names a waypoint names one that exists: calls to it are refused otherwise. */
async function checkWaypointUsers(client: KubeClient, meshNamespace: string): Promise<Check[]> {
  const [users, known] = await Promise.all([listWaypointUsers(client), gatewayKeys(client)]);
  return users
    .filter((user) => !known.has(user.waypoint))
    .map((user) => {
      const { kind, namespace: home, name: userName, waypoint } = user;
      const subject = { kind, ...(home === undefined ? {} : { namespace: home }), name: userName };
      const [namespace = '', name = ''] = waypoint.split('/');
      const finding = unreadyGatewayFinding({
        namespace,
        name,
        why: noSuchGateway,
        meshNamespace,
        concerns: [subject],
        dependsOn: [subject],
        fix: `meshctl waypoint apply ${name} -n ${namespace}`,
      });
      return {
        area: 'waypoint',
        subject: waypointUserText(user),
        fact: 'uses a waypoint that exists',
        finding,
      };
    });
}

async function gatewayKeys(client: KubeClient): Promise<ReadonlySet<string>> {
  try {
    const all = await client.list<Gateway>(gateways);
    return new Set(all.map(({ metadata }) => waypointKey(metadata.namespace ?? '', metadata.name)));
  } catch (error) {
    if (isNotFound(error)) return new Set();
    throw error;
  }
}

/** Every proxy accepts the certificates of all others. */
async function checkTrust(observer: MeshObserver): Promise<Check[]> {
  const [proxies, { distrust }] = await Promise.all([observer.trust(), meshTrust(observer)]);
  const byProxy = groupBy(distrust, ({ proxy }) => proxy);
  return proxies.map(({ proxy }) => {
    const refused = byProxy.get(proxy) ?? [];
    const [first] = refused;
    const others = refused.length > 1 ? `; likewise ${counted(refused.length - 1, 'more proxy')}` : '';
    return check({
      dependsOn: [{ kind: 'Secret', namespace: observer.meshNamespace, name: selfSignedSecret }],
      area: 'trust',
      subject: `Proxy ${proxy}`,
      fact: 'trusts the certificates of all proxies',
      code: 'MESH0935',
      problem: first === undefined ? undefined : `${distrustText(first)}${others}`,
    });
  });
}

async function checkWaypoints(client: KubeClient, meshNamespace: string): Promise<Check[]> {
  try {
    const waypoints = await listWaypoints(client, {});
    return waypoints.map((w) => {
      const made = { area: 'waypoint', subject: `Waypoint ${w.namespace}/${w.name}`, fact: 'is ready' };
      const [finding] = unreadyWaypoints([w], meshNamespace);
      return finding === undefined ? made : { ...made, finding };
    });
  } catch (error) {
    // Without the Gateway API there are no waypoints; that the CRDs are missing is a finding of its own.
    if (isNotFound(error)) return [];
    throw error;
  }
}
