import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const deaths = 3;
const writers = 8;
const base = '/api/v1/namespaces/default/configmaps';
/** Beside the packages that the program loads. */
const programs = 'node_modules/.cache/meshctl-tests';
const program = join(programs, `kept-server-${process.pid}.mjs`);

interface Told {
  readonly url: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** An API server in a process of its own. */
class KeptServer {
  readonly session: ClientHttp2Session;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, { url, ...tls }: Told) {
    this.#process = child;
    this.session = connect(url, tls);
    this.session.on('error', () => undefined);
  }

  static async start(folder: string): Promise<KeptServer> {
    const child = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('{"url"')) return new KeptServer(child, JSON.parse(line) as Told);
    }
    throw new Error(`the server did not start: ${errors}`);
  }

  async kill(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
    this.session.destroy();
  }

  /** Rejects when there is no whole answer. */
  send(method: string, path: string, body?: object): Promise<{ status: number; body: Kept }> {
    return new Promise((resolve, reject) => {
      const stream = this.session.request({
        ':method': method,
        ':path': path,
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      });
      let status = 0;
      let text = '';
      stream.once('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      stream.once('error', reject).once('close', () => reject(new Error('no answer')));
      stream.once('end', () => {
        try {
          resolve({ status, body: JSON.parse(text) as Kept });
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      stream.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

interface Kept {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly data?: { readonly count: string };
  readonly items?: readonly Kept[];
}

/** What is known of one object: the count it had when last acknowledged, and what was asked since. -1: it is not there. */
interface Known {
  acknowledged: number;
  asked: number | undefined;
}

const folders: string[] = [];
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'meshctl-death-'));
  folders.push(folder);
  return folder;
};

beforeAll(async () => {
  mkdirSync(programs, { recursive: true });
  await build({
    entryPoints: ['test/integration/sandbox/apiserver/kept-server.ts'],
    outfile: program,
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
  });
});
afterAll(() => {
  rmSync(program, { force: true });
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

test('a server killed again and again in the middle of its writes has all it acknowledged', async () => {
  const folder = newFolder();
  const known = new Map<string, Known>();
  let highest = 0;
  const acknowledge = (name: string, count: number, { metadata }: Kept): void => {
    known.set(name, { acknowledged: count, asked: undefined });
    highest = Math.max(highest, Number(metadata.resourceVersion ?? 0));
  };

  /** Makes, changes and deletes objects until the server is gone. */
  const write = async (server: KeptServer, writer: number, seen: () => void): Promise<void> => {
    const names = Array.from({ length: 4 }, (_, i) => `w${writer}-o${i}`);
    for (let i = 0; ; i++) {
      const name = names[i % names.length] ?? '';
      const { acknowledged: at } = known.get(name) ?? { acknowledged: -1 };
      const isDeletion = at >= 0 && i % 7 === 6;
      const next = isDeletion ? -1 : Math.max(at, 0) + 1;
      known.set(name, { acknowledged: at, asked: next });
      // Some are far larger than what is written in one piece.
      const data = { count: String(next), padding: 'p'.repeat(i % 5 === 0 ? 300_000 : 500) };
      const path = at < 0 ? base : `${base}/${name}`;
      const method = isDeletion ? 'DELETE' : at < 0 ? 'POST' : 'PATCH';
      const body = isDeletion ? undefined : { metadata: { name }, data };
      const answer = await server.send(method, path, body).catch(() => undefined);
      if (answer === undefined) return;
      expect(answer.status).toBeLessThan(300);
      acknowledge(name, next, answer.body);
      seen();
    }
  };

  for (let death = 0; death <= deaths; death++) {
    const server = await KeptServer.start(folder);
    const { body } = await server.send('GET', base);
    const found = new Map((body.items ?? []).map((o) => [o.metadata.name, Number(o.data?.count)]));
    for (const [name, { acknowledged, asked }] of known) {
      const count = found.get(name) ?? -1;
      // What was on its way may have been made or not.
      expect([acknowledged, ...(asked === undefined ? [] : [asked])], name).toContain(count);
      known.set(name, { acknowledged: count, asked: undefined });
    }
    expect(Number(body.metadata.resourceVersion)).toBeGreaterThanOrEqual(highest);
    if (death === deaths) {
      await server.kill();
      break;
    }
    // Killed at any moment after some of the work.
    const enough = 60 + Math.floor(Math.random() * 100);
    let count = 0;
    let killed: Promise<void> | undefined;
    const seen = (): void => {
      if (++count !== enough) return;
      const kill = (): void => {
        killed = server.kill();
      };
      setTimeout(kill, Math.random() * 10);
    };
    await Promise.all(Array.from({ length: writers }, (_, i) => write(server, i, seen)));
    await killed;
  }
});

test('a second process is refused the folder of the first, which loses nothing by it', async () => {
  const folder = newFolder();
  const first = await KeptServer.start(folder);
  await expect(KeptServer.start(folder)).rejects.toThrow('in use by another process');
  expect((await first.send('POST', base, { metadata: { name: 'kept' } })).status).toBe(201);
  await first.kill();
  const again = await KeptServer.start(folder);
  expect((await again.send('GET', `${base}/kept`)).status).toBe(200);
  expect(readdirSync(folder).filter((f) => f.includes('unreadable'))).toEqual([]);
  await again.kill();
});
