import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { Http1Engine } from '#mesh/l7/codec/http1-engine.js';
import type { BrokenRequest, Exchange } from '#mesh/l7/message/exchange.js';
import { HeaderList } from '#mesh/l7/message/header-list.js';

/** An engine on a TCP port. Requests for `/hold` are answered when the test says so. */
class EngineServer {
  readonly broken: BrokenRequest[] = [];
  readonly held: (() => void)[] = [];
  readonly engine = new Http1Engine<string>(
    {
      handle: (exchange) => this.#answer(exchange),
      broken: (_connection, problem) => this.broken.push(problem),
    },
    { headTimeoutMs: 300 },
  );
  readonly server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    this.engine.serve(socket, 'client');
  });

  async #answer(exchange: Exchange): Promise<void> {
    const ended = new Promise((resolve) => exchange.onEnd(resolve));
    if (exchange.target === '/hold')
      await new Promise<void>((resolve) => {
        this.held.push(resolve);
      });
    exchange.body?.resume();
    exchange.sendHead({ status: 200, headers: HeaderList.of(['content-length', '0']) }, true);
    await ended;
  }

  async connect(): Promise<Socket> {
    if (!this.server.listening) {
      this.server.listen(0, '127.0.0.1');
      await once(this.server, 'listening');
    }
    const socket = connect((this.server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  }
}

let under = new EngineServer();

afterEach(() => {
  under.server.close();
  under = new EngineServer();
});

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;

describe('a head that does not come to its end', () => {
  it('is answered 408', async () => {
    const socket = await under.connect();
    socket.write('GET / HTTP/1.1\r\nhos');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[^]*connection: close\r\n/);
    expect(under.broken).toEqual([{ status: 408, details: 'request_header_timeout' }]);
  });

  it('is not a connection that waits for its next request, or a body that takes its time', async () => {
    const idle = await under.connect();
    idle.write(get('/'));
    await once(idle, 'data');
    const slow = await under.connect();
    slow.write('POST /hold HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na');
    const isClosed = await Promise.race([
      Promise.race([once(idle, 'close'), once(slow, 'close')]).then(() => true),
      new Promise((resolve) => {
        setTimeout(resolve, 700, false);
      }),
    ]);
    expect([isClosed, under.broken]).toEqual([false, []]);
    idle.write(get('/'));
    expect(String((await once(idle, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
    slow.write('bc');
    under.held[0]?.();
    expect(String((await once(slow, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
    idle.destroy();
    slow.destroy();
  });
});

describe('bytes that are no request', () => {
  it('are answered after the requests before them', async () => {
    const socket = await under.connect();
    socket.write(`${get('/hold')}NONSENSE\r\n\r\n`);
    await expect.poll(() => under.held.length).toBe(1);
    under.held[0]?.();
    expect((await text(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  it('are told by a line that is too long or a head that is', async () => {
    const long = await under.connect();
    long.write(`GET /${'x'.repeat(50_000)}`);
    long.write('x'.repeat(50_000));
    expect(await text(long)).toMatch(/^HTTP\/1\.1 414 /);
    const large = await under.connect();
    large.write(get('/'));
    await once(large, 'data');
    large.write(`GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}`);
    expect(await text(large)).toMatch(/^HTTP\/1\.1 431 /);
  });
});

describe('a request that leaves HTTP behind one that still runs', () => {
  it('is refused in its turn', async () => {
    const socket = await under.connect();
    socket.write(
      `${get('/hold')}GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    );
    await expect.poll(() => under.held.length).toBe(1);
    under.held[0]?.();
    expect((await text(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
    expect(under.broken).toEqual([{ status: 400, details: 'http1.pipelined_upgrade' }]);
  });
});

describe('draining', () => {
  it('answers with the end of the connection, and leaves idle ones until they are closed', async () => {
    const [idle, busy] = [await under.connect(), await under.connect()];
    for (const socket of [idle, busy]) {
      socket.write(get('/'));
      expect(String((await once(socket, 'data'))[0])).not.toMatch(/connection: close/i);
    }
    under.engine.drain();
    busy.write(get('/'));
    expect(await text(busy)).toMatch(/^HTTP\/1\.1 200 [^]*connection: close\r\n/i);
    expect(idle.readableEnded).toBe(false);
    under.engine.closeIdle();
    expect(await text(idle)).toBe('');
  });
});
