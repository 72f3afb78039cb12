import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import type { Descriptor } from '#base/oci/descriptor.js';
import type { ImageContent } from '#base/oci/image-source.js';
import type { CredentialLookup } from '#base/oci/registry/credentials.js';
import { Transport } from '#base/oci/registry/transport.js';
import { Registries } from '#base/oci/registry/registry.js';

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

/** A server of HTTP that keeps to the Distribution API as far as a test says. */
async function serve(handler: Handler): Promise<string> {
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    void Promise.resolve(handler(request, response, url)).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const bytes = randomBytes(1_000_000);
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const blob: Descriptor = {
  digest,
  size: bytes.length,
  mediaType: 'application/octet-stream',
  platform: undefined,
  annotations: {},
};
const content: ImageContent = {
  place: 'test',
  document: () => Promise.reject(new Error('not asked for')),
  blob: (_, start = 0) => Promise.resolve(Readable.from([bytes.subarray(start)], { objectMode: false })),
};

function registries(credentials: CredentialLookup = () => Promise.resolve(undefined)): Registries {
  const made = new Registries({ credentials, isPlain: true, signal: AbortSignal.timeout(20_000) });
  onTestFinished(() => made.close());
  return made;
}

test('an upload goes on where the registry says that it ended', async () => {
  const half = 400_000;
  let held = Buffer.alloc(0);
  const ranges: (string | undefined)[] = [];
  const host = await serve(async (request, response, url) => {
    const location = '/v2/shop/app/blobs/uploads/1';
    switch (request.method) {
      case 'HEAD':
        response.writeHead(404).end();
        return;
      case 'POST':
        response.writeHead(202, { location }).end();
        return;
      case 'GET':
        response.writeHead(204, { location, range: `0-${held.length - 1}` }).end();
        return;
      case 'PATCH': {
        ranges.push(request.headers['content-range']);
        for await (const chunk of request as AsyncIterable<Buffer>) {
          held = Buffer.concat([held, chunk]);
          if (ranges.length > 1 || held.length < half) continue;
          held = held.subarray(0, half);
          request.destroy();
          return;
        }
        response.writeHead(202, { location }).end();
        return;
      }
      default:
        response.writeHead(url.searchParams.get('digest') === digest ? 201 : 400).end();
    }
  });
  const name = `${host}/shop/app:1`;
  await registries()
    .sink([name])(name)
    .putBlob(blob, content, () => undefined);
  expect(held.equals(bytes)).toBe(true);
  expect(ranges).toEqual([undefined, `${half}-${bytes.length - 1}`]);
});

test('storage that a registry points to does not get its credentials', async () => {
  const seen: (string | undefined)[] = [];
  const storage = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(200).end(bytes);
  });
  const manifest = Buffer.from('{}');
  const host = await serve((request, response, url) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    } else if (url.pathname.includes('/blobs/')) {
      response.writeHead(307, { location: `http://${storage}/x` }).end();
    } else {
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(manifest);
    }
  });
  const image = await registries(() =>
    Promise.resolve({ kind: 'password', username: 'ada', password: 'x' }),
  ).image(`${host}/shop/app:1`);
  const got = await buffer(await image.content.blob(blob));
  expect(got.equals(bytes)).toBe(true);
  expect(seen).toEqual([undefined]);
});

test('who asks by digest gets that content or an error, whatever the registry calls it', async () => {
  const manifest = Buffer.from('{"schemaVersion":2}');
  const other = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
  const host = await serve((_, response) => {
    const type = 'application/vnd.oci.image.manifest.v1+json; charset=utf-8';
    response.writeHead(200, { 'content-type': type, 'docker-content-digest': other });
    response.end(manifest);
  });
  const tagged = await registries().image(`${host}/shop/app:1`);
  expect(tagged.root).toMatchObject({
    digest: other,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
  });
  expect((await tagged.content.document(tagged.root)).equals(manifest)).toBe(true);
  const pinned = await registries().image(`${host}/shop/app@${digest}`);
  await expect(pinned.content.document(pinned.root)).rejects.toMatchObject({ code: 'MESH1205' });
});

test('a registry that is busy is asked again, and not for ever', async () => {
  let count = 0;
  const host = await serve((_, response) => {
    count += 1;
    response.writeHead(503, { 'retry-after': '0' }).end('busy');
  });
  await expect(registries().image(`${host}/shop/app:1`)).rejects.toMatchObject({ code: 'MESH1207' });
  expect(count).toBe(4);
});

test.each([
  ['not there', 404, 'MESH1204'],
  ['forbidden', 403, 'MESH1203'],
  ['a teapot', 418, 'MESH1207'],
])('%s: %d is %s', async (_, status, code) => {
  const host = await serve((__, response) => void response.writeHead(status).end('<html>'));
  await expect(registries().image(`${host}/shop/app:1`)).rejects.toMatchObject({ code });
});

test.each([
  ['https', { connectMs: 200 }, 'MESH1201'],
  ['http', { idleMs: 200 }, 'MESH1206'],
])('what accepts connections and says nothing by %s is given up', async (scheme, limits, code) => {
  const server = createSocketServer(() => undefined).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new Transport({ signal: AbortSignal.timeout(10_000), ...limits });
  onTestFinished(() => {
    transport.close();
    server.close();
  });
  const url = new URL(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/v2/`);
  await expect(transport.send(url, { method: 'GET' })).rejects.toMatchObject({ code });
});

test('a token server without an address is told of', async () => {
  const host = await serve(
    (_, response) => void response.writeHead(401, { 'www-authenticate': 'Bearer realm="not a url"' }).end(),
  );
  await expect(registries().image(`${host}/shop/app:1`)).rejects.toMatchObject({ code: 'MESH1207' });
});
