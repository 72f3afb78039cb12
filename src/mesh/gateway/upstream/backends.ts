import { ClientAffinity } from '../../view/client-affinity.js';
import type { MeshView } from '../../view/mesh-view.js';
import type { Viewpoint } from '../../view/viewpoint.js';
import type { ConnectionContext } from '../connection/connection-context.js';
import { type Endpoint, endpointAt, endpointOf } from './endpoint.js';
import { LeastRequest } from './least-request.js';

/** Where this proxy says it runs; its locality is looked up in the mesh. */
export type ProxyPlacement = Omit<Viewpoint, 'locality'> & { readonly ip: string };

/** What matters of a connection for where its calls go. */
type Call = Pick<ConnectionContext, 'destination' | 'peerAddress'>;

/** Chooses where the calls to a destination go, by the mesh as it is now. */
export class Backends {
  readonly #view: MeshView;
  readonly #placement: ProxyPlacement;
  readonly #balancer: LeastRequest;
  readonly #affinity = new ClientAffinity();

  constructor(view: MeshView, placement: ProxyPlacement, balancer = new LeastRequest()) {
    this.#view = view;
    this.#placement = placement;
    this.#balancer = balancer;
  }

  /**
   * An endpoint for a call: the one the client is bound to, else one of the less busy; rather not one whose key was
   * tried before. Undefined when there is none that may be used.
   */
  pick({ destination, peerAddress }: Call, tried: ReadonlySet<string>): Endpoint | undefined {
    const { ip, port } = destination.address;
    // Read again: the service may have changed, the pod may have left the mesh, since the connection began.
    if (destination.kind === 'workload') return this.#endpointAt(ip, port, { isWorkload: true });
    const service = this.#view.service(destination.service.key);
    if (service === undefined) return undefined;
    if (service.loadBalancer?.mode === 'Passthrough')
      return this.#endpointAt(ip, port, { isWorkload: false });
    const hosts = this.#view.hosts({ service, port, from: this.#here(), purpose: 'application' });
    const host =
      hosts &&
      this.#affinity.pick({
        service,
        port,
        client: peerAddress.ip,
        hosts,
        draw: (group) => this.#balancer.pick(group, tried),
        isExcluded: ({ key }) => tried.has(key),
      });
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
