import type { ClientAffinity } from '../../view/client-affinity.js';
import { addressFor, type PortPurpose } from '../../view/host.js';
import type { KnownService, KnownWorkload } from '../../view/known.js';
import type { MeshView } from '../../view/mesh-view.js';
import type { HostGroup } from '../../view/ranked-hosts.js';

/** A chosen backend. */
export interface Upstream {
  readonly workload: KnownWorkload;
  readonly ip: string;
  /** Port of the application. */
  readonly port: number;
  readonly service: KnownService | undefined;
}

/** Picks a host of a service's port by affinity, else by capacity; undefined when there is none. */
export function selectHost(
  view: MeshView,
  o: {
    readonly service: KnownService;
    /** The service whose affinity counts: the one in front of which `service` is the waypoint. */
    readonly bindsBy?: KnownService | undefined;
    readonly port: number;
    /** Who calls; decides what is near. */
    readonly source: KnownWorkload;
    /** The address that was called; its family is kept where possible. */
    readonly calledIp: string;
    /** In [0, 1). */
    readonly random: () => number;
    readonly affinity: ClientAffinity;
    readonly purpose: PortPurpose;
  },
): Upstream | undefined {
  const { service, port, source, purpose } = o;
  const hosts = view.hosts({ service, port, from: source, purpose });
  const draw = (group: HostGroup | undefined) => group?.draw(o.random);
  const host =
    hosts && o.affinity.pick({ service: o.bindsBy ?? service, port, client: source.uid, hosts, draw });
  const ip = host && addressFor(host, o.calledIp);
  return host === undefined || ip === undefined
    ? undefined
    : { workload: host.workload, ip, port: host.port, service };
}
