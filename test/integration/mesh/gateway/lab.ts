import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HbonePool } from '#mesh/hbone/pool.js';
import { type ConnectRequest, HboneServer } from '#mesh/hbone/server.js';
import type { Credentials } from '#mesh/identity/credentials.js';
import { formatSpiffeId, type SpiffeId } from '#mesh/identity/spiffe.js';
import { readGatewayConfig, type WaypointConfig } from '#mesh/gateway/config.js';
import { WaypointProxy } from '#mesh/gateway/waypoint.js';
import {
  AddressSchema,
  AppProtocol,
  TunnelProtocol,
  WorkloadStatus,
} from '#mesh/xds/gen/istio/workload_pb.js';
import { copyBoth } from '#mesh/system/copy.js';
import { AuthorizationPolicySchema } from '#mesh/xds/gen/meshctl/l7_pb.js';
import { ipToBytes } from '#base/net/address.js';
import { ControlPlane } from './control-plane.js';

export const gatewayIdentity = identityOf('waypoint');
/** Where the proxy under test listens; backends get other loopback addresses. */
const gatewayIp = '127.0.20.1';
const pollMs = 10;

export function identityOf(serviceAccount: string): SpiffeId {
  return formatSpiffeId({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount });
}

/** Waits until the function returns something truthy. */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs} ms`);
    await new Promise((resolve) => {
      setTimeout(resolve, pollMs);
    });
  }
}

export interface ServiceSpec {
  readonly name: string;
  readonly vip: string;
  readonly protocol?: AppProtocol;
  /** False: the service uses another gateway. */
  readonly isOurs?: boolean;
}

export interface WorkloadSpec {
  readonly name: string;
  readonly ip: string;
  /** Service name -> pod port behind its port 80. */
  readonly services?: Readonly<Record<string, number>>;
  readonly isHbone?: boolean;
  readonly isHealthy?: boolean;
  readonly hasWaypoint?: boolean;
}

/** What a backend's node proxy saw of one CONNECT. */
export interface SeenConnect {
  readonly peer: SpiffeId;
  readonly authority: string;
  readonly forwarded: string | undefined;
}

/**
 * A mesh on the loopback interface around one real waypoint: real control plane, real certificates,
 * HBONE clients, and backends behind HBONE servers or plain TCP.
 */
export class Lab {
  readonly connects: SeenConnect[] = [];
  /** The access log. */
  readonly lines: string[] = [];
  private readonly pool = new HbonePool();
  private readonly stop = new AbortController();
  private readonly closers: (() => void | Promise<void>)[] = [];
  private readonly credentials = new Map<string, Credentials>();
  private done: Promise<void> = Promise.resolve();
  private constructor(
    readonly plane: ControlPlane,
    readonly config: WaypointConfig,
  ) {}

  static async start(
    options: { isSynced?: boolean; accessLog?: WaypointConfig['accessLog']; drainSeconds?: number } = {},
  ): Promise<Lab> {
    const plane = await ControlPlane.start(gatewayIdentity);
    plane.isReady = options.isSynced ?? true;
    const dir = mkdtempSync(join(tmpdir(), 'waypoint-'));
    writeFileSync(join(dir, 'root.pem'), plane.rootPem);
    const env = {
      POD_NAME: 'waypoint-0',
      POD_NAMESPACE: 'shop',
      INSTANCE_IP: gatewayIp,
      SERVICE_ACCOUNT: 'waypoint',
      NODE_NAME: 'node-1',
      GATEWAY_NAME: 'waypoint',
      CA_ADDR: `localhost:${plane.port}`,
      XDS_ROOT_CA: join(dir, 'root.pem'),
      TOKEN_FILE: 'gateway-token',
      ACCESS_LOG: options.accessLog ?? 'text',
      TERMINATION_DRAIN_DURATION_SECONDS: String(options.drainSeconds ?? 10),
    };
    const base = readGatewayConfig(['--domain', 'shop.svc.cluster.local'], env);
    const ports = {
      hbone: await freePort(),
      admin: await freePort(),
      stats: await freePort(),
      ready: await freePort(),
    };
    const lab = new Lab(plane, { ...base, ports, listenHost: gatewayIp });
    lab.closers.push(() => rm(dir, { recursive: true, force: true }));
    lab.done = new WaypointProxy(lab.config, (line) => lab.lines.push(line)).run(lab.stop.signal);
    if (plane.isReady) await eventually('readiness', async () => (await lab.readiness()).status === 200);
    return lab;
  }

  /** Asks the proxy to end, as SIGTERM does; resolves when it has. */
  async terminate(): Promise<void> {
    this.stop.abort(new Error('SIGTERM'));
    await this.done;
  }

  async close(): Promise<void> {
    this.pool.close();
    await this.terminate();
    this.plane.stop();
    for (const close of this.closers.reverse()) await close();
  }

  async readiness(): Promise<{ status: number; body: string }> {
    return this.get(`http://${gatewayIp}:${this.config.ports.ready}/healthz/ready`);
  }

  async metrics(): Promise<string> {
    return (await this.get(`http://${gatewayIp}:${this.config.ports.stats}/stats/prometheus`)).body;
  }

  async dump(): Promise<Record<string, unknown>> {
    return JSON.parse((await this.get(`http://127.0.0.1:${this.config.ports.admin}/config_dump`)).body);
  }

  /** Whether a line of the access log contains a text. */
  logged(text: string): boolean {
    return this.lines.some((line) => line.includes(text));
  }

  /** A tunnel of a client through the waypoint. */
  async tunnel(authority: string, serviceAccount = 'sleep'): Promise<Duplex> {
    const { stream } = await this.pool.connect({
      destination: { host: gatewayIp, port: this.config.ports.hbone },
      authority,
      credentials: await this.credentialsOf(serviceAccount),
      expectedIdentities: [gatewayIdentity],
    });
    // Tests look at its end; what broke it off is no error of theirs.
    stream.on('error', () => undefined);
    this.closers.push(() => {
      stream.destroy();
    });
    return stream;
  }

  putService({ name, vip, protocol = AppProtocol.HTTP11, isOurs = true }: ServiceSpec): void {
    const hostname = `${name}.shop.svc.cluster.local`;
    const gateway = `${isOurs ? 'waypoint' : 'other'}.shop.svc.cluster.local`;
    const value = {
      name,
      namespace: 'shop',
      hostname,
      addresses: [{ network: '', address: bytes(vip) }],
      ports: [{ servicePort: 80, targetPort: 8080, appProtocol: protocol }],
      waypoint: {
        destination: { case: 'hostname' as const, value: { namespace: 'shop', hostname: gateway } },
        hboneMtlsPort: 15008,
      },
    };
    this.plane.putAddress(
      `shop/${hostname}`,
      AddressSchema,
      create(AddressSchema, { type: { case: 'service', value } }),
    );
  }

  putWorkload({
    name,
    ip,
    services = {},
    isHbone = false,
    isHealthy = true,
    hasWaypoint = false,
  }: WorkloadSpec): void {
    const value: MessageInitShape<typeof AddressSchema>['type'] = {
      case: 'workload',
      value: {
        uid: `Kubernetes//Pod/shop/${name}`,
        name,
        namespace: 'shop',
        addresses: [bytes(ip)],
        serviceAccount: name,
        workloadName: name,
        canonicalName: name,
        canonicalRevision: 'v1',
        tunnelProtocol: isHbone ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
        status: isHealthy ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
        services: Object.fromEntries(
          Object.entries(services).map(([service, port]) => [
            `shop/${service}.shop.svc.cluster.local`,
            { ports: [{ servicePort: 80, targetPort: port }] },
          ]),
        ),
        ...(hasWaypoint
          ? {
              waypoint: {
                destination: {
                  case: 'hostname' as const,
                  value: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
                },
                hboneMtlsPort: 15008,
              },
            }
          : {}),
      },
    };
    this.plane.putAddress(
      `Kubernetes//Pod/shop/${name}`,
      AddressSchema,
      create(AddressSchema, { type: value }),
    );
  }

  putPolicy(init: MessageInitShape<typeof AuthorizationPolicySchema> & { name: string }): void {
    const message = create(AuthorizationPolicySchema, { namespace: 'shop', ...init });
    this.plane.putPolicy(`shop/${init.name}`, AuthorizationPolicySchema, message);
  }

  /** Resolves once the proxy shows all of the named services and policies. */
  async known(names: { services?: readonly string[]; policies?: readonly string[] }): Promise<void> {
    await eventually('configuration', async () => {
      const text = JSON.stringify(await this.dump());
      return [...(names.services ?? []), ...(names.policies ?? [])].every((name) =>
        text.includes(`"${name}`),
      );
    });
  }

  /** A listening backend at a loopback address. */
  async backend(ip: string, serve: (socket: Socket) => void): Promise<number> {
    return this.listen(ip, 0, serve);
  }

  /** The node proxy of a pod: ends HBONE on the pod's address and passes bytes to its application. */
  async nodeProxy(
    ip: string,
    serviceAccount: string,
    answer?: (request: ConnectRequest) => boolean,
  ): Promise<void> {
    const credentials = await this.credentialsOf(serviceAccount);
    const server = new HboneServer({
      credentials: () => Promise.resolve(credentials),
      onConnect: (request) => {
        const forwarded = request.headers['forwarded'];
        this.connects.push({ peer: request.peer, authority: request.authority, forwarded });
        if (answer?.(request) === true) return;
        void this.join(request);
      },
    });
    this.closers.push(() => server.close());
    await this.listen(ip, 15008, (socket) => server.serve(socket));
  }

  private async join(request: ConnectRequest): Promise<void> {
    const { connectTcp } = await import('#base/system/socket.js');
    const [host = '', port = ''] = request.authority.split(':');
    try {
      const app = await connectTcp({ host, port: Number(port) });
      await copyBoth(request.accept(), app, { aToB: 0, bToA: 0 });
    } catch {
      request.reject(503);
    }
  }

  private async listen(ip: string, port: number, serve: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
      serve(socket);
    });
    const bound = await listening(server, ip, port);
    this.closers.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return bound;
  }

  private async credentialsOf(serviceAccount: string): Promise<Credentials> {
    const known = this.credentials.get(serviceAccount);
    if (known !== undefined) return known;
    const made = await this.plane.issue(identityOf(serviceAccount));
    this.credentials.set(serviceAccount, made);
    return made;
  }

  private async get(url: string): Promise<{ status: number; body: string }> {
    try {
      const response = await fetch(url, { headers: { connection: 'close' } });
      return { status: response.status, body: await response.text() };
    } catch {
      return { status: 0, body: '' };
    }
  }
}

async function listening(server: Server, host: string, port: number): Promise<number> {
  server.listen({ host, port });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server, gatewayIp, 0);
  server.close();
  await once(server, 'close');
  return port;
}

function bytes(ip: string): Uint8Array {
  const found = ipToBytes(ip);
  if (found === undefined) throw new Error(`${ip} is not an address`);
  return found;
}
