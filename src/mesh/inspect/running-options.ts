import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '#base/errors/mesh-error.js';
import { gatewayManaged } from '#base/kube/labels.js';
import { podHttp } from '#base/kube/port-forward.js';
import type { Pod } from '#base/kube/types.js';
import type { MeshConfig } from '../rules/mesh-config.js';
import { controllerDebugPort } from './component-pods.js';
import type { FindingSubject } from './findings/finding.js';
import type { MeshObserver, Observation } from './mesh-observer.js';

/** The mesh options one running component goes by, in its own words. */
export interface RunningOptions {
  readonly pod: Pod;
  /** Of the controller: what its pods stop with. */
  readonly workload?: FindingSubject;
  /** Those it has a use for; empty of a component that does not tell, such as another variant. */
  readonly options: Observation<Partial<MeshConfig>>;
}

/** Asks every controller, node proxy and waypoint which mesh options it goes by. */
export async function observeRunningOptions(observer: MeshObserver): Promise<readonly RunningOptions[]> {
  const { client, meshNamespace } = observer;
  const [controllers, proxies, waypoints] = await Promise.all([
    observer.components('controller'),
    observer.components('ztunnel'),
    observer.gatewayPods(),
  ]);
  return Promise.all([
    ...controllers.map(async (pod) => {
      const at = { namespace: meshNamespace, pod: pod.metadata.name, port: controllerDebugPort };
      return {
        pod,
        workload: { kind: 'Deployment', namespace: meshNamespace, name: 'istiod' },
        options: await observed(pod, async () => {
          const { status, body } = await podHttp(client, { ...at, path: '/debug/mesh' });
          return status === 200 ? (JSON.parse(body) as Partial<MeshConfig>) : {};
        }),
      };
    }),
    ...proxies.map(async (pod) => {
      const dump = await observer.ownDump(pod.spec.nodeName ?? '');
      const options =
        dump.value === undefined ? dump : { value: optionsIn(dump.value.raw), by: pod.metadata.name };
      return { pod, options };
    }),
    ...waypoints.filter(isOurs).map(async (pod) => ({
      pod,
      options: await optionsOfGateway(observer, pod),
    })),
  ]);
}

/** Deployed by this mesh, and not by another controller beside it. */
function isOurs({ metadata }: Pod): boolean {
  return metadata.labels?.[gatewayManaged] === 'istio.io-mesh-controller';
}

async function optionsOfGateway(observer: MeshObserver, pod: Pod): Promise<Observation<Partial<MeshConfig>>> {
  const dump = await observer.gatewayDump(pod);
  return 'why' in dump ? dump : { value: optionsIn(dump.value), by: dump.by };
}

/** How the options of a component differ from those of the mesh, in words; empty when they do not. */
export function optionDifferences(running: Partial<MeshConfig>, mesh: MeshConfig): readonly string[] {
  return Object.entries(mesh).flatMap(([name, wanted]) => {
    const own: unknown = Reflect.get(running, name);
    if (own === undefined || isDeepStrictEqual(own, wanted)) return [];
    return [`${name} is ${textOf(own)}, not ${textOf(wanted)}`];
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The part `config` of a proxy's dump. */
function optionsIn(dump: unknown): Partial<MeshConfig> {
  const config: unknown = typeof dump === 'object' && dump !== null ? Reflect.get(dump, 'config') : undefined;
  return typeof config === 'object' && config !== null ? config : {};
}

async function observed<T>(pod: Pod, ask: () => Promise<T>): Promise<Observation<T>> {
  try {
    return { value: await ask(), by: pod.metadata.name };
  } catch (error) {
    return { why: messageOf(error) };
  }
}
