import { services } from '../../../../kube/resource.js';
import type { Service } from '../../../../kube/types.js';
import { keyOfObject } from '../../cache/object-cache.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from '../controller.js';
import { writeStatus } from '../status-writer.js';

/** First three octets of the sandbox's load balancer range, 172.18.200.0/24. */
const rangePrefix = '172.18.200.';
const firstHost = 1;
const lastHost = 254;

/** Gives Services of type LoadBalancer an address from the sandbox's range, and takes it back. */
export function loadBalancerController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const all = deps.caches.of<Service>(services);
  all.onChange(({ object, isGone }) => {
    queue.add(keyOfObject(object));
    // A freed address may be what another service waits for.
    if (isGone) for (const service of all.list()) if (isWaiting(service)) queue.add(keyOfObject(service));
  });
  const set = async (service: Service, ip: string | undefined): Promise<void> => {
    await writeStatus(deps.client, { resource: services, cache: all }, service, {
      ...service.status,
      loadBalancer: ip === undefined ? {} : { ingress: [{ ip }] },
    });
  };
  return {
    name: 'load-balancer',
    keys: () => all.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const service = all.get(namespace, name);
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return;
      const current = addressOf(service);
      if (!isOurs(service)) {
        if (current !== undefined && isInRange(current)) await set(service, undefined);
        return;
      }
      const taken = new Set(
        all
          .list()
          .filter((each) => keyOfObject(each) !== key && isOurs(each))
          .flatMap((each) => addressOf(each) ?? []),
      );
      const ip = chooseAddress({ wanted: service.spec.loadBalancerIP, current, taken });
      if (ip === current) return;
      if (ip === undefined) {
        deps.events.record({
          about: service,
          type: 'Warning',
          reason: 'SyncLoadBalancerFailed',
          message: `no free address in ${rangePrefix}0/24 for this service`,
        });
        return;
      }
      await set(service, ip);
      deps.events.record({
        about: service,
        type: 'Normal',
        reason: 'EnsuredLoadBalancer',
        message: `Assigned address ${ip}`,
      });
    },
  };
}

/** The wanted address if it is free and in the range, else the one it has, else the lowest free one. */
export function chooseAddress(o: {
  readonly wanted: string | undefined;
  readonly current: string | undefined;
  readonly taken: ReadonlySet<string>;
}): string | undefined {
  const isFree = (ip: string): boolean => isInRange(ip) && !o.taken.has(ip);
  if (o.wanted !== undefined && o.wanted !== '') return isFree(o.wanted) ? o.wanted : undefined;
  if (o.current !== undefined && isFree(o.current)) return o.current;
  for (let host = firstHost; host <= lastHost; host++) {
    if (isFree(`${rangePrefix}${host}`)) return `${rangePrefix}${host}`;
  }
  return undefined;
}

function isInRange(ip: string): boolean {
  const host = Number(ip.slice(rangePrefix.length));
  return ip.startsWith(rangePrefix) && Number.isInteger(host) && host >= firstHost && host <= lastHost;
}

/** A load balancer class belongs to somebody else's implementation. */
function isOurs(service: Service): boolean {
  return service.spec.type === 'LoadBalancer' && (service.spec.loadBalancerClass ?? '') === '';
}

function isWaiting(service: Service): boolean {
  return isOurs(service) && addressOf(service) === undefined;
}

function addressOf(service: Service): string | undefined {
  return service.status?.loadBalancer?.ingress?.[0]?.ip;
}
