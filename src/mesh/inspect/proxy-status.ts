import { gatewayManaged } from '#base/kube/labels.js';
import { podHttp } from '#base/kube/port-forward.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { messageOf, MeshError } from '#base/errors/mesh-error.js';
import { controllerDebugPort } from './component-pods.js';
import type { Finding } from './findings/finding.js';
import type { MeshObserver } from './mesh-observer.js';

/** One kind of resource that a proxy subscribes to. */
export interface TypeSync {
  /** Last part of the type URL, such as `Workload`. */
  readonly type: string;
  readonly sent: string;
  readonly acknowledged: string;
  readonly rejectCount: number;
  readonly lastError: string | undefined;
  /** How long the newest version has been waiting for its acknowledgment; undefined when it has it. */
  readonly lagMs: number | undefined;
}

/** How a proxy stands to the control plane. */
export interface ProxySync {
  readonly namespace: string;
  readonly name: string;
  readonly proxyType: string;
  readonly node: string;
  readonly version: string;
  /** The controller's pod it is connected to; undefined: to none that could be asked. */
  readonly controller: string | undefined;
  readonly connectedAt: string | undefined;
  readonly isSynced: boolean;
  readonly types: readonly TypeSync[];
}

/** A connection as the controller's `/debug/syncz` shows it. */
interface SyncRecord {
  readonly proxy: string;
  readonly proxy_type: string;
  readonly istio_version: string;
  readonly connectedAt?: string;
  readonly isCaughtUp?: boolean;
  readonly resources?: Readonly<
    Record<
      string,
      {
        readonly sent?: string | null;
        readonly acked?: string | null;
        readonly sentTime?: string | null;
        readonly ackedTime?: string | null;
        readonly rejects?: number;
        readonly lastError?: string | null;
      }
    >
  >;
}

/** A version may be on its way for so long before it counts as a lag, in milliseconds. */
const graceMs = 2_000;

/**
 * Every proxy of the mesh with the controller it is connected to and what it has acknowledged; proxies that no controller
 * knows are among them. `now` in milliseconds. Rejects with MESH0908 when no controller could be asked.
 */
export async function proxySyncs(observer: MeshObserver, now: number): Promise<readonly ProxySync[]> {
  const { client } = observer;
  const [controllers, ztunnels, gateways] = await Promise.all([
    observer.components('controller'),
    observer.components('ztunnel'),
    client.list<Pod>(pods, { labelSelector: gatewayManaged }),
  ]);
  const failures: string[] = [];
  const records = await Promise.all(
    controllers.map(async (controller) => {
      try {
        return (await syncz(observer, controller)).map((record) => ({
          record,
          controller: controller.metadata.name,
        }));
      } catch (error) {
        failures.push(messageOf(error));
        return [];
      }
    }),
  );
  if (failures.length === controllers.length) {
    throw new MeshError('MESH0908', 'no controller could be asked', {
      evidence: failures.join('\n') || `no controller runs in ${observer.meshNamespace}`,
    });
  }
  const byProxy = new Map(records.flat().map((entry) => [entry.record.proxy, entry]));
  const running = [
    ...ztunnels.map((pod) => ({ pod, proxyType: 'ztunnel' })),
    ...gateways
      .filter(
        ({ metadata, status }) => status?.phase === 'Running' && metadata.deletionTimestamp === undefined,
      )
      .map((pod) => ({ pod, proxyType: 'waypoint' })),
  ];
  return running.map(({ pod, proxyType }) => {
    const { namespace = '', name } = pod.metadata;
    const known = byProxy.get(`${name}.${namespace}`);
    const types = known === undefined ? [] : typeSyncs(known.record, now);
    return {
      namespace,
      name,
      proxyType: known?.record.proxy_type ?? proxyType,
      node: pod.spec.nodeName ?? '',
      version: known?.record.istio_version ?? '',
      controller: known?.controller,
      connectedAt: known?.record.connectedAt,
      isSynced:
        known !== undefined &&
        types.every(({ lagMs, rejectCount }) => lagMs === undefined && rejectCount === 0),
      types,
    };
  });
}

/** Proxies that are not connected, lag behind or refused what they were sent. */
export function syncFindings(proxies: readonly ProxySync[]): readonly Finding[] {
  return proxies.flatMap((proxy): Finding[] => {
    const { namespace, name, node, controller, types } = proxy;
    const common = {
      subject: { kind: 'Pod', namespace, name },
      dependsOn: [{ kind: 'Node', name: node }],
      fix: `kubectl logs -n ${namespace} ${name}`,
    };
    if (controller === undefined) {
      return [
        {
          ...common,
          code: 'MESH0964',
          severity: 'error',
          message: `proxy ${namespace}/${name} is connected to no controller: it goes by what it was last told`,
        },
      ];
    }
    const refused = types.filter(({ rejectCount }) => rejectCount > 0);
    const late = types.filter(({ lagMs }) => lagMs !== undefined);
    return [
      ...refused.map(({ type, lastError }) => ({
        ...common,
        code: 'MESH0965',
        severity: 'error' as const,
        message: `proxy ${namespace}/${name} refused ${type} resources it was sent`,
        evidence: lastError === undefined ? [] : [lastError],
      })),
      ...late.map(({ type, lagMs = 0 }) => ({
        ...common,
        code: 'MESH0965',
        severity: 'warning' as const,
        message: `proxy ${namespace}/${name} has not acknowledged ${type} for ${Math.round(lagMs / 1000)} s`,
      })),
    ];
  });
}

async function syncz(
  { client, meshNamespace }: MeshObserver,
  controller: Pod,
): Promise<readonly SyncRecord[]> {
  const { status, body } = await podHttp(client, {
    namespace: meshNamespace,
    pod: controller.metadata.name,
    port: controllerDebugPort,
    path: '/debug/syncz',
  });
  if (status !== 200) throw new Error(`${controller.metadata.name} answered ${status} to /debug/syncz`);
  const records: unknown = JSON.parse(body);
  if (!Array.isArray(records))
    throw new Error(`${controller.metadata.name} answered no list to /debug/syncz`);
  return records as SyncRecord[];
}

function typeSyncs(record: SyncRecord, now: number): readonly TypeSync[] {
  return Object.entries(record.resources ?? {}).map(([url, state]) => {
    const waiting = now - Date.parse(state.sentTime ?? '');
    const isPending = (state.sent ?? '') !== (state.acked ?? '') && waiting > graceMs;
    return {
      type: url.slice(url.lastIndexOf('.') + 1),
      sent: state.sent ?? '',
      acknowledged: state.acked ?? '',
      rejectCount: state.rejects ?? 0,
      lastError: state.lastError ?? undefined,
      lagMs: isPending ? waiting : undefined,
    };
  });
}
