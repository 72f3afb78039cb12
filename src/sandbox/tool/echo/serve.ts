import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { FlagError, type ParsedFlags, parseFlags, reportUsage } from '../flags.js';
import { aborted, terminationSignal } from '../termination.js';
import { createEchoServer } from './http.js';
import { identityFrom } from './report.js';
import type { TlsFiles } from './tls.js';

const tlsPortDefault = 8443;
/** On SIGTERM, requests in flight get this long. */
const drainMs = 5_000;

/**
 * `tool serve`: the echo server, HTTP on --port and raw TCP on --tcp-port;
 * `tool serve tcp` offers only the TCP echo, on --port. Runs until SIGTERM, which
 * it obeys after --shutdown-delay milliseconds (default 0).
 */
export async function serve(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let flags: ReturnType<typeof parseFlags>;
  let isTcpOnly: boolean;
  let tlsFiles: TlsFiles | undefined;
  try {
    flags = parseFlags(args, {
      port: 'number',
      'tcp-port': 'number',
      'tls-port': 'number',
      'tls-cert': 'text',
      'tls-key': 'text',
      'tls-client-ca': 'text',
      name: 'text',
      version: 'text',
      delay: 'number',
      status: 'number',
      host: 'text',
      quiet: 'switch',
      greeting: 'text',
      'shutdown-delay': 'number',
    });
    isTcpOnly = flags.positional[0] === 'tcp';
    if (flags.positional.length > (isTcpOnly ? 1 : 0)) {
      throw new FlagError(`unexpected argument ${flags.positional.at(-1)}`);
    }
    tlsFiles = readTlsFiles(flags);
  } catch (error) {
    return reportUsage('serve', error);
  }
  const port = flags.number('port') ?? (isTcpOnly ? 9090 : 8080);
  const tcpPort = isTcpOnly ? port : (flags.number('tcp-port') ?? 9090);
  const host = flags.text('host');
  const log = flags.has('quiet') ? () => undefined : (line: string) => void process.stdout.write(`${line}\n`);
  const termination = terminationSignal();
  const tcp = tcpEcho(flags.text('greeting'));
  const http = isTcpOnly
    ? undefined
    : createEchoServer(
        {
          identity: identityFrom(env, { name: flags.text('name'), version: flags.text('version') }),
          status: flags.number('status') ?? 200,
          delayMs: flags.number('delay') ?? 0,
          log,
        },
        tlsFiles,
      );
  try {
    if (http !== undefined) await listen(http.tcp, { port, host });
    if (http?.tls !== undefined)
      await listen(http.tls, { port: flags.number('tls-port') ?? tlsPortDefault, host });
    // Port 0 switches the second listener off.
    if (isTcpOnly || tcpPort !== 0) await listen(tcp.server, { port: tcpPort, host });
  } catch (error) {
    process.stderr.write(`tool serve: ${error instanceof Error ? error.message : String(error)}\n`);
    await Promise.all([http?.close(0), tcp.close()]);
    termination.dispose();
    return 1;
  }
  log(isTcpOnly ? `tcp echo on ${port}` : `http echo on ${port}, tcp echo on ${tcpPort || 'no port'}`);
  await aborted(termination.signal);
  // New connections still arrive until every node knows that this pod is leaving.
  const delayMs = flags.number('shutdown-delay') ?? 0;
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  await Promise.all([http?.close(drainMs), tcp.close()]);
  termination.dispose();
  return 0;
}

/** Certificate and key of --tls-cert and --tls-key; both or none. */
function readTlsFiles(flags: ParsedFlags): TlsFiles | undefined {
  const [cert, key, clientCa] = ['tls-cert', 'tls-key', 'tls-client-ca'].map((name) => {
    const path = flags.text(name);
    try {
      return path === undefined ? undefined : readFileSync(path);
    } catch (error) {
      throw new FlagError(`--${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  if (cert !== undefined && key !== undefined) return { cert, key, clientCa };
  if (
    cert !== undefined ||
    key !== undefined ||
    clientCa !== undefined ||
    flags.number('tls-port') !== undefined
  )
    throw new FlagError('TLS needs both --tls-cert and --tls-key');
  return undefined;
}

async function listen(server: Server, at: { port: number; host: string | undefined }): Promise<void> {
  server.listen(at.host === undefined ? { port: at.port } : { port: at.port, host: at.host });
  await once(server, 'listening');
}

/** Sends back what it receives until the peer ends; an optional greeting goes first. */
function tcpEcho(greeting: string | undefined): { server: Server; close(): Promise<void> } {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (greeting !== undefined) socket.write(`${greeting}\n`);
    socket.pipe(socket);
  });
  return {
    server,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.end(() => socket.destroy());
      await closed;
    },
  };
}
