import { messageOf } from '#base/errors/mesh-error.js';
import { isNotFound } from '#base/kube/api-error.js';
import { configMaps, pods, services } from '#base/kube/resource.js';
import type { ConfigMap, Pod, Service } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { annotatedState } from '../../rules/enrollment.js';
import { selectsLabels } from '../../rules/policy-targets.js';
import { isPodReady } from '../component-pods.js';
import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { listWaypoints } from '../waypoint-report.js';
import { AgentProbe } from './agent-probe.js';
import { reportProbe } from './probe-report.js';
import { resolveProbeTarget } from './probe-target.js';
import { runProbe } from './run-probe.js';

/** One connection that was made to see whether it works. */
export interface MeshProbe {
  readonly subject: string;
  /** The healthy fact, in words. */
  readonly fact: string;
  /** Set when the fact does not hold. */
  readonly finding?: Finding;
}

/** What was probed, and what could not be. */
export interface MeshProbes {
  readonly probes: readonly MeshProbe[];
  /** A sentence each. */
  readonly notes: readonly string[];
}

/** Up to this many nodes every pair is probed, both ways; with more: a ring, and every node to the first. */
const allPairsMax = 5;
const concurrencyMax = 4;
const waitMs = 12_000;
const tlsTimeoutMs = 5_000;
const controllerPort = 15012;

/**
 * Real connections: between the node proxies of pairs of nodes, through every waypoint, and from every node to the
 * controller. Starts from enrolled ready pods that are there, makes none, and sends no byte to applications.
 */
export async function probeMesh(observer: MeshObserver): Promise<MeshProbes> {
  const { client } = observer;
  const all = (await client.list<Pod>(pods)).filter(
    (pod) => annotatedState(pod) === 'enabled' && isPodReady(pod) && pod.spec.hostNetwork !== true,
  );
  const [controller, pairs, waypoints] = await Promise.all([
    probeControllers(observer),
    probeNodes(observer, all),
    probeWaypoints(observer, all),
  ]);
  const parts = [controller, pairs, waypoints];
  return { probes: parts.flatMap(({ probes }) => probes), notes: parts.flatMap(({ notes }) => notes) };
}

async function probeControllers(observer: MeshObserver): Promise<MeshProbes> {
  const { client, meshNamespace } = observer;
  const root = await client.getOrUndefined<ConfigMap>({
    resource: configMaps,
    namespace: meshNamespace,
    name: 'istio-ca-root-cert',
  });
  const roots = root?.data?.['root-cert.pem'];
  if (roots === undefined)
    return {
      probes: [],
      notes: [`the controller was not probed: ConfigMap ${meshNamespace}/istio-ca-root-cert has no roots`],
    };
  const host = `istiod.${meshNamespace}.svc`;
  const agents = await observer.components('cni');
  const probes = await mapConcurrently(
    agents,
    async (pod) => {
      const node = pod.spec.nodeName ?? '';
      const of = {
        subject: `Node ${node}`,
        fact: `reaches the controller at ${host}:${controllerPort} over TLS`,
      };
      const answer = await new AgentProbe(client, pod)
        .tls({ host, port: controllerPort, roots, timeoutMs: tlsTimeoutMs })
        .catch((error: unknown) => ({ error: messageOf(error) }));
      return answer.error === undefined
        ? of
        : {
            ...of,
            finding: controllerFinding(
              `Node ${node} does not reach the controller at ${host}:${controllerPort} over TLS: ${answer.error}`,
              node,
            ),
          };
    },
    concurrencyMax,
  );
  return { probes, notes: [] };
}

function controllerFinding(message: string, node: string): Finding {
  return {
    code: 'MESH0998',
    severity: 'error',
    message,
    subject: { kind: 'Node', name: node },
    dependsOn: [{ kind: 'Node', name: node }],
  };
}

async function probeNodes(observer: MeshObserver, enrolled: readonly Pod[]): Promise<MeshProbes> {
  const known = await observer.client.list<Service>(services);
  const proxies = await observer.components('ztunnel');
  const nodes = proxies.flatMap(({ spec }) => spec.nodeName ?? []);
  const servers = new Map<string, string>();
  const callers = new Map<string, Pod>();
  for (const pod of enrolled) {
    const node = pod.spec.nodeName ?? '';
    const port = servedPort(pod, known);
    if (!callers.has(node)) callers.set(node, pod);
    if (port !== undefined && !servers.has(node))
      servers.set(node, `pod/${pod.metadata.name}.${pod.metadata.namespace}:${port}`);
  }
  const without = nodes.filter((node) => !callers.has(node) || !servers.has(node));
  const wanted = pairsOf(nodes);
  const possible = wanted.filter(([a, b]) => callers.has(a) && servers.has(b));
  const probes = await mapConcurrently(
    possible,
    ([a, b]) =>
      probeOne(observer, {
        subject: `Node ${a}`,
        fact: `speaks mTLS with node ${b}`,
        from: callers.get(a) as Pod,
        to: servers.get(b) ?? '',
        hasPassed: ({ isEncrypted }, answered) => isEncrypted || answered,
      }),
    concurrencyMax,
  );
  return {
    probes,
    notes: [
      ...(nodes.length > allPairsMax
        ? [`${nodes.length} nodes: each was probed with the next and with the first, not with all others`]
        : []),
      ...(without.length === 0
        ? []
        : [
            `${wanted.length - possible.length} of ${wanted.length} node pairs were not probed: no ready enrolled pod with a known port on ${without.join(', ')}`,
          ]),
    ],
  };
}

function pairsOf(nodes: readonly string[]): readonly (readonly [string, string])[] {
  if (nodes.length <= allPairsMax)
    return nodes.flatMap((a) => nodes.filter((b) => b !== a).map((b) => [a, b] as const));
  const [first = ''] = nodes;
  const ring = nodes.map((a, index) => [a, nodes[(index + 1) % nodes.length] ?? ''] as const);
  return [...ring, ...nodes.slice(1, -1).map((a) => [a, first] as const)];
}

/** A port that something is expected to listen on: declared, probed for readiness, or called by a Service. */
function servedPort(pod: Pod, known: readonly Service[]): number | undefined {
  const declared = pod.spec.containers
    .flatMap(({ ports = [] }) => ports)
    .find(({ protocol = 'TCP' }) => protocol === 'TCP')?.containerPort;
  if (declared !== undefined) return declared;
  const targets = known
    .filter(
      ({ metadata, spec }) =>
        metadata.namespace === pod.metadata.namespace &&
        Object.keys(spec.selector ?? {}).length > 0 &&
        selectsLabels(spec.selector ?? {}, pod.metadata.labels ?? {}),
    )
    .flatMap(({ spec }) => spec.ports ?? [])
    .map(({ targetPort, port }) => targetPort ?? port);
  return targets.find((target) => typeof target === 'number');
}

async function probeWaypoints(observer: MeshObserver, enrolled: readonly Pod[]): Promise<MeshProbes> {
  const { client } = observer;
  const waypoints = await listWaypoints(client, {}).catch((error: unknown) => {
    if (isNotFound(error)) return [];
    throw error;
  });
  const notes: string[] = [];
  const probes: MeshProbe[] = [];
  for (const { namespace, name, users } of waypoints) {
    const key = `${namespace}/${name}`;
    const [caller] = enrolled;
    const target = await serviceBehind(observer, users);
    if (caller === undefined || target === undefined) {
      notes.push(
        `waypoint ${key} was not probed: ${caller === undefined ? 'no pod is enrolled' : 'no Service with pods uses it'}`,
      );
      continue;
    }
    probes.push(
      await probeOne(observer, {
        subject: `Waypoint ${key}`,
        fact: 'is passed by real connections',
        from: caller,
        to: target,
        hasPassed: ({ waypoint, isEncrypted }) => waypoint === key && isEncrypted,
      }),
    );
  }
  return { probes, notes };
}

/** A Service that uses a waypoint and has ready pods, as `TO` of a probe. */
async function serviceBehind(
  { client }: MeshObserver,
  users: readonly string[],
): Promise<string | undefined> {
  for (const user of users) {
    const [kind, at = ''] = user.split(' ');
    const [namespace = '', only] = at.split('/');
    if (kind !== 'Service' && kind !== 'Namespace') continue;
    const [found, members] = await Promise.all([
      client.list<Service>(services, { namespace }),
      client.list<Pod>(pods, { namespace }),
    ]);
    const service = found.find(
      ({ metadata, spec }) =>
        (only === undefined || metadata.name === only) &&
        spec.clusterIP !== undefined &&
        spec.clusterIP !== 'None' &&
        Object.keys(spec.selector ?? {}).length > 0 &&
        members.some(
          (pod) => isPodReady(pod) && selectsLabels(spec.selector ?? {}, pod.metadata.labels ?? {}),
        ),
    );
    const port = service?.spec.ports?.find(({ protocol = 'TCP' }) => protocol === 'TCP')?.port;
    if (service !== undefined && port !== undefined)
      return `svc/${service.metadata.name}.${namespace}:${port}`;
  }
  return undefined;
}

async function probeOne(
  observer: MeshObserver,
  of: {
    readonly subject: string;
    readonly fact: string;
    readonly from: Pod;
    readonly to: string;
    /** `answered`: the proxy of the target had the connection, whatever became of it. */
    readonly hasPassed: (report: ReturnType<typeof reportProbe>, answered: boolean) => boolean;
  },
): Promise<MeshProbe> {
  const { subject, fact, from, to } = of;
  try {
    const target = await resolveProbeTarget(observer.client, {
      to,
      namespace: from.metadata.namespace ?? '',
    });
    const evidence = await runProbe(observer, { from, target, protocol: 'tcp', path: '/', waitMs });
    const report = reportProbe(evidence);
    if (of.hasPassed(report, evidence.targetError !== undefined)) return { subject, fact };
    const [cause] = report.findings;
    return { subject, fact, finding: cause ?? notMade(`${subject} ${fact}: it does not; ${report.summary}`) };
  } catch (error) {
    return { subject, fact, finding: notMade(`${subject} ${fact}: not seen, since ${messageOf(error)}`) };
  }
}

function notMade(message: string): Finding {
  return { code: 'MESH0993', severity: 'error', message };
}
