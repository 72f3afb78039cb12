import { type ClientHttp2Session, connect } from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ApiUnderTest } from './api-under-test.js';

const podCount = 2_000;
const watcherCount = 20;
const writersCount = 16;
const pageSize = 250;
const pods = '/api/v1/namespaces/default/pods';
/** Far above what 2,000 pods and 20 watchers need, far below what an unbounded queue would take. */
const memoryMaxBytes = 1024 * 1024 * 1024;

interface Event {
  readonly type: string;
  readonly object: { readonly metadata: { readonly name: string; readonly resourceVersion: string } };
}

/** Follows pods over one stream of a shared connection, and counts what it is told of each. */
class Watcher {
  readonly counts = new Map<string, Record<string, number>>();
  readonly revisions: number[] = [];
  isEnded = false;
  #rest = '';

  constructor(session: ClientHttp2Session, resourceVersion: string) {
    const stream = session.request({ ':path': `${pods}?watch=1&resourceVersion=${resourceVersion}` });
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (this.#rest + chunk).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#see(JSON.parse(line) as Event);
    });
    stream.on('close', () => {
      this.isEnded = true;
    });
  }

  #see({ type, object }: Event): void {
    const counts = this.counts.get(object.metadata.name) ?? {};
    counts[type] = (counts[type] ?? 0) + 1;
    this.counts.set(object.metadata.name, counts);
    this.revisions.push(Number(object.metadata.resourceVersion));
  }

  has(type: string): number {
    let sum = 0;
    for (const counts of this.counts.values()) sum += counts[type] ?? 0;
    return sum;
  }
}

let t: ApiUnderTest;
const sessions: ClientHttp2Session[] = [];

function session(): ClientHttp2Session {
  const { users } = parse(t.api.adminKubeconfig(t.server)) as { users: { user: Record<string, string> }[] };
  const text = (key: string): string => Buffer.from(users[0]?.user[key] ?? '', 'base64').toString();
  const opened = connect(t.server, {
    ca: t.api.caPem,
    cert: text('client-certificate-data'),
    key: text('client-key-data'),
  });
  sessions.push(opened);
  return opened;
}

function send(
  on: ClientHttp2Session,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const stream = on.request({ ':method': method, ':path': path, 'content-type': type });
    let status = 0;
    let text = '';
    stream.once('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    stream.once('error', reject).once('end', () => resolve({ status, text }));
    stream.end(body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
  });
}

/** Runs one job for each number, several at a time. */
async function forEach(count: number, job: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await job(next++);
  };
  await Promise.all(Array.from({ length: writersCount }, worker));
}

const name = (i: number): string => `pod-${String(i).padStart(5, '0')}`;
const pod = (i: number): object => ({
  metadata: { name: name(i), labels: { app: `app-${i % 50}` }, annotations: { note: 'n'.repeat(200) } },
  spec: {
    containers: ['app', 'sidecar'].map((container) => ({
      name: container,
      image: 'registry.example.com/team/app:1.2.3',
      env: Array.from({ length: 8 }, (_, e) => ({ name: `VARIABLE_${e}`, value: `value-${e}-of-${i}` })),
      resources: { requests: { cpu: '100m', memory: '64Mi' } },
      readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
    })),
  },
});

beforeAll(async () => {
  t = await ApiUnderTest.start();
});
afterAll(async () => {
  for (const open of sessions) open.destroy();
  await t.stop();
});

test('2,000 pods, listed in pages and watched by 20 clients: none lost, none twice, in order', async () => {
  const writer = session();
  await expect
    .poll(
      async () => (await send(writer, 'GET', '/api/v1/namespaces/default/serviceaccounts/default')).status,
    )
    .toBe(200);
  const list = JSON.parse((await send(writer, 'GET', `${pods}?limit=1`)).text) as {
    metadata: { resourceVersion: string };
  };
  const connections = Array.from({ length: 4 }, session);
  const watchers = Array.from({ length: watcherCount }, (_, i) => {
    const on = connections[i % connections.length] ?? writer;
    return new Watcher(on, list.metadata.resourceVersion);
  });

  await forEach(podCount, async (i) => {
    const { status, text } = await send(writer, 'POST', pods, pod(i));
    if (status !== 201) throw new Error(text);
  });

  // Pages of one list, while objects change under it.
  const seen: string[] = [];
  let token = '';
  let revision = '';
  do {
    const { text } = await send(writer, 'GET', `${pods}?limit=${pageSize}&continue=${token}`);
    const page = JSON.parse(text) as {
      metadata: { continue?: string; resourceVersion: string };
      items: Event['object'][];
    };
    seen.push(...page.items.map((o) => o.metadata.name));
    revision ||= page.metadata.resourceVersion;
    expect(page.metadata.resourceVersion).toBe(revision);
    token = page.metadata.continue ?? '';
    await send(writer, 'PATCH', `${pods}/${name(seen.length % podCount)}`, {
      metadata: { labels: { touched: 'yes' } },
    });
    await send(writer, 'DELETE', `${pods}/${name(podCount - Math.floor(seen.length / pageSize))}`);
  } while (token !== '');
  expect(seen).toEqual(Array.from({ length: podCount }, (_, i) => name(i)));
  const pages = podCount / pageSize;

  await forEach(podCount - pages, async (i) => {
    const { status, text } = await send(writer, 'DELETE', `${pods}/${name(i)}`);
    if (status !== 200) throw new Error(text);
  });
  const memory = process.memoryUsage.rss();

  for (const watcher of watchers) {
    await expect.poll(() => watcher.has('DELETED'), { timeout: 60_000, interval: 50 }).toBe(podCount);
    expect(watcher.isEnded).toBe(false);
    expect(watcher.counts.size).toBe(podCount);
    const wrong = [...watcher.counts].filter(([, c]) => c.ADDED !== 1 || c.DELETED !== 1);
    expect(wrong).toEqual([]);
    expect(watcher.has('MODIFIED')).toBe(pages);
    expect(watcher.revisions).toEqual([...watcher.revisions].sort((a, b) => a - b));
  }
  expect(memory).toBeLessThan(memoryMaxBytes);
}, 180_000);
