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

  it('print heads, in the answer or alone', async () => {
    const head = await curl('-sI', base);
    expect(head.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head.stdout).toContain('x-echo-name: echo');
    const both = await curl('-sSi', '-m', '5', base);
    expect(both.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{/);
  });

  it('write codes, and join data', async () => {
    const format = '\\n%{http_code} %{time_total}';
    const { stdout } = await curl('-so/dev/null', '-w', format, '-d', 'a', '-d', 'b', `${base}?status=404`);
    expect(stdout).toMatch(/^\n404 0\.\d{6}$/);
    expect(JSON.parse((await curl('-s', '-d', 'a', '-d', 'b', base)).stdout)).toMatchObject({ body: 'a&b' });
  });

  it('try again when told', async () => {
    let count = 0;
    const late = await rawServer((socket) => {
      if (count++ === 0) socket.resetAndDestroy();
      else socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
    });
    const url = `http://127.0.0.1:${late.port}/`;
    expect(await curl('-sf', '--retry', '2', '--retry-all-errors', url)).toMatchObject({
      code: 0,
      stdout: 'ok',
    });
    late.close();
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
    expect(refused.stderr).toBe("curl: (7) Failed to connect to 127.0.0.1: Couldn't connect to server\n");
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
    const get = (path: string) =>
      fetch(`http://127.0.0.1:${own}/${path}`, { headers: { connection: 'close' } });
    const request = get('?delay=1000');
    // Answered after the server has taken the one before.
    expect((await get('')).status).toBe(200);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect((await request).status).toBe(200);
    expect((await exited)[0]).toBe(0);
    const sleeper = tool.run(['sleep', '0.05']);
    expect((await sleeper).code).toBe(0);
  });
});
