import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { buildTool, type BuiltTool, freePort, rawServer } from './built-tool.js';
import { certificateFor } from './certificate.js';

let tool: BuiltTool;
let server: ChildProcess;
let address: string;
let tlsAddress: string;

beforeAll(async () => {
  tool = await buildTool();
  const [port, tcpPort, tlsPort] = [await freePort(), await freePort(), await freePort()];
  address = `127.0.0.1:${port}`;
  tlsAddress = `127.0.0.1:${tlsPort}`;
  const { certPem, keyPem } = await certificateFor('echo.test');
  writeFileSync(join(tool.folder, 'cert.pem'), certPem);
  writeFileSync(join(tool.folder, 'key.pem'), keyPem);
  const ports = ['--port', port, '--tcp-port', tcpPort, '--tls-port', tlsPort].map(String);
  const tls = ['--tls-cert', join(tool.folder, 'cert.pem'), '--tls-key', join(tool.folder, 'key.pem')];
  server = await tool.start([...ports, ...tls, '--name', 'echo'], 'http echo on');
});
afterAll(async () => {
  const exited = once(server, 'exit');
  server.kill('SIGTERM');
  await exited;
  await tool.remove();
});

describe('WebSocket echo with the ws library', () => {
  async function connected(): Promise<WebSocket> {
    const socket = new WebSocket(`ws://${address}/path?x=1`);
    await once(socket, 'open');
    return socket;
  }

  test('text, binary, empty and large messages come back as they were', async () => {
    const socket = await connected();
    const messages: (string | Buffer)[] = [
      'hello',
      '',
      'ü'.repeat(70),
      Buffer.alloc(70_000, 7),
      Buffer.alloc(126, 1),
    ];
    for (const message of messages) {
      socket.send(message);
      const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean];
      expect(isBinary).toBe(Buffer.isBuffer(message));
      expect(data.equals(Buffer.from(message))).toBe(true);
    }
    socket.close(4001, 'done');
    expect((await once(socket, 'close'))[0]).toBe(4001);
  });

  test('fragments, pings and many messages at once', async () => {
    const socket = await connected();
    socket.send('one,', { fin: false });
    socket.send('two', { fin: true });
    expect(String((await once(socket, 'message'))[0])).toBe('one,two');
    socket.ping('p');
    expect(String((await once(socket, 'pong'))[0])).toBe('p');
    const received: string[] = [];
    socket.on('message', (data: Buffer) => received.push(String(data)));
    for (let i = 0; i < 200; i++) socket.send(`m${i}`);
    while (received.length < 200) await once(socket, 'message');
    expect(received).toEqual(Array.from({ length: 200 }, (_, i) => `m${i}`));
    socket.terminate();
  });

  test('a message that is too large closes the connection with 1009', async () => {
    const socket = await connected();
    socket.send(Buffer.alloc(2 * 1024 * 1024));
    expect((await once(socket, 'close'))[0]).toBe(1009);
  });

  test.each([
    ['a message that is too large', [0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0], 1009],
    ['a close', [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], 1000],
  ])('after %s what still comes in does not reset the connection', async (_, first, code) => {
    const port = Number(address.split(':')[1]);
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const failures: unknown[] = [];
    socket.on('error', (error) => failures.push(error));
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    socket.write(
      `GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: ${key}\r\n\r\n`,
    );
    await once(socket, 'data');
    socket.write(Buffer.from(first));
    const [said] = (await once(socket, 'data')) as [Buffer];
    expect(said).toEqual(Buffer.from([0x88, 0x02, code >> 8, code & 0xff]));
    const closed = new Promise<boolean>((resolve) => {
      socket.on('close', resolve);
    });
    for (let i = 0; i < 20 && !socket.destroyed; i++) {
      socket.write(Buffer.alloc(16 * 1024));
      await delay(5);
    }
    socket.end();
    expect({ hadError: await closed, failures }).toEqual({ hadError: false, failures: [] });
  });
});

describe('gRPC echo with grpc-js', () => {
  const raw = (bytes: Buffer): Buffer => bytes;

  function client(): Client {
    return new Client(address, credentials.createInsecure());
  }

  test('unary: the message comes back, and metadata says what was seen', async () => {
    const peer = client();
    const metadata = new Metadata();
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      const call = peer.makeUnaryRequest(
        '/shop.Cart/Add',
        raw,
        raw,
        Buffer.from('payload'),
        metadata,
        (error, value) => (error === null ? resolve(value) : reject(error)),
      );
      call.on('metadata', (headers) => metadata.merge(headers));
    });
    expect(String(answer)).toBe('payload');
    expect(metadata.getMap()).toMatchObject({
      'x-echo-name': 'echo',
      'x-echo-path': '/shop.Cart/Add',
      'x-echo-authority': address,
      'x-echo-peer': '127.0.0.1',
    });
    peer.close();
  });

  test('both sides streaming', async () => {
    const peer = client();
    const call = peer.makeBidiStreamRequest('/shop.Cart/Watch', raw, raw);
    const received: string[] = [];
    call.on('data', (message: Buffer) => received.push(String(message)));
    for (let i = 0; i < 50; i++) call.write(Buffer.from(`m${i}`));
    call.write(Buffer.alloc(0));
    call.end();
    const [ended] = (await once(call, 'status')) as [{ code: number }];
    expect(ended.code).toBe(status.OK);
    expect(received).toEqual([...Array.from({ length: 50 }, (_, i) => `m${i}`), '']);
    peer.close();
  });

  test('health', async () => {
    const peer = client();
    const answer = await new Promise<Buffer | undefined>((resolve, reject) =>
      peer.makeUnaryRequest('/grpc.health.v1.Health/Check', raw, raw, Buffer.alloc(0), (error, value) =>
        error === null ? resolve(value) : reject(error),
      ),
    );
    expect(answer).toEqual(Buffer.from([0x08, 0x01]));
    const watch = peer.makeServerStreamRequest('/grpc.health.v1.Health/Watch', raw, raw, Buffer.alloc(0));
    expect((await once(watch, 'data'))[0]).toEqual(Buffer.from([0x08, 0x01]));
    watch.on('error', () => undefined); // canceled is an error here
    watch.cancel();
    peer.close();
  });
});

describe('the tool talks to itself', () => {
  test('over WebSocket', async () => {
    const { stdout, code } = await tool.run(['ws', `${address}/x`, '--message', 'hi', '--count', '3']);
    expect({ stdout, code }).toEqual({ stdout: 'hi\nhi\nhi\n', code: 0 });
  });

  test('over gRPC', async () => {
    expect(await tool.run(['grpc', address, 'shop.Cart/Add', '--text', 'abc'])).toMatchObject({
      stdout: 'abc\n',
      code: 0,
    });
    expect(await tool.run(['grpc', address, 'health'])).toMatchObject({ stdout: 'SERVING\n', code: 0 });
    const overTls = ['grpc', `https://${tlsAddress}`, 'a.B/C', '--hex', '616263', '--insecure'];
    expect(await tool.run(overTls)).toMatchObject({ stdout: 'abc\n', code: 0 });
  });

  test('and says what is wrong', async () => {
    const closed = await freePort();
    expect((await tool.run(['ws', `127.0.0.1:${closed}`])).code).toBe(7);
    expect((await tool.run(['grpc', `127.0.0.1:${closed}`, 'health'])).code).toBe(7);
    const plain = await rawServer((socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    });
    expect(await tool.run(['ws', `127.0.0.1:${plain.port}`])).toMatchObject({ code: 22 });
    plain.close();
    expect((await tool.run(['grpc', address])).code).toBe(2);
    expect((await tool.run(['ws'])).code).toBe(2);
    const silent = await rawServer(() => undefined);
    expect((await tool.run(['grpc', `127.0.0.1:${silent.port}`, 'health', '--timeout', '0.2'])).code).toBe(
      28,
    );
    silent.close();
  });

  test('under load over HTTP/2', async () => {
    const { stdout, code } = await tool.run([
      'load',
      address,
      '--rate',
      '200',
      '--duration',
      '0.5',
      '--http2',
      '--connections',
      '2',
    ]);
    const summary = JSON.parse(stdout) as { sent: number; ok: number; histogram: [number, number][] };
    expect({ code, ...summary }).toMatchObject({ code: 0, sent: 100, ok: 100 });
    expect(summary.histogram.reduce((sum, [, count]) => sum + count, 0)).toBe(100);
  });
});

test('a load keeps its connections busy in turn, reports, and ends with its input', async () => {
  const perConnection: number[] = [];
  const server = await rawServer((socket) => {
    const index = perConnection.push(0) - 1;
    socket.on('data', () => {
      perConnection[index] = (perConnection[index] ?? 0) + 1;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
  });
  const target = `127.0.0.1:${server.port}`;
  const flags = ['--rate', '100', '--duration', '60', '--connections', '4', '--spread'];
  const { stdout, stderr, code } = await tool.run(
    ['load', target, ...flags, '--progress', '--until-input-ends'],
    {
      onStart: (child) => {
        let seen = '';
        child.stderr?.on('data', (chunk: Buffer) => {
          seen += String(chunk);
          const last = /\{[^}]*\}\n$/.exec(seen)?.[0];
          if (last !== undefined && (JSON.parse(last) as { ok: number }).ok >= 40) child.stdin?.end();
        });
      },
    },
  );
  server.close();
  const { sent, ok, failed } = JSON.parse(stdout) as { sent: number; ok: number; failed: number };
  expect({ code, ok, failed }).toEqual({ code: 0, ok: sent, failed: 0 });
  expect(stderr).toMatch(/^\{"sent":\d+,"ok":\d+,"failed":0\}$/m);
  expect(perConnection).toHaveLength(4);
  expect(Math.max(...perConnection) - Math.min(...perConnection)).toBeLessThanOrEqual(1);
});

describe('behind TLS', () => {
  test('reports the session', async () => {
    const port = tlsAddress.split(':')[1] ?? '';
    const verified = await tool.run([
      'curl',
      '-s',
      '--cacert',
      join(tool.folder, 'cert.pem'),
      `https://localhost:${port}/x`,
    ]);
    expect(verified.code).toBe(60); // the certificate is echo.test's
    const { stdout } = await tool.run(['curl', '-sk', `https://localhost:${port}/x`]);
    expect(JSON.parse(stdout)).toMatchObject({
      protocol: 'http/1.1',
      tls: { serverName: 'localhost', version: 'TLSv1.3' },
    });
  });

  test('without it there is none to report', async () => {
    const { stdout } = await tool.run(['curl', '-s', `http://${address}/`]);
    expect(JSON.parse(stdout)).toMatchObject({ protocol: 'http/1.1' });
    expect(JSON.parse(stdout)).not.toHaveProperty('tls');
  });
});

const hasCurl = spawnSync('curl', ['--version'], { stdio: 'ignore' }).status === 0;

test.skipIf(!hasCurl)('curl itself: HTTP/1.1, HTTP/2 by prior knowledge and by ALPN', () => {
  const curl = (...args: string[]): { protocol: string; tls?: { serverName: string } } =>
    JSON.parse(execFileSync('curl', ['-s', '--max-time', '10', ...args], { encoding: 'utf8' })) as {
      protocol: string;
    };
  const port = tlsAddress.split(':')[1] ?? '';
  expect(curl(`http://${address}/`).protocol).toBe('http/1.1');
  expect(curl('--http2-prior-knowledge', `http://${address}/`).protocol).toBe('h2c');
  const pinned = ['--cacert', join(tool.folder, 'cert.pem'), '--resolve', `echo.test:${port}:127.0.0.1`];
  expect(curl(...pinned, '--http2-prior-knowledge', `https://echo.test:${port}/`)).toMatchObject({
    protocol: 'h2',
    tls: { serverName: 'echo.test', version: 'TLSv1.3' },
  });
  expect(
    curl('-k', '--http2', '--resolve', `echo.test:${port}:127.0.0.1`, `https://echo.test:${port}/`),
  ).toMatchObject({
    protocol: 'h2',
    tls: { serverName: 'echo.test' },
  });
});
