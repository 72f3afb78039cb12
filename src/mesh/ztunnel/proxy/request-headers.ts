import { randomBytes } from 'node:crypto';
import { formatHostPort, type HostPort } from '#base/net/authority.js';
import type { KnownService, KnownWorkload } from '../../view/known.js';

/** A W3C trace id for a connection whose application sends none. */
export function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`;
}

/** The workload as the `baggage` header describes it; empty values are left out. */
export function baggageOf(workload: KnownWorkload): string {
  const entries: [string, string][] = [
    ['k8s.cluster.name', workload.clusterId],
    ['k8s.namespace.name', workload.namespace],
    [`k8s.${workload.workloadType}.name`, workload.workloadName],
    ['service.name', workload.canonicalName],
    ['service.version', workload.canonicalRevision],
    ['cloud.region', workload.locality.region],
    ['cloud.availability_zone', workload.locality.zone],
  ];
  return entries
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** The `forwarded` header: the application's socket, and the service it called by address. */
export function forwardedOf(client: HostPort, service: KnownService | undefined): string {
  const host = service === undefined ? '' : `;host=${service.hostname}`;
  return `for="${formatHostPort(client)}"${host}`;
}
