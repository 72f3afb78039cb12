import { Readable } from 'node:stream';
import { nodes, pods } from '#base/kube/resource.js';
import { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import type { KubeObject, Pod } from '#base/kube/types.js';
import { startApiServer } from '#sandbox/apiserver/server.js';
import { startApiControllers, startClusterControllers } from '#sandbox/cluster/index.js';
import type { RemoveNodeFolder } from '#sandbox/cluster/controllers/storage/volume-reclaim.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';

/** A real API server with the cluster's controllers, and kubelets that only report. */
export interface ControlPlane {
  readonly client: KubeClient;
  readonly kubelet: ReportingKubelet;
  close(): Promise<void>;
}

/** Starts the control plane with ready nodes. */
export async function startControlPlane(o: {
  readonly nodes: readonly string[];
  readonly controllers?: boolean;
  readonly removeNodeFolder?: RemoveNodeFolder;
  /** As the API server takes it; default 10.96.0.0/16. */
  readonly serviceCidr?: string;
}): Promise<ControlPlane> {
  const lines: string[] = [];
  setLogOutput((line) => lines.push(line));
  const refuse = (): Promise<never> => Promise.reject(new Error('no containers here'));
  const api = await startApiServer({
    listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
    advertise: { host: '127.0.0.1', port: 6443 },
    ...(o.serviceCidr === undefined ? {} : { serviceCidr: o.serviceCidr }),
    kubelet: {
      logs: refuse,
      exec: refuse,
      attach: refuse,
      portForward: () => Promise.resolve(Readable.from([]) as never),
    },
    logger: createLogger('test'),
  });
  const { parse } = await import('yaml');
  const config = parse(api.adminKubeconfig(`https://127.0.0.1:${api.ports[0]}`)) as {
    users: { user: Record<string, string> }[];
  };
  const user = config.users[0]?.user ?? {};
  const pem = (field: string): string => Buffer.from(user[field] ?? '', 'base64').toString();
  const client = new KubeClient({
    server: `https://127.0.0.1:${api.ports[0]}`,
    ca: api.caPem,
    cert: pem('client-certificate-data'),
    key: pem('client-key-data'),
  });
  const stop = new AbortController();
  await startApiControllers({ signal: stop.signal, api });
  const kubelet = new ReportingKubelet(client, stop.signal);
  for (const name of o.nodes) await kubelet.addNode(name);
  if (o.controllers !== false)
    startClusterControllers({
      client,
      signal: stop.signal,
      ...(o.removeNodeFolder === undefined ? {} : { removeNodeFolder: o.removeNodeFolder }),
    });
  return {
    client,
    kubelet,
    close: async () => {
      stop.abort();
      await api.close();
      client.close();
    },
  };
}

/** Plays the kubelets of all nodes: pods assigned to a node run at once, and go at once when deleted. */
export class ReportingKubelet {
  readonly #client: KubeClient;
  readonly #pods: Reflector<Pod>;
  /** Decides whether a pod becomes ready; tests replace it. */
  isReady: (pod: Pod) => boolean = () => true;
  /** Phase of a pod that has started; tests replace it for jobs. */
  phase: (pod: Pod) => string = () => 'Running';
  #nextAddress = 2;

  constructor(client: KubeClient, signal: AbortSignal) {
    this.#client = client;
    this.#pods = new Reflector<Pod>({ client, resource: pods });
    this.#pods.onChange(({ object, type }) => {
      if (type !== 'deleted') void this.#sync(object).catch(() => undefined);
    });
    this.#pods.start(signal);
  }

  /** Reports every pod again, after a test changed what the kubelet says. */
  async resync(): Promise<void> {
    for (const pod of this.#pods.list()) await this.#sync(pod).catch(() => undefined);
  }

  async addNode(name: string, labels: Record<string, string> = {}): Promise<void> {
    await this.#client.create(nodes, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
    });
    await this.#client.patch(
      { resource: nodes, name, subresource: 'status' },
      {
        status: {
          allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
          conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }],
        },
      },
    );
  }

  async #sync(pod: Pod): Promise<void> {
    const { name, namespace } = pod.metadata;
    if ((pod.spec.nodeName ?? '') === '') return;
    if (pod.metadata.deletionTimestamp !== undefined) {
      await this.#client.delete({ resource: pods, name, namespace }, { gracePeriodSeconds: 0 });
      return;
    }
    const status = this.isReady(pod) && this.phase(pod) === 'Running' ? 'True' : 'False';
    const ready = pod.status?.conditions?.find((c) => c.type === 'Ready');
    const phase = this.phase(pod);
    if (pod.status?.phase === phase && ready?.status === status && pod.status.podIP !== undefined) return;
    const ip = pod.status?.podIP ?? `10.244.1.${this.#nextAddress++}`;
    const now = new Date().toISOString().slice(0, 19);
    await this.#client.patch<Pod & KubeObject>(
      { resource: pods, name, namespace, subresource: 'status' },
      {
        status: {
          phase,
          podIP: ip,
          podIPs: [{ ip }],
          conditions: [{ type: 'Ready', status, lastTransitionTime: `${now}Z` }],
        },
      },
    );
  }
}

/** Polls until `check` gives a value; fails with what was seen last. */
export async function eventually<T>(
  check: () => Promise<T | undefined>,
  o: { readonly timeoutMs?: number; readonly what: string },
): Promise<T> {
  const deadline = Date.now() + (o.timeoutMs ?? 10_000);
  for (;;) {
    const found = await check();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`gave up waiting: ${o.what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
