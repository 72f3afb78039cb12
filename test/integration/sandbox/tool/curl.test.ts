import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildTool, type BuiltTool, freePort, rawServer } from './built-tool.js';

let tool: BuiltTool;
let server: ChildProcess;
let port: number;
let tcpPort: number;
let base: string;

beforeAll(async () => {
  tool = await buildTool();
  [port, tcpPort] = [await freePort(), await freePort()];
  base = `http://127.0.0.1:${port}`;
  server = await tool.start(
    ['--port', String(port), '--tcp-port', String(tcpPort), '--name', 'echo', '--version', 'v2'],
    'http echo on',
  );
});
afterAll(async () => {
  const exited = once(server, 'exit');
  server.kill('SIGTERM');
  await exited;
  await tool.remove();
});

const curl = (...args: string[]) => tool.run(['curl', ...args]);

describe('echo server and curl', () => {
  it('show what was seen', async () => {
    const { stdout, code } = await curl('-s', '-X', 'PUT', '-H', 'X-One: 1', '-d', 'a=b', `${base}/p?q=1`);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'echo',
      version: 'v2',
      method: 'PUT',
      path: '/p?q=1',
      httpVersion: '1.1',
      headers: {
        'x-one': '1',
        'content-type': 'application/x-www-form-urlencoded',
        host: `127.0.0.1:${port}`,
      },
      peer: { address: '127.0.0.1' },
      body: 'a=b',
    });
  });

  it('speak HTTP/2 with prior knowledge', async () => {
    const { stdout } = await curl(
      '-s',
      '--http2-prior-knowledge',
      '-d',
      'x',
      '-w',
      '\n%{http_version}',
      `${base}/h2`,
    );
    const [body = '', version] = stdout.split('\n').filter((line) => line !== '');
    expect(JSON.parse(body)).toMatchObject({ httpVersion: '2.0', method: 'POST', body: 'x' });
    expect(version).toBe('2');
  });

  it('reuse a connection for several URLs', async () => {
    const format = '%{http_code} %{num_connects}\\n';
    const { stdout } = await curl(
      '-s',
      '-o',
      '/dev/null',
      '-o',
      '/dev/null',
      '-w',
      format,
      base,
      `${base}?status=404`,
    );
    expect(stdout).toBe('200 1\n404 0\n');
  });

  it('print heads, follow redirects only when told, resolve as told', async () => {
    const head = await curl('-sI', base);
    expect(head.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head.stdout).toContain('x-echo-name: echo');
    const resolved = await curl(
      '-s',
      '--resolve',
      `svc.test:${port}:127.0.0.1`,
      '-w',
      '%{remote_ip}',
      '-o',
      '/dev/null',
      `http://svc.test:${port}/`,
    );
    expect(resolved.stdout).toBe('127.0.0.1');
    const redirecting = await rawServer((socket) => {
      socket.once('data', () =>
        socket.end(`HTTP/1.1 302 Found\r\nlocation: ${base}/there\r\ncontent-length: 0\r\n\r\n`),
      );
    });
    const there = `http://127.0.0.1:${redirecting.port}/`;
    expect((await curl('-s', '-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', there)).stdout).toBe(
      `302 ${base}/there`,
    );
    const followed = await curl('-sL', there);
    expect(JSON.parse(followed.stdout)).toMatchObject({ path: '/there' });
    redirecting.close();
  });

  it('write to files', async () => {
    const file = join(tool.folder, 'out');
    await curl('-s', '-o', file, `${base}?size=200000`);
    expect((await readFile(file)).length).toBe(200_000);
    expect((await curl('-sS', '-o', '/nonexistent/x', base)).code).toBe(23);
  });
});

describe('exit codes', () => {
  it('7 refused, 6 no such host, 3 bad URL, 2 bad flag, 22 with -f', async () => {
    const closed = await freePort();
    const refused = await curl('-sS', `http://127.0.0.1:${closed}/`);
    expect(refused.code).toBe(7);
    expect(refused.stderr).toMatch(
      /^curl: \(7\) Failed to connect to 127\.0\.0\.1 port \d+ after \d+ ms: Couldn't connect to server/,
    );
    expect((await curl('-s', 'http://no-such-host.invalid/')).code).toBe(6);
    expect((await curl('-s', 'http://[::bad/')).code).toBe(3);
    expect((await curl('--no-such-flag', base)).code).toBe(2);
    const failed = await curl('-sSf', `${base}?status=503`);
    expect([failed.code, failed.stdout]).toEqual([22, '']);
    expect(failed.stderr).toContain('The requested URL returned error: 503');
    expect((await curl('-s', `${base}?status=503`)).code).toBe(0);
  });

  it('28 when it takes too long', async () => {
    const slow = await curl('-s', '-m', '0.2', '-w', '%{http_code}', `${base}?delay=5000`);
    expect([slow.code, slow.stdout]).toEqual([28, '000']);
  });

  it('52 for an empty reply, 56 for a reset, 18 for a short body', async () => {
    const hangingUp = await rawServer((socket) => {
      socket.once('data', () => socket.end());
    });
    expect((await curl('-s', `http://127.0.0.1:${hangingUp.port}/`)).code).toBe(52);
    hangingUp.close();
    const resetting = await rawServer((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    expect((await curl('-s', `http://127.0.0.1:${resetting.port}/`)).code).toBe(56);
    resetting.close();
    const short = await rawServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'));
    });
    expect((await curl('-s', `http://127.0.0.1:${short.port}/`)).code).toBe(18);
    short.close();
  });
});

describe('tcp, load, lifecycle', () => {
  it('sends bytes and prints the echo', async () => {
    const sent = await tool.run(['tcp', 'send', '127.0.0.1', String(tcpPort), '--text', 'hello']);
    expect(sent).toMatchObject({ code: 0, stdout: 'hello\n' });
    const closed = await freePort();
    expect((await tool.run(['tcp', 'send', '127.0.0.1', String(closed)])).code).toBe(7);
  });

  it('summarizes load, good and bad, on one line', async () => {
    const good = await tool.run(['load', base, '--rate', '200', '--duration', '0.5']);
    const summary = JSON.parse(good.stdout) as { sent: number; ok: number; latencyMs: { p99: number } };
    expect(good.stdout.trim()).not.toContain('\n');
    expect(summary.ok).toBe(summary.sent);
    expect(summary.sent).toBeGreaterThan(90);
    expect(summary.latencyMs.p99).toBeGreaterThan(0);
    const closed = await freePort();
    const bad = await tool.run([
      'load',
      `127.0.0.1:${closed}`,
      '--rate',
      '50',
      '--duration',
      '0.2',
      '--each-new-connection',
    ]);
    expect(bad.code).toBe(1);
    expect(Object.keys((JSON.parse(bad.stdout) as { failures: object }).failures)).toEqual(['ECONNREFUSED']);
  });

  it('finishes a request in flight on SIGTERM and then ends with 0', async () => {
    const own = await freePort();
    const child = await tool.start(['--port', String(own), '--tcp-port', '0'], 'http echo on');
    const request = curl('-s', '-o', '/dev/null', '-w', '%{http_code}', `http://127.0.0.1:${own}/?delay=400`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect((await request).stdout).toBe('200');
    expect((await exited)[0]).toBe(0);
    const sleeper = tool.run(['sleep', '0.05']);
    expect((await sleeper).code).toBe(0);
  });
});
