import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { text } from 'node:stream/consumers';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HboneError } from '#mesh/hbone/hbone-error.js';
import { HbonePool } from '#mesh/hbone/pool.js';
import { type ConnectRequest, HboneServer, type RefusedConnection } from '#mesh/hbone/server.js';
import type { Credentials } from '#mesh/identity/credentials.js';
import type { SpiffeId } from '#mesh/identity/spiffe.js';
import { identityOf, MeshAuthority } from './mesh-authority.js';

let authority: MeshAuthority;
let web: Credentials;
let cart: Credentials;
const cleanups: (() => void)[] = [];

beforeAll(async () => {
  authority = await MeshAuthority.make();
  web = await authority.issue(identityOf('web'));
  cart = await authority.issue(identityOf('cart'));
});

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Running {
  readonly port: number;
  readonly server: HboneServer;
  readonly refused: RefusedConnection[];
  readonly sockets: Set<Socket>;
}

async function startServer(
  onConnect: (request: ConnectRequest) => void,
  credentials: () => Promise<Credentials> = () => Promise.resolve(cart),
  options: { readonly admits?: (peer: SpiffeId) => boolean } = {},
): Promise<Running> {
  const refused: RefusedConnection[] = [];
  const hbone = new HboneServer({ ...options, credentials, onConnect, onRefused: (r) => refused.push(r) });
  const sockets = new Set<Socket>();
  const listener: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    hbone.serve(socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  cleanups.push(() => {
    hbone.close();
    listener.close();
  });
  return { port: (listener.address() as AddressInfo).port, server: hbone, refused, sockets };
}

function makePool(options: ConstructorParameters<typeof HbonePool>[0] = {}): HbonePool {
  const pool = new HbonePool(options);
  cleanups.push(() => pool.close());
  return pool;
}

const echo = (request: ConnectRequest): void => {
  const stream = request.accept();
  stream.pipe(stream);
};

function target(running: Running, extra: { expected?: SpiffeId[]; credentials?: Credentials } = {}) {
  return {
    destination: { host: '127.0.0.1', port: running.port },
    authority: '10.0.0.7:8080',
    credentials: extra.credentials ?? web,
    expectedIdentities: extra.expected ?? [cart.identity],
  };
}

async function failure(promise: Promise<unknown>): Promise<HboneError> {
  const error: unknown = await promise.then(
    () => new Error('it succeeded'),
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(HboneError);
  return error as HboneError;
}

/** Resolves when the socket is gone, with an error or without. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
  });
}

describe('a CONNECT between two identities', () => {
  test('carries bytes both ways, tells each side who the other is, and half-closes', async () => {
    const requests: ConnectRequest[] = [];
    const running = await startServer((request) => {
      requests.push(request);
      const stream = request.accept({ baggage: 'k8s.pod.name=cart-0' });
      // Answers only after the client ended its half: proves half-close in both directions.
      void text(stream).then((received) => stream.end(received.toUpperCase()));
    });
    const { stream, peer, tls, responseHeaders } = await makePool().connect({
      ...target(running),
      headers: { baggage: 'k8s.pod.name=web-0' },
    });
    stream.end('hello');
    expect(await text(stream)).toBe('HELLO');
    expect(peer).toBe(cart.identity);
    expect(tls).toEqual({ version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', peer: cart.identity });
    expect(responseHeaders['baggage']).toBe('k8s.pod.name=cart-0');
    expect(requests[0]).toMatchObject({
      peer: web.identity,
      authority: '10.0.0.7:8080',
      tls: { version: 'TLSv1.3', peer: web.identity },
    });
    expect(requests[0]?.headers['baggage']).toBe('k8s.pod.name=web-0');
  });

  test('moves a large body unchanged in both directions at once', async () => {
    const running = await startServer(echo);
    const { stream } = await makePool().connect(target(running));
    const block = Buffer.alloc(1 << 20, 'abcdefghijklmnop');
    const total = 24;
    let received = 0;
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    for (let i = 0; i < total; i++) {
      if (!stream.write(block)) await once(stream, 'drain');
    }
    stream.end();
    await once(stream, 'end');
    expect(received).toBe(total * block.length);
  });

  test('reports the status of a refusal', async () => {
    const running = await startServer((request) => request.reject(401));
    const error = await failure(makePool().connect(target(running)));
    expect(error.status).toBe(401);
    expect(error.message).toContain('401');
  });
});

describe('identity', () => {
  test('a server that is not the expected one is refused by the client', async () => {
    const running = await startServer(echo);
    const error = await failure(makePool().connect(target(running, { expected: [identityOf('billing')] })));
    expect(error.flag).toBe('TLS_FAILURE');
    expect(error.message).toContain('sa/cart');
  });

  test('an empty list of expected identities never matches', async () => {
    const running = await startServer(echo);
    expect((await failure(makePool().connect(target(running, { expected: [] })))).flag).toBe('TLS_FAILURE');
  });

  test('a client of another authority is refused before any request is read', async () => {
    let requestCount = 0;
    const running = await startServer(() => requestCount++);
    const stranger = await (await MeshAuthority.make()).issue(web.identity);
    await failure(
      makePool().connect(target(running, { credentials: { ...stranger, rootsPem: cart.rootsPem } })),
    );
    await expect.poll(() => running.refused.length).toBe(1);
    expect(requestCount).toBe(0);
  });

  test('a client of another trust domain is refused before any request is read', async () => {
    let requestCount = 0;
    const running = await startServer(() => requestCount++);
    const foreign = await authority.issue(identityOf('web', 'other.example'));
    await failure(makePool().connect(target(running, { credentials: foreign })));
    await expect.poll(() => running.refused[0]?.error.message).toContain('trust domain');
    expect(requestCount).toBe(0);
  });

  test('a client of another trust domain is served when the server counts it as its own', async () => {
    const foreign = await authority.issue(identityOf('web', 'old.example'));
    const stranger = await authority.issue(identityOf('web', 'other.example'));
    const running = await startServer(echo, undefined, { admits: (peer) => peer === foreign.identity });
    const { peer } = await makePool().connect(target(running, { credentials: foreign }));
    expect(peer).toBe(cart.identity);
    await failure(makePool().connect(target(running, { credentials: stranger })));
  });

  test('a client without a certificate is refused', async () => {
    const running = await startServer(echo);
    const tls: TLSSocket = connectTls({
      host: '127.0.0.1',
      port: running.port,
      ca: cart.rootsPem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    await closed(tls);
    expect(running.refused).toHaveLength(1);
    expect(running.refused[0]?.flag).toBe('TLS_FAILURE');
  });

  test('an expired client certificate is refused', async () => {
    const running = await startServer(echo);
    const past = await MeshAuthority.make();
    const expired = await authority.issue(identityOf('web'), 1);
    expect(past.rootPem).not.toBe(authority.rootPem);
    await expect.poll(() => Date.now() > expired.notAfterMs + 50, { timeout: 5_000 }).toBe(true);
    await failure(makePool().connect(target(running, { credentials: expired })));
    await expect.poll(() => running.refused.length).toBe(1);
  });

  test('without credentials the server refuses and says why', async () => {
    const running = await startServer(echo, () => Promise.reject(new Error('no certificate yet')));
    await failure(makePool().connect(target(running)));
    expect(running.refused[0]).toMatchObject({ flag: 'IDENTITY_ERROR' });
  });

  test('TLS 1.2 is refused', async () => {
    const running = await startServer(echo);
    const tls = connectTls({
      host: '127.0.0.1',
      port: running.port,
      cert: web.certChainPem,
      key: web.keyPem,
      ca: web.rootsPem,
      maxVersion: 'TLSv1.2',
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    await closed(tls);
    expect(running.refused).toHaveLength(1);
  });

  test('anything but CONNECT gets 400', async () => {
    const running = await startServer(echo);
    const session = connectHttp2(`https://127.0.0.1:${running.port}`, {
      cert: web.certChainPem,
      key: web.keyPem,
      ca: web.rootsPem,
      checkServerIdentity: () => undefined,
    });
    cleanups.push(() => session.destroy());
    const stream = session.request({ ':path': '/' });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(400);
  });
});

describe('the pool', () => {
  test('a burst of requests shares one connection', async () => {
    const running = await startServer(echo);
    const pool = makePool();
    await Promise.all(Array.from({ length: 20 }, () => pool.connect(target(running))));
    expect(running.sockets.size).toBe(1);
    expect(pool.connectionCount).toBe(1);
  });

  test('the stream cap opens a further connection', async () => {
    const running = await startServer(echo);
    const pool = makePool({ streamsMax: 2 });
    await Promise.all(Array.from({ length: 5 }, () => pool.connect(target(running))));
    expect(running.sockets.size).toBe(3);
  });

  test('different source addresses do not share', async () => {
    const running = await startServer(echo);
    const pool = makePool();
    await pool.connect({ ...target(running), sourceIp: '10.0.0.1' });
    await pool.connect({ ...target(running), sourceIp: '10.0.0.2' });
    expect(running.sockets.size).toBe(2);
  });

  test('an unused connection is released', async () => {
    const running = await startServer(echo);
    const pool = makePool({ unusedReleaseMs: 50 });
    const { stream } = await pool.connect(target(running));
    stream.end();
    stream.resume();
    await expect.poll(() => pool.connectionCount).toBe(0);
  });

  test('a draining server finishes its streams while new requests use another connection', async () => {
    const running = await startServer(echo);
    const pool = makePool();
    const first = await pool.connect(target(running));
    running.server.drain();
    await expect.poll(() => first.stream.writable).toBe(true);
    first.stream.end('still here');
    expect(await text(first.stream)).toBe('still here');
    await failure(pool.connect(target(running)));
    expect(running.sockets.size).toBeGreaterThan(1);
  });

  test('a refused TCP connection is an error of that step', async () => {
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    listener.close();
    await once(listener, 'close');
    const error = await failure(
      makePool().connect({
        destination: { host: '127.0.0.1', port },
        authority: 'x:1',
        credentials: web,
        expectedIdentities: [cart.identity],
      }),
    );
    expect(error.flag).toBe('CONNECT');
  });

  test('an aborted request leaves the connection usable for others', async () => {
    const running = await startServer((request) => {
      if (request.authority === 'slow:1') return;
      echo(request);
    });
    const pool = makePool();
    const gone = new AbortController();
    const slow = pool.connect({ ...target(running), authority: 'slow:1', signal: gone.signal });
    await expect.poll(() => running.sockets.size).toBe(1);
    setImmediate(() => gone.abort(new Error('the application hung up')));
    await failure(slow);
    const { stream } = await pool.connect(target(running));
    stream.end('fine');
    expect(await text(stream)).toBe('fine');
    expect(running.sockets.size).toBe(1);
  });
});
