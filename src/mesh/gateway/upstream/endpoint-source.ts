import type { ServedDestination } from '../connection/connection-context.js';
import type { MeshView } from '../mesh/mesh-view.js';
import { eligibleEndpoints, type Endpoint, type Here } from './endpoint.js';

/** Where this proxy says it runs; its locality is looked up in the mesh. */
export type Placement = Pick<Here, 'network' | 'clusterId' | 'node'> & { readonly ip: string };

/** The endpoints of a destination as the mesh is now. */
export class EndpointSource {
  readonly #view: MeshView;
  readonly #placement: Placement;

  constructor(view: MeshView, placement: Placement) {
    this.#view = view;
    this.#placement = placement;
  }

  /** Endpoints that may be used; empty when there is none that is healthy. */
  endpointsOf(destination: ServedDestination): Endpoint[] {
    if (destination.kind === 'workload') {
      const { ip, port } = destination.address;
      // Read again: the pod may have left the mesh since the connection began.
      const workload = this.#view.workloadByIp(this.#placement.network, ip);
      return workload === undefined ? [] : [{ ip, port, workload }];
    }
    const service = this.#view.serviceByKey(destination.service.key);
    const port = service?.ports.get(destination.port.port);
    if (service === undefined || port === undefined) return [];
    const requestedIp = destination.address.ip;
    return eligibleEndpoints({ view: this.#view, service, port, requestedIp, here: this.#here() });
  }

  #here(): Here {
    const { network, clusterId, node, ip } = this.#placement;
    const self = this.#view.workloadByIp(network, ip);
    const nowhere = { region: '', zone: '', subzone: '' };
    return { network, clusterId, node, locality: self?.locality ?? nowhere };
  }
}
