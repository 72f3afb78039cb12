import type { MeshView } from '../../view/mesh-view.js';
import type { Viewpoint } from '../../view/viewpoint.js';
import type { ServedDestination } from '../connection/connection-context.js';
import { type Endpoint, endpointAt, endpointOf } from './endpoint.js';
import { LeastRequest } from './least-request.js';

/** Where this proxy says it runs; its locality is looked up in the mesh. */
export type ProxyPlacement = Omit<Viewpoint, 'locality'> & { readonly ip: string };

/** Chooses where the calls to a destination go, by the mesh as it is now. */
export class Backends {
  readonly #view: MeshView;
  readonly #placement: ProxyPlacement;
  readonly #balancer: LeastRequest;

  constructor(view: MeshView, placement: ProxyPlacement, balancer = new LeastRequest()) {
    this.#view = view;
    this.#placement = placement;
    this.#balancer = balancer;
  }

  /**
   * An endpoint of a destination, rather not one whose key was tried before. Undefined when there is none that may be
   * used.
   */
  pick(destination: ServedDestination, tried: ReadonlySet<string>): Endpoint | undefined {
    const { ip, port } = destination.address;
    // Read again: the service may have changed, the pod may have left the mesh, since the connection began.
    if (destination.kind === 'workload') return this.#endpointAt(ip, port, { isWorkload: true });
    const service = this.#view.service(destination.service.key);
    if (service === undefined) return undefined;
    if (service.loadBalancer?.mode === 'Passthrough')
      return this.#endpointAt(ip, port, { isWorkload: false });
    const hosts = this.#view.hosts({ service, port, from: this.#here(), purpose: 'application' });
    const host = this.#balancer.pick(hosts, tried);
    return host && endpointOf(host, ip);
  }

  /** Counts a request or connection on an endpoint until the result is called. */
  begin({ key }: Endpoint): () => void {
    return this.#balancer.begin(key);
  }

  #endpointAt(ip: string, port: number, must: { readonly isWorkload: boolean }): Endpoint | undefined {
    const workload = this.#view.workloadAt(this.#placement.network, ip);
    const isKnown = workload === undefined ? !must.isWorkload : workload.protocol !== 'Unknown';
    return isKnown ? endpointAt(ip, port, workload) : undefined;
  }

  #here(): Viewpoint {
    const { network, clusterId, node, ip } = this.#placement;
    const locality = this.#view.workloadAt(network, ip)?.locality ?? nowhere;
    return { network, clusterId, node, locality };
  }
}

const nowhere = { region: '', zone: '', subzone: '' };
