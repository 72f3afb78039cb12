import { rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { SupervisorStatus } from './sandbox-config.js';

export interface ControlHandlers {
  readonly status: () => Promise<SupervisorStatus>;
  readonly shutdown: () => void;
}

/** The supervisor's own interface for the launcher: GET /status, POST /shutdown. Only the user may connect. */
export async function startControlServer(path: string, handlers: ControlHandlers): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((request, response) => {
    if (request.method === 'GET' && request.url === '/status') {
      handlers.status().then(
        (status) => answer(response, 200, status),
        (error: unknown) => answer(response, 500, { message: String(error) }),
      );
    } else if (request.method === 'POST' && request.url === '/shutdown') {
      response.once('finish', handlers.shutdown);
      answer(response, 202, {});
    } else answer(response, 404, {});
  });
  const umask = process.umask(0o077);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(umask);
  }
  return server;
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
