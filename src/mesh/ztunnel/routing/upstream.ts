import { addressFor, type PortPurpose } from '../../view/host.js';
import type { KnownService, KnownWorkload } from '../../view/known.js';
import type { MeshView } from '../../view/mesh-view.js';

/** A chosen backend. */
export interface Upstream {
  readonly workload: KnownWorkload;
  readonly ip: string;
  /** Port of the application. */
  readonly port: number;
  readonly service: KnownService | undefined;
}

/** Picks a host of a service's port by capacity; undefined when there is none. */
export function selectHost(
  view: MeshView,
  o: {
    readonly service: KnownService;
    readonly port: number;
    /** Who calls; decides what is near. */
    readonly source: KnownWorkload;
    /** The address that was called; its family is kept where possible. */
    readonly calledIp: string;
    /** In [0, 1). */
    readonly random: () => number;
    readonly purpose: PortPurpose;
  },
): Upstream | undefined {
  const { service, port, source, purpose } = o;
  const host = view.hosts({ service, port, from: source, purpose })?.draw(o.random);
  const ip = host && addressFor(host, o.calledIp);
  return host === undefined || ip === undefined
    ? undefined
    : { workload: host.workload, ip, port: host.port, service };
}
