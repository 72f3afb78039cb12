import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { PassThrough, Readable, Writable } from 'node:stream';
import { Exec, KubeConfig } from '@kubernetes/client-node';
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { KubeletGateway, TerminalSize } from '#sandbox/base/kubelet-gateway.js';
import { ApiUnderTest, eventually, localKubelet } from './api-under-test.js';

const large = 20 * 1024 * 1024;
const pods = '/api/v1/namespaces/default/pods';

let t: ApiUnderTest;
let token: string;
const sizes: TerminalSize[] = [];

/** Runs commands as the local one; notes the sizes of terminals, and says them. */
const kubelet: KubeletGateway = {
  ...localKubelet,
  exec: (request, io, signal) => {
    if (!request.tty) return localKubelet.exec(request, io, signal);
    return new Promise((resolve) => {
      io.onResize((size) => {
        sizes.push(size);
        io.stdout.write(`${size.columns}x${size.rows}\r\n`);
        if (size.columns === 1) resolve({ exitCode: 3 });
      });
    });
  },
};

beforeAll(async () => {
  t = await ApiUnderTest.start({ kubelet });
  await eventually(async () => (await t.kubectl(['get', 'sa', 'default'])).exitCode === 0);
  await t.ok(
    ['apply', '-f', '-'],
    'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: node-1, containers: [{name: c, image: i}]}\n',
  );
  await t.ok([
    'create',
    'clusterrolebinding',
    'all',
    '--clusterrole=cluster-admin',
    '--serviceaccount=default:default',
  ]);
  token = (await t.ok(['create', 'token', 'default'])).trim();
});
afterAll(async () => {
  await t.stop();
});

function open(path: string, protocols: readonly string[], headers: Record<string, string> = {}): WebSocket {
  return new WebSocket(`${t.server.replace('https', 'wss')}${path}`, [...protocols], {
    ca: t.api.caPem,
    headers,
  });
}

/** What a browser puts a token into, having no headers. */
const tokenProtocol = (): string =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`;

function closed(socket: WebSocket): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once('close', (code) => resolve(code));
    socket.once('error', reject);
  });
}

describe('watches over WebSockets', () => {
  test('send one event a message, to a browser with its token in a protocol', async () => {
    const socket = open('/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=2', [
      tokenProtocol(),
      'binary.k8s.io',
    ]);
    const events: { type: string; object: { metadata: { name: string } } }[] = [];
    socket.on('message', (data: Buffer) =>
      events.push(JSON.parse(data.toString()) as (typeof events)[number]),
    );
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    // The token is not sent back.
    expect(socket.protocol).toBe('binary.k8s.io');
    await t.ok(['create', 'configmap', 'seen']);
    expect(await closed(socket)).toBe(1000);
    expect(events.map((e) => `${e.type} ${e.object.metadata.name}`)).toContain('ADDED seen');
  });

  test.each([
    ['without credentials', `${pods}?watch=1`, {}, 403],
    ['with a revision that is none', `${pods}?watch=1&resourceVersion=x`, { auth: true }, 400],
    ['of a list', pods, { auth: true }, 400],
    ['of nothing', '/api/v1/nonsense?watch=1', { auth: true }, 404],
  ])('%s are refused before the upgrade', async (_what, path, o: { auth?: boolean }, status) => {
    const socket = open(path, [], o.auth === true ? { authorization: `Bearer ${token}` } : {});
    const refused = await new Promise<number>((resolve, reject) => {
      socket.once('unexpected-response', (_request, response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      socket.once('open', () => reject(new Error('it was upgraded')));
      socket.on('error', () => undefined);
    });
    expect(refused).toBe(status);
  });
});

describe('logs over WebSockets', () => {
  const log = (query: string): string => `${pods}/p/log?container=c${query}`;
  const auth = (): Record<string, string> => ({ authorization: `Bearer ${token}` });

  test.each([
    ['binary.k8s.io', (data: Buffer) => data.toString()],
    ['base64.binary.k8s.io', (data: Buffer) => Buffer.from(data.toString(), 'base64').toString()],
  ])('come as %s, after an empty message', async (protocol, decode) => {
    const socket = open(log('&tailLines=2'), [protocol], auth());
    const messages: string[] = [];
    socket.on('message', (data: Buffer) => messages.push(decode(data)));
    expect(await closed(socket)).toBe(1000);
    expect(socket.protocol).toBe(protocol);
    expect(messages[0]).toBe('');
    expect(messages.join('')).toBe('two\nthree\n');
  });

  test('are followed until the client goes', async () => {
    const socket = open(log('&follow=true&tailLines=1'), [], auth());
    const text = await new Promise<string>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data: Buffer) => data.length > 0 && resolve(data.toString()));
    });
    expect(text).toBe('three\n');
    socket.close();
    await closed(socket);
  });

  test('that do not exist are refused before the upgrade', async () => {
    const socket = open(log('&previous=true'), ['binary.k8s.io'], auth());
    const status = await new Promise<number>((resolve, reject) => {
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.once('open', () => reject(new Error('it was upgraded')));
      socket.on('error', () => undefined);
    });
    expect(status).toBe(400);
    socket.terminate();
  });
});

describe('terminals', () => {
  test('learn every size, and the exit code comes back', async () => {
    const config = new KubeConfig();
    config.loadFromString(t.api.adminKubeconfig(t.server));
    const output = Object.assign(new PassThrough(), { columns: 80, rows: 24 });
    let text = '';
    output.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const status = new Promise<{ status?: string; message?: string }>((resolve, reject) => {
      void new Exec(config)
        .exec('default', 'p', 'c', ['sh'], output, null, new PassThrough(), true, resolve)
        .catch(reject);
    });
    await eventually(async () => text.includes('80x24'));
    Object.assign(output, { columns: 132, rows: 50 }).emit('resize');
    await eventually(async () => text.includes('132x50'));
    Object.assign(output, { columns: 1, rows: 1 }).emit('resize');
    expect(await status).toMatchObject({
      status: 'Failure',
      message: expect.stringContaining('exit status 3'),
    });
    expect(sizes.map((s) => s.columns)).toEqual([80, 132, 1]);
  });
});

describe('large streams', () => {
  test('go through kubectl exec both ways, whole', async () => {
    const input = randomBytes(large);
    const sum = createHash('sha256').update(input).digest('hex');
    const child = spawn('kubectl', ['exec', '-i', 'p', '--', 'cat'], { env: t.environment() });
    const hash = createHash('sha256');
    let size = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      size += chunk.length;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    Readable.from(chunks(input)).pipe(child.stdin);
    expect(await ended).toBe(0);
    expect(size).toBe(large);
    expect(hash.digest('hex')).toBe(sum);
  });

  test('wait for clients that read slowly', async () => {
    const config = new KubeConfig();
    config.loadFromString(t.api.adminKubeconfig(t.server));
    let size = 0;
    const slow = new Writable({
      highWaterMark: 1024,
      write: (chunk: Buffer, _encoding, done) => {
        size += chunk.length;
        setImmediate(done);
      },
    });
    const status = await new Promise<{ status?: string }>((resolve, reject) => {
      void new Exec(config)
        .exec(
          'default',
          'p',
          'c',
          ['head', '-c', String(large), '/dev/zero'],
          slow,
          null,
          null,
          false,
          resolve,
        )
        .catch(reject);
    });
    expect(status.status).toBe('Success');
    await eventually(async () => size === large);
  });

  test('go through a forwarded port, whole', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(Buffer.alloc(large, 7));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const socket = open(`${pods}/p/portforward?ports=${port}`, ['v4.channel.k8s.io'], {
      authorization: `Bearer ${token}`,
    });
    let size = 0;
    // Each channel begins with its port.
    let skip = 2;
    socket.on('message', (data: Buffer) => {
      if (data[0] !== 0) return;
      size += data.length - 1 - skip;
      skip = 0;
    });
    try {
      expect(await closed(socket)).toBe(1000);
      expect(size).toBe(large);
    } finally {
      server.close();
    }
  });
});

function* chunks(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
