import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { podHttp } from '#base/kube/port-forward.js';
import type { Pod } from '#base/kube/types.js';
import type { MeshObserver, Observation } from './mesh-observer.js';

/** Version of one running component. */
export interface ComponentVersion {
  readonly component: 'controller' | 'ztunnel' | 'cni' | 'waypoint';
  readonly namespace: string;
  readonly pod: string;
  readonly node: string;
  readonly version: string;
  /** As the pod names it. */
  readonly image: string;
  /** `answer`: the process said so; `image`: only the tag of its image is known. */
  readonly source: 'answer' | 'image';
  /** Why the process did not say it, where it could have. */
  readonly error?: string;
  /** Code of that error: MESH0215 when the process is silent. */
  readonly errorCode?: string;
}

/** Where the controller tells its version. */
const controllerPort = 15014;

/** Versions of every running component, by asking each process that can tell; asked once for an observer. */
export function meshVersions(observer: MeshObserver): Promise<readonly ComponentVersion[]> {
  return observer.once('versions', () => askForVersions(observer));
}

/** Versions of the controller's replicas, of those that the user may see; asked once for an observer. */
export function controllerVersions(observer: MeshObserver): Promise<readonly ComponentVersion[]> {
  return observer.once('controller versions', async () => {
    const replicas = await observer.components('controller');
    return Promise.all(
      replicas.map((pod) => versionOf('controller', pod, () => controllerVersion(observer.client, pod))),
    );
  });
}

async function askForVersions(observer: MeshObserver): Promise<readonly ComponentVersion[]> {
  const [controllers, others] = await Promise.all([controllerVersions(observer), versionsOfRest(observer)]);
  return [...controllers, ...others];
}

/** Versions of everything but the controller. */
async function versionsOfRest(observer: MeshObserver): Promise<readonly ComponentVersion[]> {
  const [proxies, agents, waypoints] = await Promise.all([
    observer.components('ztunnel'),
    observer.components('cni'),
    observer.gatewayPods(),
  ]);
  return Promise.all([
    ...proxies.map((pod) =>
      versionOf('ztunnel', pod, async () => {
        const dump = await observer.ownDump(pod.spec.nodeName ?? '');
        return versionIn(observedOf(dump).raw);
      }),
    ),
    ...agents.map((pod) => versionOf('cni', pod, undefined)),
    ...waypoints.map((pod) =>
      versionOf('waypoint', pod, async () => versionIn(observedOf(await observer.gatewayDump(pod)))),
    ),
  ]);
}

async function versionOf(
  component: ComponentVersion['component'],
  pod: Pod,
  ask: (() => Promise<string>) | undefined,
): Promise<ComponentVersion> {
  const { namespace = '', name } = pod.metadata;
  const common = {
    component,
    namespace,
    pod: name,
    node: pod.spec.nodeName ?? '',
    image: pod.spec.containers[0]?.image ?? '',
  };
  if (ask === undefined) return { ...common, version: imageTag(pod), source: 'image' };
  try {
    return { ...common, version: await ask(), source: 'answer' };
  } catch (error) {
    return {
      ...common,
      version: imageTag(pod),
      source: 'image',
      error: messageOf(error),
      ...(error instanceof MeshError ? { errorCode: error.code } : {}),
    };
  }
}

async function controllerVersion(client: KubeClient, pod: Pod): Promise<string> {
  const { status, body } = await podHttp(client, {
    namespace: pod.metadata.namespace ?? '',
    pod: pod.metadata.name,
    port: controllerPort,
    path: '/version',
  });
  if (status !== 200) throw new Error(`it answered ${status} to /version`);
  return body.trim();
}

function observedOf<T>(seen: Observation<T>): T {
  if (!('why' in seen)) return seen.value;
  throw seen.code === undefined ? new Error(seen.why) : new MeshError(seen.code, seen.why);
}

function versionIn(dump: unknown): string {
  const { version } = dump as { version?: string | { version?: string } };
  const found = typeof version === 'string' ? version : version?.version;
  if (found === undefined) throw new Error('no version in the dump');
  return found;
}

/** The tag of the first container's image; without one its digest, or the whole image. */
export function imageTag(pod: Pod): string {
  const image = pod.spec.containers[0]?.image ?? '';
  const last = image.slice(image.lastIndexOf('/') + 1);
  return /^[^:@]+:([^@]+)/.exec(last)?.[1] ?? /@(.+)$/.exec(last)?.[1] ?? image;
}
