import { lookup } from 'node:dns/promises';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { pods, services } from '#base/kube/resource.js';
import type { Pod, Service, ServicePort } from '#base/kube/types.js';
import { isIp } from '#base/net/address.js';
import { formatHostPort, parseAuthority } from '#base/net/authority.js';
import { appProtocolOf } from '../../rules/app-protocol.js';
import { selectsLabels } from '../../rules/policy-targets.js';
import { AppProtocol } from '../../xds/gen/istio/workload_pb.js';
import { isPodReady } from '../component-pods.js';
import { referredPod, splitKind } from '../references.js';
import { splitReference } from '../ztunnel-target.js';

/** Where a probe goes. */
export interface ProbedTarget {
  /** As shown: `Service shop/frontend:80`. */
  readonly text: string;
  readonly host: string;
  readonly port: number;
  /** What HTTP requests name as their host. */
  readonly authority: string;
  /** What the port is declared to carry; undefined when nothing says so. */
  readonly protocol: AppProtocol;
  /** Set for a Service. */
  readonly service?: { readonly namespace: string; readonly name: string };
  /** The pods that may answer, ready ones first; none outside of the cluster. */
  readonly pods: readonly Pod[];
  /** How a name was resolved, where that is worth a word. */
  readonly note?: string;
}

const protocolUnknown = AppProtocol.UNKNOWN;

/**
 * What `TO` means: a Service `[svc/]NAME[.NAMESPACE][:PORT]`, a pod or what has pods as `KIND/NAME[.NAMESPACE][:PORT]`,
 * `IP:PORT`, or `HOST:PORT` outside of the cluster. A Service wins over a host name. Rejects with MESH0204, MESH0909 or
 * MESH0990.
 */
export async function resolveProbeTarget(
  client: KubeClient,
  of: { readonly to: string; readonly namespace: string },
): Promise<ProbedTarget> {
  const { to, namespace } = of;
  const address = parseAuthority(to);
  if (address !== undefined && isIp(address.host)) {
    return { ...outside(to, address.host, address.port), pods: await podsAt(client, address.host) };
  }
  if (isIp(to))
    throw new MeshError('MESH0990', `which port of ${to}?`, {
      hint: `Write ${formatHostPort({ host: to, port: 80 })}.`,
    });
  const [kind, rest] = splitKind(to);
  const colon = rest.lastIndexOf(':');
  const bare = colon === -1 ? rest : rest.slice(0, colon);
  const portText = colon === -1 ? undefined : rest.slice(colon + 1);
  if (kind !== undefined && !['svc', 'service', 'services'].includes(kind.toLowerCase())) {
    return podTarget(client, { reference: `${kind}/${bare}`, portText, namespace });
  }
  const [name, own] = splitReference(bare.replace(/\.svc(\.[a-z0-9.-]+)?$/, ''));
  const at = { namespace: own ?? namespace, name };
  const service = await client.getOrUndefined<Service>({ resource: services, ...at });
  if (service !== undefined) return serviceTarget(client, service, portText);
  const port = Number(portText);
  if (kind === undefined && bare.includes('.') && Number.isInteger(port) && port > 0) {
    return hostTarget(bare, port, to);
  }
  throw new MeshError('MESH0204', `there is no Service ${at.name} in namespace ${at.namespace}`, {
    hint: 'TO is a Service NAME[.NAMESPACE][:PORT], pod/NAME[.NAMESPACE][:PORT], IP:PORT, or HOST:PORT outside of the cluster.',
  });
}

async function hostTarget(host: string, port: number, to: string): Promise<ProbedTarget> {
  try {
    const { address } = await lookup(host);
    return {
      ...outside(to, address, port),
      authority: to,
      note: `${host} is ${address} as this machine resolves it`,
    };
  } catch (error) {
    throw new MeshError('MESH0990', `${host} is no Service, and its name does not resolve here`, {
      evidence: messageOf(error),
      hint: 'Write the IP address instead.',
      cause: error,
    });
  }
}

function outside(text: string, host: string, port: number): ProbedTarget {
  return {
    text,
    host,
    port,
    authority: formatHostPort({ host, port }),
    protocol: protocolUnknown,
    pods: [],
  };
}

async function serviceTarget(
  client: KubeClient,
  service: Service,
  portText: string | undefined,
): Promise<ProbedTarget> {
  const { namespace = '', name } = service.metadata;
  const what = `Service ${namespace}/${name}`;
  const port = portOf(service, portText, what);
  const selector = service.spec.selector ?? {};
  const selected = Object.keys(selector).length === 0 ? [] : await client.list<Pod>(pods, { namespace });
  const members = readyFirst(
    selected.filter(({ metadata }) => selectsLabels(selector, metadata.labels ?? {})),
  );
  const base = {
    text: `${what}:${port.port}`,
    authority: `${name}.${namespace}:${port.port}`,
    protocol: appProtocolOf(port),
    service: { namespace, name },
    pods: members,
  };
  const { clusterIP } = service.spec;
  if (clusterIP !== undefined && isIp(clusterIP)) return { ...base, host: clusterIP, port: port.port };
  const [pod] = members;
  const host = pod?.status?.podIP;
  if (pod === undefined || host === undefined)
    throw new MeshError('MESH0990', `${what} has no address of its own and no pods`, {
      hint: 'Name a pod, or IP:PORT.',
    });
  return {
    ...base,
    host,
    port: podPortOf(pod, port),
    pods: [pod],
    note: `${what} has no address of its own: its pod ${pod.metadata.name} is called`,
  };
}

function portOf({ spec }: Service, portText: string | undefined, what: string): ServicePort {
  const ports = (spec.ports ?? []).filter(({ protocol = 'TCP' }) => protocol === 'TCP');
  const shown = ports.map(({ port, name }) => (name === undefined ? String(port) : `${port} (${name})`));
  const [only, ...others] = ports;
  const found =
    portText === undefined
      ? others.length === 0
        ? only
        : undefined
      : ports.find(({ port, name }) => String(port) === portText || name === portText);
  if (found !== undefined) return found;
  throw new MeshError(
    'MESH0990',
    portText === undefined ? `which port of ${what}?` : `${what} has no TCP port ${portText}`,
    { evidence: `TCP ports: ${shown.join(', ') || 'none'}` },
  );
}

function podPortOf(pod: Pod, { targetPort, port }: ServicePort): number {
  if (typeof targetPort === 'number') return targetPort;
  const named = pod.spec.containers
    .flatMap(({ ports = [] }) => ports)
    .find(({ name }) => name === targetPort && name !== undefined);
  return named?.containerPort ?? port;
}

async function podTarget(
  client: KubeClient,
  of: { readonly reference: string; readonly portText: string | undefined; readonly namespace: string },
): Promise<ProbedTarget> {
  const { reference, portText } = of;
  const { namespace, name } = await referredPod(client, { reference, namespace: of.namespace });
  const pod = await client.get<Pod>({ resource: pods, namespace, name });
  const what = `Pod ${namespace}/${name}`;
  const declared = pod.spec.containers
    .flatMap(({ ports = [] }) => ports)
    .filter(({ protocol = 'TCP' }) => protocol === 'TCP');
  const byName = declared.find((candidate) => candidate.name === portText && portText !== undefined);
  const port =
    portText === undefined
      ? declared.length === 1
        ? declared[0]?.containerPort
        : undefined
      : (byName?.containerPort ?? Number(portText));
  if (port === undefined || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new MeshError(
      'MESH0990',
      portText === undefined ? `which port of ${what}?` : `${what} has no port ${portText}`,
      {
        evidence: `TCP ports it declares: ${declared.map(({ containerPort }) => containerPort).join(', ') || 'none'}`,
      },
    );
  const host = pod.status?.podIP;
  if (host === undefined) throw new MeshError('MESH0990', `${what} has no address yet`);
  return {
    text: `${what}:${port}`,
    host,
    port,
    authority: formatHostPort({ host, port }),
    protocol: protocolUnknown,
    pods: [pod],
  };
}

async function podsAt(client: KubeClient, ip: string): Promise<readonly Pod[]> {
  const found = await client.list<Pod>(pods, { fieldSelector: `status.podIP=${ip}` });
  return found.filter(({ spec }) => spec.hostNetwork !== true);
}

function readyFirst(members: readonly Pod[]): readonly Pod[] {
  return members.toSorted((a, b) => Number(isPodReady(b)) - Number(isPodReady(a)));
}
