import { messageOf } from '#base/errors/mesh-error.js';
import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from '../../base/json.js';
import type { ObjectReader } from '../registry/resource.js';
import type { RemoteApi, RemoteApis } from './remote-apis.js';

const checkTimeoutMs = 6_000;

/** What a look at another API server found. */
export interface Availability {
  readonly isAvailable: boolean;
  /** In one word, as the condition's reason. */
  readonly reason: string;
  readonly message: string;
  /** The resources it serves in the group version, as discovery lists them; when it answered. */
  readonly resources?: readonly JsonObject[];
}

const unavailable = (reason: string, message: string): Availability => ({
  isAvailable: false,
  reason,
  message,
});

/** Whether the service behind an APIService exists, has the port and ready endpoints. */
function serviceProblem(reader: ObjectReader, { service: at }: RemoteApi): Availability | undefined {
  const shown = `service/${at.name} in ${JSON.stringify(at.namespace)}`;
  const service = reader.get('services', at.namespace, at.name);
  if (service === undefined) return unavailable('ServiceNotFound', `${shown} is not present`);
  const spec = objectOf(service.spec);
  if (spec.type !== 'ClusterIP') return undefined;
  const port = objectsOf(spec.ports).find((p) => numberOf(p.port) === at.port);
  if (port === undefined)
    return unavailable('ServicePortError', `${shown} is not listening on port ${at.port}`);
  const endpoints = reader.get('endpoints', at.namespace, at.name);
  if (endpoints === undefined) return unavailable('EndpointsNotFound', `cannot find endpoints for ${shown}`);
  const portName = stringOf(port.name);
  const isReady = objectsOf(endpoints.subsets).some(
    (s) => objectsOf(s.addresses).length > 0 && objectsOf(s.ports).some((p) => stringOf(p.name) === portName),
  );
  if (isReady) return undefined;
  return unavailable(
    'MissingEndpoints',
    `endpoints for ${shown} have no addresses with port name ${JSON.stringify(portName)}`,
  );
}

function resourcesOf(body: Buffer): JsonObject[] {
  try {
    // JSON.parse gives JSON data only.
    const document = JSON.parse(body.toString()) as Json;
    return isObject(document) ? objectsOf(document.resources) : [];
  } catch {
    // A server may answer with what is no list; then it has no resources to show.
    return [];
  }
}

/** Looks whether another API server can be reached and answers for its group version. */
export async function checkAvailability(
  remote: RemoteApi,
  reader: ObjectReader,
  remotes: RemoteApis,
): Promise<Availability> {
  const problem = serviceProblem(reader, remote);
  if (problem !== undefined) return problem;
  const path = `/apis/${remote.group}/${remote.version}`;
  const url = `https://${remotes.hostOf(remote)}${path}`;
  const failed = (why: string): Availability =>
    unavailable('FailedDiscoveryCheck', `failing or missing response from ${url}: ${why}`);
  try {
    const { status, body } = await remotes.fetch(remote, path, { timeoutMs: checkTimeoutMs });
    if (status < 200 || status >= 300) return failed(`bad status from ${url}: ${status}`);
    return {
      isAvailable: true,
      reason: 'Passed',
      message: 'all checks passed',
      resources: resourcesOf(body),
    };
  } catch (error) {
    return failed(messageOf(error));
  }
}
