import { urlHost } from '#base/net/authority.js';
import type { Service } from '#base/kube/types.js';
import type { ObjectSource } from '../model/object-source.js';
import type { KubeletPod } from '../model/pod.js';

const masterNamespace = 'default';
const masterService = 'kubernetes';

/**
 * The variables a container gets for services that existed when it started
 * (`REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP`): the API server's always, those of its
 * own namespace unless enableServiceLinks is false.
 */
export async function serviceEnvironment(
  pod: KubeletPod,
  objects: ObjectSource,
): Promise<Record<string, string>> {
  const master = (await objects.services(masterNamespace)).filter((s) => s.metadata.name === masterService);
  const own = pod.spec.enableServiceLinks === false ? [] : await objects.services(pod.metadata.namespace);
  return Object.assign({}, ...[...master, ...own].map(serviceVariables)) as Record<string, string>;
}

/** The variables of one service; none for a headless one. */
export function serviceVariables({ metadata, spec }: Service): Record<string, string> {
  const ip = spec.clusterIP;
  const ports = spec.ports ?? [];
  const [first] = ports;
  if (ip === undefined || ip === '' || ip === 'None' || first === undefined) return {};
  const prefix = variableName(metadata.name);
  const host = urlHost(ip);
  const url = (port: { port: number; protocol?: string }): string =>
    `${(port.protocol ?? 'TCP').toLowerCase()}://${host}:${port.port}`;
  const env: Record<string, string> = {
    [`${prefix}_SERVICE_HOST`]: ip,
    [`${prefix}_SERVICE_PORT`]: String(first.port),
    [`${prefix}_PORT`]: url(first),
  };
  for (const port of ports) {
    const { name, protocol = 'TCP' } = port;
    if (name !== undefined && name !== '')
      env[`${prefix}_SERVICE_PORT_${variableName(name)}`] = String(port.port);
    const link = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    env[link] = url(port);
    env[`${link}_PROTO`] = protocol.toLowerCase();
    env[`${link}_PORT`] = String(port.port);
    env[`${link}_ADDR`] = ip;
  }
  return env;
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}
