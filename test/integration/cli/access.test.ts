import { type Invocation, runInProcess } from '../../harness/in-process.js';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { clusterRoleBindings, customResourceDefinitions, namespaces } from '#base/kube/resource.js';
import { KubeClient } from '#base/kube/client.js';
import { renderCrds } from '#mesh/templates/crds.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { ApiUnderTest } from '../sandbox/apiserver/api-under-test.js';
import { makeAuthority } from './test-authority.js';

interface Kubeconfig {
  'current-context': string;
  clusters: { name: string; cluster: Record<string, unknown> }[];
  users: { name: string; user: Record<string, unknown> }[];
  contexts: { name: string; context: Record<string, unknown> }[];
}

let api: ApiUnderTest;
let folder: string;
/** What kubectl has for the API server. */
let sound: Kubeconfig;
const stops: (() => void)[] = [];

beforeAll(async () => {
  api = await ApiUnderTest.start();
  folder = mkdtempSync(join(tmpdir(), 'meshctl-access-'));
  sound = parse(readFileSync(api.kubeconfig, 'utf8')) as Kubeconfig;
  const client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
  for (const { document } of renderCrds(readTemplateFiles())) {
    if (JSON.stringify(document).includes('"plural":"gateways"')) {
      await client.create(customResourceDefinitions, document);
    }
  }
  client.close();
});

afterAll(async () => {
  for (const stop of stops) stop();
  rmSync(folder, { recursive: true });
  await api.stop();
});

/** Far above `--timeout 2s` on a busy machine, and below the 10 s that connecting takes without it. */
const boundedMs = 8_000;

interface Outcome extends Invocation {
  readonly elapsedMs: number;
}

/** Runs a command that asks the cluster for one list. */
const listWaypoints = (...args: string[]): Promise<Outcome> => listWaypointsWith({}, ...args);

async function listWaypointsWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome> {
  const startedMs = performance.now();
  const outcome = await runInProcess(['waypoint', 'list', '-A', ...args], env);
  return { ...outcome, elapsedMs: performance.now() - startedMs };
}

let files = 0;

/** Writes a kubeconfig that differs from the sound one; returns the flags that name it. */
function kubeconfig(change: {
  readonly cluster?: Record<string, unknown>;
  readonly user?: Record<string, unknown>;
}): string[] {
  const copy = structuredClone(sound);
  Object.assign(copy.clusters[0]?.cluster ?? {}, change.cluster);
  const user = copy.users[0];
  if (user !== undefined && change.user !== undefined) user.user = change.user;
  const path = join(folder, `${++files}.yaml`);
  writeFileSync(path, stringify(copy));
  return ['--kubeconfig', path];
}

function adminUser(): Record<string, unknown> {
  return sound.users[0]?.user ?? {};
}

async function listening(server: Server | HttpServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** An executable credential plugin. */
function plugin(script: string): string {
  const path = join(folder, `plugin-${++files}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

function execUser(command: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  const apiVersion = 'client.authentication.k8s.io/v1';
  return { exec: { apiVersion, command, interactiveMode: 'Never', ...more } };
}

function expectAccessError({ code, stderr }: Outcome, meshCode: string, words: RegExp): void {
  expect(stderr).toContain(meshCode);
  expect(stderr.replaceAll(/\s+/g, ' ')).toMatch(words);
  expect(code).toBe(3);
}

describe('an API server that is a black hole', () => {
  const held = new Set<Socket>();
  let port: number;

  beforeAll(async () => {
    port = await listening(createServer((socket) => held.add(socket.on('error', () => undefined))));
    stops.push(() => {
      for (const socket of held) socket.destroy();
    });
  });

  test('a TLS handshake that never ends: exit 3 within --timeout', async () => {
    const at = kubeconfig({ cluster: { server: `https://127.0.0.1:${port}` } });
    const outcome = await listWaypoints(...at, '--timeout', '2s');
    expectAccessError(outcome, 'MESH0211', /does not answer.*TLS handshake did not end within 1\.6 s/);
    expect(outcome.elapsedMs).toBeLessThan(boundedMs);
    expect(outcome.stderr).not.toMatch(/longer --timeout/);
  });

  test('a connection that is accepted and never answered: the same', async () => {
    const at = kubeconfig({ cluster: { server: `http://127.0.0.1:${port}` } });
    const outcome = await listWaypoints(...at, '--timeout', '2s');
    expectAccessError(outcome, 'MESH0211', /the connection stands, but no answer came within 1\.6 s/);
    expect(outcome.elapsedMs).toBeLessThan(boundedMs);
  });

  test('without --timeout it is 10 s, not 30', async () => {
    const at = kubeconfig({ cluster: { server: `https://127.0.0.1:${port}` } });
    const outcome = await listWaypoints(...at);
    expectAccessError(outcome, 'MESH0211', /within 10 s/);
    expect(outcome.elapsedMs).toBeLessThan(20_000);
  });

  test('a server that stops answering after it has answered', async () => {
    const { client } = await stoppingServer();
    await client.get({ resource: namespaces, name: 'default' });
    await expect(client.get({ resource: namespaces, name: 'silent' })).rejects.toMatchObject({
      code: 'MESH0209',
      message: 'the API server did not answer within 2 s',
    });
  });

  /** Answers once; its client has two seconds left. */
  async function stoppingServer(): Promise<{ client: KubeClient }> {
    let answered = 0;
    const server = createHttpServer((_, response) => {
      if (++answered === 1) response.end('{"metadata":{"name":"default"}}');
    });
    const address = `http://127.0.0.1:${await listening(server)}`;
    const limits = { connectMs: 1_000, requestMs: 30_000, podSilenceMs: 1_000 };
    const deadlineMs = performance.now() + 2_000;
    return { client: new KubeClient({ server: address }, { limits: { ...limits, deadlineMs } }) };
  }
});

describe('the files of $KUBECONFIG', () => {
  test('those that are missing are passed over', async () => {
    const env = { KUBECONFIG: `${join(folder, 'missing.yaml')}:${api.kubeconfig}` };
    expect(await listWaypointsWith(env)).toMatchObject({ code: 0 });
  });

  test('contexts, clusters and users are merged; the first file wins', async () => {
    const name = sound['current-context'];
    const [cluster, user] = [sound.clusters[0], sound.users[0]];
    const first = join(folder, 'first.yaml');
    const second = join(folder, 'second.yaml');
    writeFileSync(first, stringify({ 'current-context': 'merged', users: [user], clusters: [] }));
    const wrong = { name: user?.name, user: { token: 'wrong' } };
    const context = { name: 'merged', context: { cluster: cluster?.name, user: user?.name } };
    writeFileSync(
      second,
      stringify({ 'current-context': name, users: [wrong], clusters: [cluster], contexts: [context] }),
    );
    const env = { KUBECONFIG: `${first}:${second}` };
    expect(await listWaypointsWith(env)).toMatchObject({ code: 0 });
    const unknown = await listWaypointsWith(env, '--context', 'mergd');
    expectAccessError(unknown, 'MESH0208', /no context "mergd".*Did you mean --context merged/);
  });

  test('none of them is there', async () => {
    expectAccessError(
      await listWaypointsWith({ KUBECONFIG: join(folder, 'missing.yaml') }),
      'MESH0208',
      /no file that \$KUBECONFIG lists exists.*missing\.yaml/,
    );
  });

  test('a file that is named must be there, and be one', async () => {
    const missing = await listWaypoints('--kubeconfig', join(folder, 'missing.yaml'));
    expectAccessError(missing, 'MESH0208', /missing\.yaml cannot be read.*no such file/);
    const broken = join(folder, 'broken.yaml');
    writeFileSync(broken, 'contexts: [');
    expectAccessError(await listWaypoints('--kubeconfig', broken), 'MESH0208', /broken\.yaml cannot be read/);
  });
});

describe('credential plugins', () => {
  test('one that is not installed: its name and its install hint', async () => {
    const user = execUser('meshctl-test-login', { installHint: 'Get it from https://example.com/login.' });
    const outcome = await listWaypoints(...kubeconfig({ user }));
    expectAccessError(
      outcome,
      'MESH0214',
      /credential plugin meshctl-test-login .*is not installed.*Get it from https:\/\/example\.com\/login/,
    );
  });

  test('one that fails: what it said', async () => {
    const command = plugin('echo "session expired, run: corp login" >&2; exit 3');
    const outcome = await listWaypoints(...kubeconfig({ user: execUser(command) }));
    expectAccessError(outcome, 'MESH0214', /failed with exit code 3.*session expired, run: corp login/);
  });

  test('one that hangs, with a child that holds its output: bounded', async () => {
    const command = plugin('echo "waiting for the browser" >&2; sleep 60');
    const outcome = await listWaypoints(...kubeconfig({ user: execUser(command) }), '--timeout', '2s');
    expectAccessError(outcome, 'MESH0214', /did not end within 1\.6 s.*waiting for the browser/);
    expect(outcome.elapsedMs).toBeLessThan(boundedMs);
  });

  test('one that must ask somebody, without a terminal', async () => {
    const user = execUser(plugin('exit 0'), { interactiveMode: 'Always' });
    expectAccessError(await listWaypoints(...kubeconfig({ user })), 'MESH0214', /needs a terminal/);
  });

  test('one that prints something else: never quoted, it may be a secret', async () => {
    const outcome = await listWaypoints(...kubeconfig({ user: execUser(plugin('echo s3cr3t')) }));
    expectAccessError(outcome, 'MESH0214', /printed no usable credential.*not JSON/);
    expect(outcome.stderr).not.toContain('s3cr3t');
    const old = plugin(
      'echo \'{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1"}\'',
    );
    expectAccessError(
      await listWaypoints(...kubeconfig({ user: execUser(old) })),
      'MESH0214',
      /v1beta1; .*\/v1/,
    );
  });

  test('one that gives a certificate, and is told of the cluster', async () => {
    const admin = adminUser();
    const pem = (key: string): string => Buffer.from(String(admin[key]), 'base64').toString('utf8');
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: {
        clientCertificateData: pem('client-certificate-data'),
        clientKeyData: pem('client-key-data'),
      },
    };
    const answer = join(folder, 'credential.json');
    writeFileSync(answer, JSON.stringify(credential));
    const command = plugin(`printf %s "$KUBERNETES_EXEC_INFO" > ${folder}/info; cat "$ANSWER"`);
    const env = [{ name: 'ANSWER', value: answer }];
    const user = execUser(command, { env, provideClusterInfo: true });
    expect(await listWaypoints(...kubeconfig({ user }))).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(join(folder, 'info'), 'utf8'))).toMatchObject({
      kind: 'ExecCredential',
      spec: { interactive: false, cluster: { server: api.server } },
    });
  });
});

describe('certificates', () => {
  test('another authority than the one of the kubeconfig', async () => {
    const other = await makeAuthority();
    const at = kubeconfig({
      cluster: { 'certificate-authority-data': Buffer.from(other.caPem).toString('base64') },
    });
    expectAccessError(
      await listWaypoints(...at),
      'MESH0212',
      /not signed by the authority that the kubeconfig/,
    );
  });

  test('another name than the address; tls-server-name mends it', async () => {
    const authority = await makeAuthority();
    const { certPem, keyPem } = await authority.issue({ dns: 'api.example.com' });
    const server = createHttpsServer({ cert: certPem, key: keyPem }, (_, response) =>
      response.end('{"items":[]}'),
    );
    const cluster = {
      server: `https://127.0.0.1:${await listening(server)}`,
      'certificate-authority-data': Buffer.from(authority.caPem).toString('base64'),
    };
    expectAccessError(await listWaypoints(...kubeconfig({ cluster })), 'MESH0212', /is for other names/);
    const named = await listWaypoints(
      ...kubeconfig({ cluster: { ...cluster, 'tls-server-name': 'api.example.com' } }),
    );
    expect(named.stderr).not.toContain('MESH0212');
  });

  test.each([
    ['ends the handshake', true],
    ['answers 401, as kube-apiserver does', false],
  ])('an expired client certificate: the server %s', async (_, rejectUnauthorized) => {
    const authority = await makeAuthority();
    const { certPem, keyPem } = await authority.issue({ dns: 'localhost', ip: '127.0.0.1' });
    const expired = await authority.issue({ commonName: 'jane', notAfter: new Date('2021-03-01T00:00:00Z') });
    const tls = { cert: certPem, key: keyPem, ca: authority.caPem, requestCert: true, rejectUnauthorized };
    const server = createHttpsServer(tls, (_request, response) => {
      response.writeHead(401).end('{"message":"Unauthorized"}');
    });
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const at = kubeconfig({
      cluster: {
        server: `https://127.0.0.1:${await listening(server)}`,
        'certificate-authority-data': base64(authority.caPem),
      },
      user: {
        'client-certificate-data': base64(expired.certPem),
        'client-key-data': base64(expired.keyPem),
      },
    });
    const outcome = await listWaypoints(...at);
    expectAccessError(
      outcome,
      'MESH0213',
      /client certificate of the kubeconfig expired on Mar 1 .*2021.*CN=jane/,
    );
  });
});

describe('proxies', () => {
  test('proxy-url: HTTP CONNECT and SOCKS5', async () => {
    let tunnels = 0;
    const http = createHttpServer();
    http.on('connect', (request, client: Socket) => {
      tunnels++;
      const [host, port] = (request.url ?? '').split(':');
      const upstream = connect(Number(port), host === 'api.test' ? '127.0.0.1' : host, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
      client.on('error', () => upstream.destroy());
    });
    const httpProxy = await listening(http);
    const overHttp = kubeconfig({ cluster: { 'proxy-url': `http://127.0.0.1:${httpProxy}` } });
    expect(await listWaypoints(...overHttp)).toMatchObject({ code: 0 });
    expect(tunnels).toBeGreaterThan(0);

    // Without one in the kubeconfig, that of the environment: it alone knows this name.
    const named = kubeconfig({
      cluster: {
        server: sound.clusters[0]?.cluster['server']?.toString().replace('127.0.0.1', 'api.test'),
        'tls-server-name': 'localhost',
      },
    });
    tunnels = 0;
    const env = { HTTPS_PROXY: `http://127.0.0.1:${httpProxy}` };
    expect(await listWaypointsWith(env, ...named)).toMatchObject({ code: 0 });
    expect(tunnels).toBeGreaterThan(0);

    const socks = createServer((client) => serveSocks5(client));
    const overSocks = kubeconfig({
      cluster: { 'proxy-url': `socks5://127.0.0.1:${await listening(socks)}` },
    });
    expect(await listWaypoints(...overSocks)).toMatchObject({ code: 0 });
    expect(socksTunnels).toBeGreaterThan(0);
  });

  test('a proxy that never answers: exit 3 within --timeout', async () => {
    const silent = await listening(createServer((socket) => void socket.on('error', () => undefined)));
    const at = kubeconfig({ cluster: { 'proxy-url': `http://127.0.0.1:${silent}` } });
    const outcome = await listWaypoints(...at, '--timeout', '2s');
    expectAccessError(outcome, 'MESH0211', /no connection within 1\.6 s/);
    expect(outcome.elapsedMs).toBeLessThan(boundedMs);
  });
});

let socksTunnels = 0;

/** RFC 1928 for clients that need no authentication and name an IPv4 address. */
function serveSocks5(client: Socket): void {
  client.on('error', () => undefined);
  client.once('data', () => {
    client.write(Buffer.from([5, 0]));
    client.once('data', (request) => {
      socksTunnels++;
      const host = [...request.subarray(4, 8)].join('.');
      const upstream = connect(request.readUInt16BE(8), host, () => {
        client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
    });
  });
}

describe('impersonation', () => {
  test('of the kubeconfig and of --as, also with groups', async () => {
    await api.ok(['create', 'clusterrole', 'lister', '--verb=*', '--resource=*.*']);
    const binding = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'listers' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'lister' },
      subjects: [{ kind: 'Group', name: 'listers', apiGroup: 'rbac.authorization.k8s.io' }],
    };
    const client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
    await client.create(clusterRoleBindings, binding);
    client.close();

    const asJane = kubeconfig({ user: { ...adminUser(), as: 'jane' } });
    expectAccessError(await listWaypoints(...asJane), 'MESH0203', /jane/);
    const asLister = kubeconfig({ user: { ...adminUser(), as: 'jane', 'as-groups': ['listers'] } });
    expect(await listWaypoints(...asLister)).toMatchObject({ code: 0 });
    // The flag is about somebody else than the kubeconfig: its groups are not theirs.
    expectAccessError(await listWaypoints(...asLister, '--as', 'joe'), 'MESH0203', /joe/);
    const flags = ['--as', 'joe', '--as-group', 'listers'];
    expect(await listWaypoints(...kubeconfig({}), ...flags)).toMatchObject({ code: 0 });
  });
});
