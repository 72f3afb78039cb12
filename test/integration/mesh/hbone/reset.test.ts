import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connectTcp } from '#base/system/socket.js';
import { HbonePool } from '#mesh/hbone/pool.js';
import { HboneServer } from '#mesh/hbone/server.js';
import type { Credentials } from '#mesh/identity/credentials.js';
import { breakOff, isBrokenOff } from '#mesh/system/break-off.js';
import { copyBoth } from '#mesh/system/copy.js';
import { identityOf, MeshAuthority } from './mesh-authority.js';

let web: Credentials;
let cart: Credentials;
const cleanups: (() => void)[] = [];

beforeAll(async () => {
  const authority = await MeshAuthority.make();
  web = await authority.issue(identityOf('web'));
  cart = await authority.issue(identityOf('cart'));
});

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function listen(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

interface Path {
  /** The applications' own sockets. */
  readonly client: Socket;
  readonly server: Socket;
  /** The HBONE connection between the two proxies, on the server's side. */
  readonly between: Socket;
}

/** client -> node proxy -> HBONE -> node proxy -> server, all of it over TCP. */
async function openPath(): Promise<Path> {
  const accepted: Socket[] = [];
  const serverPort = await listen((socket) => accepted.push(socket));
  const hbone = new HboneServer({
    credentials: () => Promise.resolve(cart),
    onConnect: (request) => {
      void connectTcp({ host: '127.0.0.1', port: serverPort }).then((app) =>
        copyBoth(request.accept(), app, { aToB: 0, bToA: 0 }),
      );
    },
  });
  const between: Socket[] = [];
  const hbonePort = await listen((socket) => {
    between.push(socket);
    hbone.serve(socket);
  });
  const pool = new HbonePool();
  const proxyPort = await listen((socket) => {
    void pool
      .connect({
        destination: { host: '127.0.0.1', port: hbonePort },
        authority: `127.0.0.1:${serverPort}`,
        credentials: web,
        expectedIdentities: [cart.identity],
      })
      .then(({ stream }) => copyBoth(socket, stream, { aToB: 0, bToA: 0 }));
  });
  cleanups.push(() => pool.close());
  const client = connect({ port: proxyPort, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => undefined);
  await expect.poll(() => accepted.length).toBe(1);
  const [server, tunnel] = [accepted[0], between[0]];
  if (server === undefined || tunnel === undefined) throw new Error('the path is not open');
  return { client, server, between: tunnel };
}

/** What an application reads, and whether that was all there is. */
async function readAll(socket: Socket): Promise<{ text: string; end: 'end' | 'reset' }> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += String(chunk)));
  const reset = new Promise<'reset'>((resolve) => {
    socket.once('error', () => resolve('reset'));
  });
  const end = new Promise<'end' | 'reset'>((resolve) => {
    socket.once('end', () => resolve(isBrokenOff(socket) ? 'reset' : 'end'));
  });
  return { end: await Promise.race([reset, end]), text };
}

describe('through two node proxies', () => {
  test('an end is an end, in each direction by itself', async () => {
    const { client, server } = await openPath();
    const [asked, answered] = [readAll(server), readAll(client)];
    client.end('question');
    expect(await asked).toEqual({ text: 'question', end: 'end' });
    server.end('answer');
    expect(await answered).toEqual({ text: 'answer', end: 'end' });
  });

  test.each([0, 20])('a server that resets %i ms behind its bytes resets the client', async (pauseMs) => {
    const { client, server } = await openPath();
    const answered = readAll(client);
    await new Promise((resolve) => server.write('half of', resolve));
    if (pauseMs > 0) await setTimeout(pauseMs);
    server.resetAndDestroy();
    expect(await answered).toEqual({ text: 'half of', end: 'reset' });
  });

  test.each([0, 20])('a client that resets %i ms behind its bytes resets the server', async (pauseMs) => {
    const { client, server } = await openPath();
    const asked = readAll(server);
    await new Promise((resolve) => client.write('half of', resolve));
    if (pauseMs > 0) await setTimeout(pauseMs);
    client.resetAndDestroy();
    expect(await asked).toEqual({ text: 'half of', end: 'reset' });
  });

  test('a reset behind an orderly end of one direction still arrives', async () => {
    const { client, server } = await openPath();
    const [asked, answered] = [readAll(server), readAll(client)];
    client.end('question');
    expect(await asked).toEqual({ text: 'question', end: 'end' });
    server.resetAndDestroy();
    expect(await answered).toEqual({ text: '', end: 'reset' });
  });

  test.each(['FIN', 'RST'])('proxies that lose each other by %s reset both applications', async (how) => {
    const { client, server, between } = await openPath();
    const both = [readAll(server), readAll(client)];
    client.write('a');
    server.write('b');
    await setTimeout(50);
    if (how === 'RST') between.resetAndDestroy();
    else between.destroy();
    expect(await Promise.all(both)).toEqual([
      { text: 'a', end: 'reset' },
      { text: 'b', end: 'reset' },
    ]);
  });

  test('what was on its way still arrives before the reset', async () => {
    const { client, server } = await openPath();
    const answered = readAll(client);
    const size = 8_000_000;
    await new Promise((resolve) => server.write(Buffer.alloc(size, 'x'), resolve));
    // A reset discards what the kernel still holds, here as without proxies.
    await setTimeout(300);
    server.resetAndDestroy();
    const { text, end } = await answered;
    expect([text.length, end]).toEqual([size, 'reset']);
  });
});

describe('breakOff', () => {
  test.each(['being sent', 'sent', 'behind bytes nobody reads'])(
    'closes a socket whose end is %s',
    async (state) => {
      let side: Socket | undefined;
      const port = await listen((socket) => {
        side = socket;
      });
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      client.on('error', () => undefined);
      cleanups.push(() => client.destroy());
      await expect.poll(() => side).toBeInstanceOf(Socket);
      if (side === undefined) return;
      if (state === 'behind bytes nobody reads') side.write(Buffer.alloc(20_000_000));
      side.end('x');
      if (state === 'sent') await once(side, 'finish');
      const closed = once(side, 'close');
      breakOff(side);
      await closed;
    },
  );

  test('resets a socket although something is still to be written', async () => {
    let reset: Socket | undefined;
    const port = await listen((socket) => {
      reset = socket;
    });
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => undefined);
    await expect.poll(() => reset).toBeInstanceOf(Socket);
    const read = readAll(client);
    reset?.write(Buffer.alloc(64));
    if (reset !== undefined) breakOff(reset);
    expect((await read).end).toBe('reset');
  });
});
