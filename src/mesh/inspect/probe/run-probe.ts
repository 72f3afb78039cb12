import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { gatewayName } from '#base/kube/labels.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { parseAuthority } from '#base/net/authority.js';
import { AppProtocol } from '../../xds/gen/istio/workload_pb.js';
import { adminGet, podOnNode } from '../component-pods.js';
import type { MeshObserver } from '../mesh-observer.js';
import { connectionsOf, type DumpConnection, type DumpWorkload, type ZtunnelDump } from '../ztunnel-dump.js';
import { fetchZtunnelDump } from '../ztunnel-target.js';
import { AgentProbe, type AgentOpening, type AgentState } from './agent-probe.js';
import type { AskedProxy, ProbeEvidence, ProbePod, WaypointTunnel } from './probe-evidence.js';
import type { ProbedTarget } from './probe-target.js';
import { findLogLine, type ProxyLogFields } from './proxy-log.js';
import { isAnswerOfProxy, policyOfL4Reason, waypointDecision } from './probe-policy.js';

export interface ProbeRun {
  readonly from: Pod;
  readonly target: ProbedTarget;
  /** Whether one GET is sent: as the port is declared (`auto`), never (`tcp`) or in any case (`http`). */
  readonly protocol: 'auto' | 'tcp' | 'http';
  readonly path: string;
  /** Milliseconds for the connection to be made, or to fail. */
  readonly waitMs: number;
}

/** The kernel of the pod has this long to connect; through the mesh that is next to nothing. */
const connectMs = 5_000;
/** An uncaptured connection that is not ended by now is taken as made. */
const settleMs = 700;
const firstPauseMs = 40;
const pauseMaxMs = 600;
/** Target nodes whose proxies are looked at. */
const nodesMax = 5;

/**
 * Opens one connection from inside a pod and reads from every proxy in its way what it became. Nothing is left behind.
 * Rejects with MESH0991 or MESH0992 when there is nobody to open it.
 */
export async function runProbe(observer: MeshObserver, run: ProbeRun): Promise<ProbeEvidence> {
  const { client } = observer;
  const { from, target } = run;
  const node = from.spec.nodeName ?? '';
  const agentPod = podOnNode(await observer.components('cni'), node);
  if (agentPod === undefined)
    throw new MeshError(
      'MESH0991',
      `no CNI agent runs on node ${node || '(none)'}, where Pod ${from.metadata.namespace}/${from.metadata.name} is`,
      {
        hint: 'A probe is made by the agent of the node of its source: pick a source on another node, or install the mesh there.',
      },
    );
  const agent = new AgentProbe(client, agentPod);
  const sinceMs = Date.now();
  const { uid = '' } = from.metadata;
  const opening = await agent.open({
    uid,
    host: target.host,
    port: target.port,
    timeoutMs: Math.min(connectMs, run.waitMs),
  });
  try {
    return await new Look(observer, { run, agent, opening, sinceMs, node }).all();
  } finally {
    if (opening.id !== undefined) await agent.close(opening.id).catch(() => undefined);
  }
}

interface LookOptions {
  readonly run: ProbeRun;
  readonly agent: AgentProbe;
  readonly opening: AgentOpening;
  readonly sinceMs: number;
  readonly node: string;
}

/** A connection as the proxy of its target shows it. */
interface InboundSeen {
  readonly connection?: DumpConnection;
  readonly reached?: DumpWorkload;
  readonly proxy?: AskedProxy;
}

/** What the proxies show while the connection is held. */
class Look {
  readonly #observer: MeshObserver;
  readonly #o: LookOptions;
  readonly #source: ProbePod;
  readonly #deadlineMs: number;

  constructor(observer: MeshObserver, o: LookOptions) {
    this.#observer = observer;
    this.#o = o;
    this.#source = podOf(o.run.from);
    this.#deadlineMs = o.sinceMs + o.run.waitMs;
  }

  async all(): Promise<ProbeEvidence> {
    const { run, opening, node } = this.#o;
    const { target } = run;
    const first = await this.#dump(node);
    const isSourceEnrolled = first.dump?.workloadState[run.from.metadata.uid ?? ''] !== undefined;
    const base = {
      source: this.#source,
      target,
      opening,
      isSourceEnrolled,
      isTargetEnrolled: enrollmentOf(target, first.dump),
      sourceProxy: first.proxy,
    };
    if (opening.id === undefined) return { ...base, end: undefined, ...(await this.#capture()) };
    const seen =
      opening.isRedirected === true || isSourceEnrolled
        ? await this.#throughProxy(base, opening.id)
        : await this.#past(base, opening.id);
    return opening.isRedirected === undefined ? { ...seen, ...(await this.#capture()) } : seen;
  }

  /** What the agent sees in the source pod now. */
  async #capture(): Promise<Pick<ProbeEvidence, 'capture'>> {
    const { from } = this.#o.run;
    const { value } = await this.#observer.capture(from);
    return optional({ capture: value?.pods.find(({ uid }) => uid === from.metadata.uid) });
  }

  /** The connection of a pod that the mesh serves. */
  async #throughProxy(base: Omit<ProbeEvidence, 'end'>, id: string): Promise<ProbeEvidence> {
    const { agent, node, opening, run } = this.#o;
    const uid = run.from.metadata.uid ?? '';
    let outbound: DumpConnection | undefined;
    let dump: ZtunnelDump | undefined;
    let end = await agent.state(id);
    for await (const _ of this.#rounds()) {
      const seen = await this.#dump(node);
      dump = seen.dump ?? dump;
      if (dump !== undefined)
        outbound = connectionsOf(dump, uid).outbound.find(({ src }) => src === opening.local);
      if (outbound !== undefined) break;
      end = await agent.state(id);
      if (end.state === 'closed') break;
      // Nobody took it: it goes past the proxy, and whoever it reached may hold it.
      if (opening.isRedirected === false && Date.now() - this.#o.sinceMs > settleMs) break;
    }
    if (outbound === undefined && opening.isRedirected === false) return this.#past(base, id);
    const hop = outbound?.actualDst;
    const next = workloadAt(dump, hop);
    const waypoint =
      next === undefined || isTarget(run.target, next) ? undefined : await this.#waypoint(next);
    const before = await this.#tunnel(waypoint);
    const http = outbound === undefined ? undefined : await this.#http(id);
    const tunnel = (await this.#tunnel(waypoint)) ?? before;
    const sourceError =
      outbound === undefined
        ? await this.#logged(node, ({ 'src.addr': src }) => src === opening.local)
        : undefined;
    const inbound = await this.#inbound({
      hop: waypoint === undefined ? next : undefined,
      dump,
      waypoint,
      tunnel,
      http,
    });
    const waypointLine =
      waypoint === undefined && sourceError !== undefined
        ? await this.#refusingWaypoint(sourceError, dump)
        : undefined;
    const refusing = waypoint ?? waypointLine?.pod;
    const targetError =
      inbound.connection === undefined && (outbound === undefined || http?.status === 503)
        ? await this.#refusalAtTarget(refusing === undefined ? this.#source.ip : podOf(refusing).ip)
        : undefined;
    end = await agent.state(id).catch(() => end);
    const policy =
      policyOfL4Reason(targetError?.error, targetError?.by ?? '') ??
      (await waypointDecision(this.#observer, {
        gateway: refusing === undefined ? undefined : gatewayOf(refusing),
        target: run.target,
        sourceIp: this.#source.ip,
        peer: tunnel?.tls?.peer ?? identityOf(dump, this.#source),
        http,
        path: run.path,
        refusal: waypointLine?.reason,
      }));
    return {
      ...base,
      end,
      ...(base.isTargetEnrolled === undefined ? { isTargetEnrolled: enrollmentOf(run.target, dump) } : {}),
      ...optional({ outbound, sourceError, http, policy }),
      ...(refusing === undefined
        ? {}
        : {
            waypoint: {
              ...podOf(refusing),
              gateway: gatewayOf(refusing),
              ...optional({ tunnel, error: waypointLine?.reason }),
            },
          }),
      ...optional({
        reached: inbound.reached,
        targetProxy: inbound.proxy ?? targetError?.proxy,
        inbound: inbound.connection,
        targetError: targetError?.error,
      }),
    };
  }

  /** The connection of a pod outside of the mesh, or one that went past the proxy. */
  async #past(base: Omit<ProbeEvidence, 'end'>, id: string): Promise<ProbeEvidence> {
    const { agent, opening, sinceMs } = this.#o;
    let end: AgentState = { state: 'open' };
    let inbound: InboundSeen = {};
    for await (const _ of this.#rounds()) {
      end = await agent.state(id);
      if (end.state === 'closed') break;
      if (base.isTargetEnrolled === true)
        inbound = await this.#inboundAt(this.#targetNodes(), ({ src }) => src === opening.local);
      if (inbound.connection !== undefined) break;
      if (Date.now() - sinceMs > settleMs) break;
    }
    const http = end.state === 'open' ? await this.#http(id) : undefined;
    end = await agent.state(id).catch(() => end);
    const refusal =
      inbound.connection === undefined && base.isTargetEnrolled === true && end.state === 'closed'
        ? await this.#refusalAtTarget(this.#source.ip)
        : undefined;
    const policy = policyOfL4Reason(refusal?.error, refusal?.by ?? '');
    return {
      ...base,
      end,
      ...optional({
        http,
        policy,
        reached: inbound.reached,
        targetProxy: inbound.proxy ?? refusal?.proxy,
        inbound: inbound.connection,
        targetError: refusal?.error,
      }),
    };
  }

  /** Rounds of looking, ever slower, until the time is up. */
  async *#rounds(): AsyncGenerator<void, void, undefined> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, pauseMaxMs)) {
      yield;
      if (Date.now() > this.#deadlineMs) return;
      await delay(pauseMs);
    }
  }

  async #http(id: string): Promise<ProbeEvidence['http']> {
    const { agent, run } = this.#o;
    const { protocol, path, target } = run;
    const isHttp = protocol === 'http' || (protocol === 'auto' && target.protocol === AppProtocol.HTTP11);
    if (!isHttp) return undefined;
    const requestId = randomUUID();
    const timeoutMs = Math.min(Math.max(this.#deadlineMs - Date.now(), 1_000), 10_000);
    return {
      requestId,
      ...(await agent.get(id, { authority: target.authority, path, requestId, timeoutMs })),
    };
  }

  async #dump(node: string): Promise<{ readonly proxy: AskedProxy; readonly dump?: ZtunnelDump }> {
    const pod = podOnNode(await this.#observer.components('ztunnel'), node);
    if (pod === undefined) return { proxy: { name: `node ${node}`, why: 'no ztunnel runs there' } };
    const name = `${pod.metadata.name} on ${node}`;
    try {
      return { proxy: { name }, dump: await fetchZtunnelDump(this.#observer.client, pod) };
    } catch (error) {
      return { proxy: { name, why: messageOf(error) } };
    }
  }

  /** The pod of a workload that a tunnel leads to and that is not the target: a waypoint's. */
  async #waypoint({ namespace, name }: DumpWorkload): Promise<Pod | undefined> {
    const pod = await this.#observer.client
      .getOrUndefined<Pod>({ resource: pods, namespace, name })
      .catch(() => undefined);
    return pod?.metadata.labels?.[gatewayName] === undefined ? undefined : pod;
  }

  async #tunnel(waypoint: Pod | undefined): Promise<WaypointTunnel | undefined> {
    if (waypoint === undefined) return undefined;
    const all = await adminGet(this.#observer.client, waypoint, '/config_dump', parseTunnels).catch(() => []);
    return all.find(({ client }) => client === this.#o.opening.local);
  }

  /** The waypoint that refused a tunnel, by what the source's proxy says of it, and what it says itself. */
  async #refusingWaypoint(
    sourceError: string,
    dump: ZtunnelDump | undefined,
  ): Promise<{ readonly pod: Pod; readonly reason: string | undefined } | undefined> {
    const [, peer] = /(spiffe:\/\/\S+) refused \S+ with status \d+/.exec(sourceError) ?? [];
    if (peer === undefined || dump === undefined) return undefined;
    const candidates = dump.workloads.filter(
      (w) =>
        `${w.namespace}/sa/${w.serviceAccount}` === peer.split('/ns/')[1] && !isTarget(this.#o.run.target, w),
    );
    for (const candidate of candidates.slice(0, nodesMax)) {
      const pod = await this.#waypoint(candidate);
      if (pod === undefined) continue;
      const line = await findLogLine(this.#observer.client, pod, {
        sinceMs: this.#o.sinceMs,
        isWanted: ({ authority, reason }) => authority !== undefined && reason !== undefined,
      });
      return { pod, reason: line.fields?.['reason'] };
    }
    return undefined;
  }

  async #inbound(of: {
    readonly hop: DumpWorkload | undefined;
    readonly dump: ZtunnelDump | undefined;
    readonly waypoint: Pod | undefined;
    readonly tunnel: WaypointTunnel | undefined;
    readonly http: ProbeEvidence['http'];
  }): Promise<InboundSeen> {
    const { hop, waypoint, tunnel, http } = of;
    const { local } = this.#o.opening;
    if (waypoint !== undefined) {
      const from = podOf(waypoint).ip;
      const wasForwarded = http?.status !== undefined && !isAnswerOfProxy(http);
      // A tunnel of one client names it; requests share tunnels, which name none, so that it need not be this request's.
      return this.#inboundAt(this.#targetNodes(), ({ src, client }) =>
        client === undefined ? wasForwarded && parseAuthority(src)?.host === from : client === tunnel?.src,
      );
    }
    if (hop?.node === undefined || hop.node === '') return {};
    return this.#inboundAt([hop.node], ({ client, src }) => (client ?? src) === local);
  }

  #targetNodes(): readonly string[] {
    const all = this.#o.run.target.pods.flatMap(({ spec }) => spec.nodeName ?? []);
    return [...new Set(all)].slice(0, nodesMax);
  }

  /** An inbound connection to one of the target's pods at the proxies of some nodes. */
  async #inboundAt(
    nodes: readonly string[],
    isWanted: (connection: DumpConnection) => boolean,
  ): Promise<InboundSeen> {
    const { target } = this.#o.run;
    let asked: AskedProxy | undefined;
    for (const node of nodes) {
      const { dump, proxy } = await this.#dump(node);
      asked = proxy;
      if (dump === undefined) continue;
      for (const uid of Object.keys(dump.workloadState)) {
        const connection = connectionsOf(dump, uid).inbound.find(isWanted);
        const reached = connection === undefined ? undefined : workloadAt(dump, connection.actualDst);
        if (connection === undefined || reached === undefined) continue;
        if (target.pods.length > 0 && !isTarget(target, reached)) continue;
        return { connection, reached, proxy };
      }
    }
    return nodes.length === 1 ? optional({ proxy: asked }) : {};
  }

  /** What a proxy wrote about a connection that it gave up. */
  async #logged(node: string, isWanted: (fields: ProxyLogFields) => boolean): Promise<string | undefined> {
    const pod = podOnNode(await this.#observer.components('ztunnel'), node);
    if (pod === undefined) return undefined;
    const { fields } = await findLogLine(this.#observer.client, pod, {
      sinceMs: this.#o.sinceMs,
      isWanted: (line) => line['error'] !== undefined && isWanted(line),
    });
    return fields?.['error'];
  }

  /** What the proxy of a target wrote about a connection from an address. */
  async #refusalAtTarget(
    sourceIp: string,
  ): Promise<{ readonly error: string; readonly by: string; readonly proxy: AskedProxy } | undefined> {
    for (const node of this.#targetNodes()) {
      const error = await this.#logged(
        node,
        (line) =>
          line['direction'] === 'inbound' && parseAuthority(line['src.addr'] ?? '')?.host === sourceIp,
      );
      if (error === undefined) continue;
      const { proxy } = await this.#dump(node);
      return { error, by: proxy.name, proxy };
    }
    return undefined;
  }
}

/** Whether all pods that may answer are in the mesh, as a node proxy was told; undefined when that differs or is unknown. */
function enrollmentOf(target: ProbedTarget, dump: ZtunnelDump | undefined): boolean | undefined {
  if (target.pods.length === 0) return target.service === undefined ? false : undefined;
  const found = target.pods.map(({ metadata }) =>
    dump?.workloads.find((w) => w.namespace === metadata.namespace && w.name === metadata.name),
  );
  if (found.every((w) => w?.protocol?.includes('HBONE') === true)) return true;
  return dump !== undefined && found.every((w) => w?.protocol?.includes('HBONE') !== true)
    ? false
    : undefined;
}

function workloadAt(dump: ZtunnelDump | undefined, address: string | undefined): DumpWorkload | undefined {
  const host = parseAuthority(address ?? '')?.host;
  return host === undefined
    ? undefined
    : dump?.workloads.find(({ workloadIps }) => workloadIps?.includes(host) === true);
}

function isTarget(target: ProbedTarget, { namespace, name }: DumpWorkload): boolean {
  return target.pods.some(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
}

function identityOf(dump: ZtunnelDump | undefined, { namespace, name }: ProbePod): string | undefined {
  const workload = dump?.workloads.find((w) => w.namespace === namespace && w.name === name);
  return workload === undefined
    ? undefined
    : `spiffe://${workload.trustDomain || 'cluster.local'}/ns/${namespace}/sa/${workload.serviceAccount ?? 'default'}`;
}

function podOf({ metadata, spec, status }: Pod): ProbePod {
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    node: spec.nodeName ?? '',
    ip: status?.podIP ?? '',
  };
}

function gatewayOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.labels?.[gatewayName] ?? metadata.name}`;
}

function parseTunnels(text: string): readonly WaypointTunnel[] {
  const dump = JSON.parse(text) as { readonly connections?: readonly WaypointTunnel[] };
  return dump.connections ?? [];
}

/** Without what is undefined. */
function optional<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
