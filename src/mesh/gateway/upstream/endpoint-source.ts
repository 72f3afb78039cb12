import type { WaypointConfig } from '../config.js';
import type { ServedDestination } from '../http/connection-context.js';
import type { MeshView } from '../mesh/mesh-view.js';
import { eligibleEndpoints, type Endpoint, type Here } from './endpoint.js';

/** The endpoints of a destination as the mesh is now. */
export class EndpointSource {
  readonly #view: MeshView;
  readonly #config: Pick<WaypointConfig, 'network' | 'clusterId' | 'pod'>;

  constructor(view: MeshView, config: Pick<WaypointConfig, 'network' | 'clusterId' | 'pod'>) {
    this.#view = view;
    this.#config = config;
  }

  /** Endpoints that may be used; empty when there is none that is healthy. */
  endpointsOf(destination: ServedDestination): Endpoint[] {
    if (destination.kind === 'workload') {
      const { ip, port } = destination.address;
      // Read again: the pod may have left the mesh since the connection began.
      const workload = this.#view.workloadByIp(this.#config.network, ip);
      return workload === undefined ? [] : [{ ip, port, workload }];
    }
    const service = this.#view.serviceByKey(destination.service.key);
    const port = service?.ports.get(destination.port.port);
    if (service === undefined || port === undefined) return [];
    const requestedIp = destination.address.ip;
    return eligibleEndpoints({ view: this.#view, service, port, requestedIp, here: this.#here() });
  }

  #here(): Here {
    const { network, clusterId, pod } = this.#config;
    const self = this.#view.workloadByIp(network, pod.ip);
    const nowhere = { region: '', zone: '', subzone: '' };
    return { network, clusterId, node: pod.node, locality: self?.locality ?? nowhere };
  }
}
