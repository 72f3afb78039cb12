import { services } from '#base/kube/resource.js';
import type { Service } from '#base/kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import {
  bytesToIp,
  bytesToNumber,
  canonicalIp,
  familyOf,
  type IpFamily,
  ipToBytes,
  numberToBytes,
} from '#base/net/address.js';
import { parseNetwork } from '#base/net/cidr.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { writeStatus } from '../status-writer.js';

/** The sandbox's load balancer ranges by family; only the first ones of IPv6 are given out. */
const ranges = { IPv4: '172.18.200.0/24', IPv6: 'fd00:172:18:200::/64' } as const;
const firstHost = 1;
const lastHost = 254;

/** Gives Services of type LoadBalancer addresses from the sandbox's ranges, and takes them back. */
export function loadBalancerController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const all = deps.caches.of<Service>(services);
  all.onChange(({ object, isGone }) => {
    queue.add(keyOfObject(object));
    // A freed address may be what another service waits for.
    if (isGone) for (const service of all.list()) if (isWaiting(service)) queue.add(keyOfObject(service));
  });
  const set = async (service: Service, ips: readonly string[]): Promise<void> => {
    const ingress = ips.map((ip) => ({ ip, ipMode: 'VIP' }));
    await writeStatus(deps.client, { resource: services, cache: all }, service, {
      ...service.status,
      loadBalancer: ips.length === 0 ? {} : { ingress },
    });
  };
  return {
    name: 'load-balancer',
    keys: () => all.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const service = all.get(namespace, name);
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return;
      const current = addressesOf(service);
      if (!isOurs(service)) {
        if (current.some(isGivenOutHere)) await set(service, []);
        return;
      }
      const others = all.list().filter((each) => keyOfObject(each) !== key && isOurs(each));
      const wanted = service.spec.loadBalancerIP;
      const ips = chooseAddresses({
        families: service.spec.ipFamilies ?? ['IPv4'],
        wanted: wanted === undefined || wanted === '' ? undefined : wanted,
        current,
        taken: new Set(others.flatMap(addressesOf)),
      });
      if (ips === undefined) {
        const reason =
          wanted === undefined || wanted === '' ? 'the range is used up' : `${wanted} is not free`;
        deps.events.record({
          about: service,
          type: 'Warning',
          reason: 'SyncLoadBalancerFailed',
          message: `Error syncing load balancer: no address in ${ranges.IPv4} or ${ranges.IPv6} for this service: ${reason}`,
        });
        return;
      }
      if (ips.join() === current.join()) return;
      await set(service, ips);
      deps.events.record({
        about: service,
        type: 'Normal',
        reason: 'EnsuredLoadBalancer',
        message: `Ensured load balancer: ${ips.join(', ')}`,
      });
    },
  };
}

/**
 * One address per family: the wanted one if it is free and in the range, else the one the
 * service has, else the lowest free one. Undefined when that is not possible.
 */
export function chooseAddresses(o: {
  /** As in a service's spec: `IPv4`, `IPv6`. */
  readonly families: readonly string[];
  readonly wanted: string | undefined;
  readonly current: readonly string[];
  readonly taken: ReadonlySet<string>;
}): string[] | undefined {
  const isFree = (ip: string): boolean => isGivenOutHere(ip) && !o.taken.has(ip);
  const chosen: string[] = [];
  for (const name of o.families) {
    const family = name === 'IPv6' ? 'IPv6' : 'IPv4';
    const hosts = Array.from({ length: lastHost - firstHost + 1 }, (_, i) => hostOf(family, firstHost + i));
    const isWanted = o.wanted !== undefined && familyOf(o.wanted) === family;
    const candidates = isWanted
      ? [canonicalIp(o.wanted ?? '') ?? '']
      : [...o.current.filter((ip) => familyOf(ip) === family), ...hosts];
    const ip = candidates.find(isFree);
    if (ip === undefined) return undefined;
    chosen.push(ip);
  }
  return chosen;
}

function isGivenOutHere(ip: string): boolean {
  const bytes = ipToBytes(ip);
  if (bytes === undefined) return false;
  const host = bytesToNumber(bytes) - baseOf(familyOf(ip));
  return host >= firstHost && host <= lastHost;
}

function hostOf(family: IpFamily, host: number): string {
  return bytesToIp(numberToBytes(baseOf(family) + BigInt(host), family)) ?? '';
}

function baseOf(family: IpFamily): bigint {
  const network = parseNetwork(ranges[family]);
  return network === undefined ? 0n : bytesToNumber(network.address);
}

/** A load balancer class belongs to somebody else's implementation. */
function isOurs(service: Service): boolean {
  return service.spec.type === 'LoadBalancer' && (service.spec.loadBalancerClass ?? '') === '';
}

function isWaiting(service: Service): boolean {
  return isOurs(service) && addressesOf(service).length === 0;
}

function addressesOf(service: Service): string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
}
