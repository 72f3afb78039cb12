import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SpiffeId } from '#mesh/identity/spiffe.js';
import { setLogOutput } from '#base/telemetry/log.js';
import {
  Action,
  AuthorizationSchema,
  type MatchSchema,
  Scope,
} from '#mesh/xds/gen/istio/authorization_pb.js';
import {
  AddressSchema,
  ServiceSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
} from '#mesh/xds/gen/istio/workload_pb.js';
import { ipToBytes } from '#base/net/address.js';
import { addressType, authorizationType } from '#mesh/xds/type-urls.js';
import { readZtunnelConfig } from '#mesh/ztunnel/config.js';
import { Ztunnel } from '#mesh/ztunnel/ztunnel.js';
import type { RefusedAttempt, RefusedAttempts } from '#mesh/telemetry/refused-attempts.js';
import { ControlPlane } from './control-plane.js';
import { NetworkLab, type Pod } from './network-lab.js';
import { NodeAgent } from './node-agent.js';
import { PacketCapture } from './packet-capture.js';

const identityOf = (account: string): SpiffeId => `spiffe://cluster.local/ns/shop/sa/${account}` as SpiffeId;
const bytes = (ip: string): Uint8Array => ipToBytes(ip) ?? new Uint8Array();
const lines: string[] = [];

let folder: string;
let lab: NetworkLab;
let plane: ControlPlane;
/** web and cart are enrolled, on different nodes; legacy is not. */
let web: Pod;
let cart: Pod;
let legacy: Pod;
let nodes: Node[];

interface Node {
  readonly agent: NodeAgent;
  readonly ztunnel: Ztunnel;
  readonly stop: () => Promise<void>;
  readonly ports: { admin: number; stats: number; readiness: number };
}

let portCount = 0;

function startNode(name: string, env: Record<string, string> = {}): Node {
  const base = 21_000 + (process.pid % 2_000) * 12 + 3 * portCount++;
  const ports = { admin: base, stats: base + 1, readiness: base + 2 };
  const path = join(folder, `${name}.sock`);
  const agent = new NodeAgent(path);
  const ztunnel = new Ztunnel(
    readZtunnelConfig({
      XDS_ADDRESS: `https://localhost:${plane.port}`,
      XDS_ROOT_CA: plane.rootPem,
      CA_ROOT_CA: plane.rootPem,
      AUTH_TOKEN: join(folder, 'token'),
      INPOD_UDS: path,
      NODE_NAME: name,
      PROXY_ADMIN_PORT: String(ports.admin),
      STATS_PORT: String(ports.stats),
      READINESS_PORT: String(ports.readiness),
      CONNECTION_TERMINATION_DEADLINE: '3s',
      ...env,
    }),
    'test',
  );
  const shutdown = new AbortController();
  const running = ztunnel.run(shutdown.signal);
  running.catch((error: unknown) => lines.push(`ztunnel ${name} failed: ${String(error)}\n`));
  return {
    agent,
    ztunnel,
    ports,
    stop: async () => {
      shutdown.abort();
      await running;
      agent.close();
    },
  };
}

function putWorkload(o: MessageInitShape<typeof WorkloadSchema> & { name: string; ip: string }): void {
  const workload = create(WorkloadSchema, {
    uid: `Kubernetes//Pod/shop/${o.name}`,
    namespace: 'shop',
    trustDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    workloadName: o.name,
    canonicalName: o.name,
    canonicalRevision: 'latest',
    addresses: [bytes(o.ip)],
    ...o,
  });
  plane.put({
    type: addressType,
    name: workload.uid,
    schema: AddressSchema,
    message: create(AddressSchema, { type: { case: 'workload', value: workload } }),
  });
}

function putService(o: MessageInitShape<typeof ServiceSchema> & { name: string; vip: string }): void {
  const service = create(ServiceSchema, {
    namespace: 'shop',
    hostname: `${o.name}.shop.svc.cluster.local`,
    addresses: [{ address: bytes(o.vip) }],
    ...o,
  });
  plane.put({
    type: addressType,
    name: `shop/${service.hostname}`,
    schema: AddressSchema,
    message: create(AddressSchema, { type: { case: 'service', value: service } }),
  });
}

function putPolicy(o: {
  name: string;
  action: Action;
  rules: MessageInitShape<typeof MatchSchema>[][][];
  scope?: Scope;
}): void {
  plane.put({
    type: authorizationType,
    name: `shop/${o.name}`,
    schema: AuthorizationSchema,
    message: create(AuthorizationSchema, {
      name: o.name,
      namespace: 'shop',
      scope: o.scope ?? Scope.NAMESPACE,
      action: o.action,
      rules: o.rules.map((clauses) => ({ clauses: clauses.map((matches) => ({ matches })) })),
    }),
  });
}

const strict = [[[{ notPrincipals: [{ matchType: { case: 'presence' as const, value: {} } }] }]]];

/** Describes the pods as the controller would; tests change parts of it. */
function describeMesh(): void {
  const ports = { 'shop/cart.shop.svc.cluster.local': { ports: [{ servicePort: 80, targetPort: 8080 }] } };
  putWorkload({
    name: 'web',
    ip: web.ip,
    node: 'node-1',
    serviceAccount: 'web',
    tunnelProtocol: TunnelProtocol.HBONE,
  });
  putWorkload({
    name: 'cart',
    ip: cart.ip,
    node: 'node-2',
    serviceAccount: 'cart',
    tunnelProtocol: TunnelProtocol.HBONE,
    services: ports,
  });
  putService({ name: 'cart', vip: '10.96.0.7', ports: [{ servicePort: 80, targetPort: 8080 }] });
}

/** Asserts what becomes true in a while: all nodes of this test share one process and its few threads. */
function eventually<T>(check: () => T) {
  return expect.poll(check, { timeout: 10_000 });
}

/** Sends one line and returns the answer; empty when the connection was closed without one. */
async function ask(from: Pod, host: string, port: number, line = 'hello'): Promise<string> {
  let socket: Socket;
  try {
    socket = await from.connect(host, port);
  } catch (error) {
    return `(${(error as NodeJS.ErrnoException).code})`;
  }
  socket.end(line);
  return await text(socket).catch((error: NodeJS.ErrnoException) => `(${error.code})`);
}

/** Both proxies have seen every resource the control plane holds now. */
async function settled(check: (ztunnel: Ztunnel) => boolean): Promise<void> {
  await eventually(() => nodes.every((node) => check(node.ztunnel))).toBe(true);
}

beforeAll(async () => {
  setLogOutput((line) => (process.env['LAB_LOG'] ? process.stderr.write(line) : lines.push(line)));
  folder = mkdtempSync(join(tmpdir(), 'ztunnel-'));
  writeFileSync(join(folder, 'token'), 'node-token\n');
  lab = await NetworkLab.make();
  web = await lab.addPod('web', '10.77.0.2');
  cart = await lab.addPod('cart', '10.77.0.3');
  legacy = await lab.addPod('legacy', '10.77.0.4');
  await web.capture();
  await cart.capture();
  const answer = (socket: Socket): void => {
    let line = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      line += chunk;
    });
    // Answers only once the client ended its half: half-close must pass through both proxies.
    socket.once('end', () => socket.end(`${line} from ${socket.remoteAddress}`));
  };
  await cart.serve(8080, answer);
  await legacy.serve(9090, answer);
  plane = await ControlPlane.start();
  describeMesh();
  nodes = [startNode('node-1'), startNode('node-2')];
  for (const node of nodes) await node.agent.greet();
  expect(
    await nodes[0]?.agent.add({ uid: 'uid-web', name: 'web', serviceAccount: 'web', nsPath: web.nsPath }),
  ).toBe('');
  expect(
    await nodes[1]?.agent.add({ uid: 'uid-cart', name: 'cart', serviceAccount: 'cart', nsPath: cart.nsPath }),
  ).toBe('');
});

afterEach(async () => {
  for (const name of ['strict', 'only-web', 'nobody']) plane.remove(authorizationType, `shop/${name}`);
  plane.refused.clear();
  describeMesh();
  await settled((z) => z.policies.list().length === 0);
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  plane.stop();
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('between two enrolled pods', () => {
  test('traffic is encrypted on the wire, identified on both sides, and shows the real client address', async () => {
    const capture = await PacketCapture.start(lab.fabric);
    expect(await ask(web, cart.ip, 8080, 'secret-marker')).toBe(`secret-marker from ${web.ip}`);
    const seen = await capture.stop();
    expect(seen.text).not.toContain('secret-marker');
    expect(seen.ports).toContain(15008);
    expect(seen.ports).not.toContain(8080);
    const record = lines.findLast((line) => line.includes('direction="inbound"'));
    expect(record).toContain(`src.identity="${identityOf('web')}"`);
    expect(record).toContain(`dst.hbone_addr=${cart.ip}:8080`);
    expect(plane.issued).toEqual(expect.arrayContaining([identityOf('web'), identityOf('cart')]));
  });

  test('a service address reaches its endpoint', async () => {
    expect(await ask(web, '10.96.0.7', 80)).toBe(`hello from ${web.ip}`);
  });

  test('a live connection is shown with the TLS that was negotiated', async () => {
    const socket = await web.connect(cart.ip, 8080);
    socket.write('half a question');
    const connections = async (node: Node | undefined, uid: string, side: string): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${node?.ports.admin}/config_dump`);
      const dump = (await response.json()) as {
        workloadState: Record<string, { connections: Record<string, unknown> }>;
      };
      return dump.workloadState[uid]?.connections[side];
    };
    const tls = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' };
    await eventually(() => connections(nodes[0], 'uid-web', 'outbound')).toMatchObject([
      { protocol: 'HBONE', originalDst: `${cart.ip}:8080`, tls: { ...tls, peer: identityOf('cart') } },
    ]);
    await eventually(() => connections(nodes[1], 'uid-cart', 'inbound')).toMatchObject([
      { protocol: 'HBONE', actualDst: `${cart.ip}:8080`, tls: { ...tls, peer: identityOf('web') } },
    ]);
    socket.destroy();
    await eventually(() => connections(nodes[0], 'uid-web', 'outbound')).toEqual([]);
    await eventually(() => connections(nodes[1], 'uid-cart', 'inbound')).toEqual([]);
  });

  test('a reset by the client ends the connection to the application', async () => {
    let ended: (() => void) | undefined;
    const end = new Promise<void>((resolve) => (ended = resolve));
    await cart.serve(8081, (socket) => {
      socket.on('data', () => undefined);
      socket.once('end', () => ended?.());
      socket.once('close', () => ended?.());
    });
    const socket = await web.connect(cart.ip, 8081);
    socket.write('x');
    await eventually(() => nodes[1]?.ztunnel.workloads.proxies()[0]?.connections.size).toBe(1);
    socket.resetAndDestroy();
    await end;
  });

  test('a port nobody listens on is refused', async () => {
    expect(await ask(web, cart.ip, 9999)).toMatch(/^(\(ECONNRESET\))?$/);
  });

  test('bytes and connections are counted by both proxies', async () => {
    await ask(web, '10.96.0.7', 80);
    const metrics = await (await fetch(`http://127.0.0.1:${nodes[0]?.ports.stats}/stats/prometheus`)).text();
    expect(metrics).toMatch(
      /istio_tcp_sent_bytes_total\{.*destination_service="cart\.shop\.svc\.cluster\.local".*connection_security_policy="mutual_tls"/,
    );
    expect(metrics).toContain(`source_principal="${identityOf('web')}"`);
    expect(metrics.trimEnd().endsWith('# EOF')).toBe(true);
  });
});

/** What a node proxy refused last, as its admin port tells it. */
async function newestAttempt(node: number): Promise<RefusedAttempt | undefined> {
  const answer = await fetch(`http://127.0.0.1:${nodes[node]?.ports.admin}/debug/attempts`);
  const { attempts } = (await answer.json()) as ReturnType<RefusedAttempts['view']>;
  return attempts[0];
}

describe('plaintext', () => {
  test('from a pod outside the mesh is admitted, with its own address, while nothing forbids it', async () => {
    expect(await ask(legacy, cart.ip, 8080)).toBe(`hello from ${legacy.ip}`);
  });

  test('is refused under STRICT while mTLS goes on', async () => {
    putPolicy({ name: 'strict', action: Action.DENY, rules: strict });
    await settled((z) => z.policies.list().length === 1);
    expect(await ask(legacy, cart.ip, 8080)).toMatch(/^(\(ECONNRESET\))?$/);
    expect(await ask(web, cart.ip, 8080)).toBe(`hello from ${web.ip}`);
    expect(await newestAttempt(1)).toMatchObject({
      direction: 'inbound',
      flag: 'DENY',
      reason: expect.stringContaining('strict'),
      source: { address: legacy.ip },
      destination: { address: `${cart.ip}:8080`, workload: 'cart', namespace: 'shop' },
    });
  });

  test('to a destination the mesh does not know passes through', async () => {
    expect(await ask(web, legacy.ip, 9090)).toBe(`hello from ${web.ip}`);
  });
});

describe('policy', () => {
  test('a principal that is not allowed is refused with 401', async () => {
    const rules = [
      [
        [
          {
            principals: [{ matchType: { case: 'exact' as const, value: 'cluster.local/ns/shop/sa/other' } }],
          },
        ],
      ],
    ];
    putPolicy({ name: 'only-web', action: Action.ALLOW, rules });
    await settled((z) => z.policies.list().length === 1);
    expect(await ask(web, cart.ip, 8080)).toMatch(/^(\(ECONNRESET\))?$/);
    expect(lines.findLast((line) => line.includes('direction="outbound"'))).toContain('status 401');
    expect(lines.findLast((line) => line.includes('policy rejection'))).toContain(
      'allow policies exist, but none allowed',
    );
    expect(await newestAttempt(1)).toMatchObject({
      flag: 'DENY',
      source: { workload: 'web', namespace: 'shop', identity: identityOf('web') },
      destination: { address: `${cart.ip}:8080`, workload: 'cart' },
    });
    expect(await newestAttempt(0)).toMatchObject({
      direction: 'outbound',
      reason: expect.stringContaining('status 401'),
      source: { workload: 'web' },
    });
  });

  test('a new policy ends a live connection it forbids', async () => {
    const socket = await web.connect(cart.ip, 8080);
    socket.write('still talking');
    const proxy = nodes[1]?.ztunnel.workloads.proxies()[0];
    await eventually(() => proxy?.connections.size).toBe(1);
    const gone = new Promise<void>((resolve) => {
      socket.on('error', () => undefined);
      socket.once('close', () => resolve());
      socket.once('end', () => resolve());
      socket.resume();
    });
    putPolicy({ name: 'nobody', action: Action.ALLOW, rules: [] });
    await gone;
    await eventually(() => proxy?.connections.size).toBe(0);
    expect(lines.findLast((line) => line.includes('policy change'))).toContain('direction="inbound"');
    socket.destroy();
  });

  test('a policy that comes to apply to the workload ends live connections, its removal ends none', async () => {
    const named = (authorizationPolicies: string[]): void =>
      putWorkload({
        name: 'cart',
        ip: cart.ip,
        node: 'node-2',
        serviceAccount: 'cart',
        tunnelProtocol: TunnelProtocol.HBONE,
        authorizationPolicies,
      });
    const put = (name: string, rules: MessageInitShape<typeof MatchSchema>[][][]): void =>
      putPolicy({ name, action: Action.ALLOW, rules, scope: Scope.WORKLOAD_SELECTOR });
    put('only-web', [[]]);
    named(['shop/only-web']);
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/cart')?.authorizationPolicies.length === 1);
    await settled((z) => z.policies.list().length === 1);
    const socket = await web.connect(cart.ip, 8080);
    socket.on('error', () => undefined);
    socket.write('still talking');
    const proxy = nodes[1]?.ztunnel.workloads.proxies()[0];
    await eventually(() => proxy?.connections.size).toBe(1);
    plane.remove(authorizationType, 'shop/only-web');
    await settled((z) => z.policies.list().length === 0);
    expect(proxy?.connections.size).toBe(1);
    put('nobody', []);
    await settled((z) => z.policies.list().length === 1);
    expect(proxy?.connections.size).toBe(1);
    named(['shop/nobody']);
    await eventually(() => proxy?.connections.size).toBe(0);
    socket.destroy();
  });

  test('a policy the workload names but that never arrived refuses', async () => {
    putWorkload({
      name: 'cart',
      ip: cart.ip,
      node: 'node-2',
      serviceAccount: 'cart',
      tunnelProtocol: TunnelProtocol.HBONE,
      authorizationPolicies: ['shop/missing'],
    });
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/cart')?.authorizationPolicies.length === 1);
    expect(await ask(web, cart.ip, 8080)).toMatch(/^(\(ECONNRESET\))?$/);
  });
});

describe('fails closed', () => {
  test('a waypoint without a healthy instance refuses instead of being skipped', async () => {
    const waypoint = {
      destination: {
        case: 'hostname' as const,
        value: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
      },
      hboneMtlsPort: 15008,
    };
    putService({ name: 'cart', vip: '10.96.0.7', ports: [{ servicePort: 80, targetPort: 8080 }], waypoint });
    await settled((z) => z.view.service('shop/cart.shop.svc.cluster.local')?.waypoint !== undefined);
    expect(await ask(web, '10.96.0.7', 80)).toMatch(/^(\(ECONNRESET\))?$/);
    expect(lines.findLast((line) => line.includes('direction="outbound"'))).toContain('no healthy instance');
    expect(await newestAttempt(0)).toMatchObject({
      reason: expect.stringContaining('no healthy instance'),
      source: { workload: 'web' },
      destination: { service: 'cart.shop.svc.cluster.local' },
    });
  });

  test('a service without healthy endpoints refuses', async () => {
    putWorkload({
      name: 'cart',
      ip: cart.ip,
      node: 'node-2',
      serviceAccount: 'cart',
      tunnelProtocol: TunnelProtocol.HBONE,
      status: WorkloadStatus.UNHEALTHY,
      services: { 'shop/cart.shop.svc.cluster.local': { ports: [{ servicePort: 80, targetPort: 8080 }] } },
    });
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/cart')?.status === 'Unhealthy');
    expect(await ask(web, '10.96.0.7', 80)).toMatch(/^(\(ECONNRESET\))?$/);
  });

  test('without a certificate nothing leaves the pod', async () => {
    plane.refused.add(identityOf('uncertified'));
    putWorkload({
      name: 'web',
      ip: web.ip,
      node: 'node-1',
      serviceAccount: 'web',
      tunnelProtocol: TunnelProtocol.HBONE,
    });
    const poor = await lab.addPod('poor', '10.77.0.5');
    await poor.capture();
    putWorkload({
      name: 'poor',
      ip: poor.ip,
      node: 'node-1',
      serviceAccount: 'uncertified',
      tunnelProtocol: TunnelProtocol.HBONE,
    });
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/poor') !== undefined);
    expect(
      await nodes[0]?.agent.add({
        uid: 'uid-poor',
        name: 'poor',
        serviceAccount: 'uncertified',
        nsPath: poor.nsPath,
      }),
    ).toBe('');
    const capture = await PacketCapture.start(lab.fabric);
    expect(await ask(poor, cart.ip, 8080, 'secret-marker')).toMatch(/^(\(ECONNRESET\))?$/);
    const seen = await capture.stop();
    expect(seen.text).not.toContain('secret-marker');
    expect(seen.ports).not.toContain(8080);
    const states = nodes[0]?.ztunnel.certificates.states();
    expect(states?.find((s) => s.identity === identityOf('uncertified'))?.state).toMatch(/^Unavailable: /);
    expect(await nodes[0]?.agent.remove('uid-poor')).toBe('');
    // Removed from the mesh but still redirected: refused, not let through.
    expect(await ask(poor, cart.ip, 8080)).toBe('(ECONNREFUSED)');
  });

  test('an enrolled pod the control plane does not know cannot talk', async () => {
    const ghost = await lab.addPod('ghost', '10.77.0.6');
    await ghost.capture();
    expect(
      await nodes[0]?.agent.add({
        uid: 'uid-ghost',
        name: 'ghost',
        serviceAccount: 'x',
        nsPath: ghost.nsPath,
      }),
    ).toBe('');
    expect(await ask(ghost, legacy.ip, 9090)).toMatch(/^(\(ECONNRESET\))?$/);
    expect(await nodes[0]?.agent.remove('uid-ghost')).toBe('');
  });

  test('a pod runs as the account its node names: told otherwise, it cannot talk and asks for nothing', async () => {
    const mixed = await lab.addPod('mixed', '10.77.0.7');
    await mixed.capture();
    putWorkload({
      name: 'mixed',
      ip: mixed.ip,
      node: 'node-1',
      serviceAccount: 'admin',
      tunnelProtocol: TunnelProtocol.HBONE,
    });
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/mixed') !== undefined);
    expect(
      await nodes[0]?.agent.add({
        uid: 'uid-mixed',
        name: 'mixed',
        serviceAccount: 'guest',
        nsPath: mixed.nsPath,
      }),
    ).toBe('');
    expect(await ask(mixed, cart.ip, 8080)).toMatch(/^(\(ECONNRESET\))?$/);
    expect(await nodes[0]?.agent.remove('uid-mixed')).toBe('');
    plane.remove(addressType, 'Kubernetes//Pod/shop/mixed');
  });

  test('losing the control plane changes nothing for what is known', async () => {
    plane.stop();
    expect(await ask(web, cart.ip, 8080)).toBe(`hello from ${web.ip}`);
    await plane.listen();
    putWorkload({ name: 'news', ip: '10.77.9.9', node: 'node-9' });
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/news') !== undefined);
    plane.remove(addressType, 'Kubernetes//Pod/shop/news');
    await settled((z) => z.view.workload('Kubernetes//Pod/shop/news') === undefined);
  });

  test('before the control plane answered the proxy takes no pods and is not ready', async () => {
    const node = startNode('node-3', { XDS_ADDRESS: 'https://localhost:1' });
    try {
      const ready = async (): Promise<string> =>
        (await fetch(`http://127.0.0.1:${node.ports.readiness}/healthz/ready`)).text();
      await eventually(ready).toBe(
        'not ready, pending: state manager, workload proxy manager\n' +
          '  state manager: the configuration is not complete\n' +
          '  workload proxy manager: the CNI agent has not handed over its pods\n',
      );
      expect(node.agent.isConnected).toBe(false);
    } finally {
      await node.stop();
    }
  });
});

describe('shutdown', () => {
  test('lets a running connection finish and refuses new ones', async () => {
    const node = startNode('node-4', { IPV6_ENABLED: 'false' });
    const pod = await lab.addPod('leaver', '10.77.0.8');
    await pod.capture();
    putWorkload({
      name: 'leaver',
      ip: pod.ip,
      node: 'node-4',
      serviceAccount: 'leaver',
      tunnelProtocol: TunnelProtocol.HBONE,
    });
    await node.agent.greet();
    expect(
      await node.agent.add({
        uid: 'uid-leaver',
        name: 'leaver',
        serviceAccount: 'leaver',
        nsPath: pod.nsPath,
      }),
    ).toBe('');
    await eventually(() => node.ztunnel.view.workload('Kubernetes//Pod/shop/leaver')).toBeDefined();
    const running = await pod.connect(cart.ip, 8080);
    running.write('begun ');
    await eventually(() => node.ztunnel.workloads.proxies()[0]?.connections.size).toBe(1);
    const stopped = node.stop();
    await eventually(() => ask(pod, cart.ip, 8080)).toBe('(ECONNREFUSED)');
    running.end('and finished');
    expect(await text(running)).toBe(`begun and finished from ${pod.ip}`);
    await stopped;
  });
});
