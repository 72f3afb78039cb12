import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Result of one run of the tool. */
export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The tool bundled as in the image, in a folder of its own. */
export interface BuiltTool {
  readonly folder: string;
  run(
    args: readonly string[],
    o?: { readonly env?: Record<string, string>; readonly onStart?: (child: ChildProcess) => void },
  ): Promise<ToolResult>;
  /** Starts a long-running command; resolves when it has printed `ready`. */
  start(args: readonly string[], ready: string): Promise<ChildProcess>;
  remove(): Promise<void>;
}

export async function buildTool(): Promise<BuiltTool> {
  const folder = await mkdtemp(join(tmpdir(), 'tool-'));
  await build({
    entryPoints: ['src/sandbox/tool/main.ts'],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // The WebSocket library is CommonJS.
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  });
  const entry = join(folder, 'run.mjs');
  await writeFile(
    entry,
    "import { main } from './main.mjs';\nprocess.exitCode = await main(process.argv.slice(2), process.env);\n",
  );
  return {
    folder,
    run: async (args, o = {}) => {
      const child = spawn(process.execPath, [entry, ...args], { env: { ...process.env, ...o.env } });
      o.onStart?.(child);
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, stdout, stderr };
    },
    start: async (args, ready) => {
      const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise<void>((resolve, reject) => {
        let seen = '';
        child.stdout.on('data', (chunk: Buffer) => {
          seen += chunk.toString();
          if (seen.includes(ready)) resolve();
        });
        child.once('exit', (code) => reject(new Error(`ended with ${String(code)} before it was ready`)));
      });
      return child;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A server that treats every connection as `handle` says; returns its port and how to close it. */
export async function rawServer(
  handle: (socket: Socket) => void,
): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A port of the loopback that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = await rawServer(() => undefined);
  server.close();
  return server.port;
}
