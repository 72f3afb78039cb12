import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ErrorCode, MeshError } from '#base/errors/mesh-error.js';
import { sandboxCodes } from '../../error-codes.js';
import { controlErrorDocument } from './control-error.js';
import {
  type AddNodesRequest,
  type NodeAction,
  type NodeActionRequest,
  nodeActions,
  type NodesChange,
  type SandboxMemory,
  type SupervisorStatus,
} from './control-protocol.js';

/** What the supervisor does when asked; throws MeshError for what the asker should read. */
export interface ControlHandlers {
  readonly status: () => Promise<SupervisorStatus>;
  readonly memory: () => Promise<SandboxMemory>;
  readonly shutdown: () => void;
  readonly addNodes: (request: AddNodesRequest) => Promise<NodesChange>;
  readonly act: (node: string, action: NodeAction, request: NodeActionRequest) => Promise<NodesChange>;
}

const codes: Readonly<Record<string, ErrorCode>> = sandboxCodes;
const bodyMaxBytes = 64 * 1024;
const requestTimeoutMs = 10_000;
const connectionsMax = 64;

/**
 * The supervisor's own interface for the launcher (control-protocol.ts). The socket belongs to the user: nobody
 * else may connect.
 */
export async function startControlServer(path: string, handlers: ControlHandlers): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    serve(request, response, handlers).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else answer(response, httpStatusOf(error), controlErrorDocument(error));
    });
  });
  server.maxConnections = connectionsMax;
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

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ControlHandlers,
): Promise<void> {
  const route = `${request.method} ${request.url}`;
  if (route === 'GET /status') return answer(response, 200, await handlers.status());
  if (route === 'GET /memory') return answer(response, 200, await handlers.memory());
  if (route === 'POST /shutdown') {
    response.once('finish', handlers.shutdown);
    return answer(response, 202, {});
  }
  if (route === 'POST /nodes')
    return answer(response, 200, await handlers.addNodes(addRequest(await body(request))));
  const match = /^POST \/nodes\/([^/?]{1,253})\/([a-z]+)$/.exec(route);
  const action = nodeActions.find((each) => each === match?.[2]);
  if (match === null || action === undefined) return answer(response, 404, {});
  const { force } = await body(request);
  const name = decodeURIComponent(match[1] ?? '');
  return answer(response, 200, await handlers.act(name, action, { force: force === true }));
}

function addRequest(value: Readonly<Record<string, unknown>>): AddNodesRequest {
  const { names = [], count = 0 } = value;
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
    throw new MeshError('MESH0800', 'names is not a list of names');
  if (typeof count !== 'number') throw new MeshError('MESH0800', 'count is not a number');
  return { names, count };
}

/** The request's JSON object; an empty body is an empty one. */
async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyMaxBytes) throw new MeshError('MESH0800', `a request has at most ${bodyMaxBytes} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (text === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new MeshError('MESH0800', 'the request is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MeshError('MESH0800', 'the request is not a JSON object');
  return value as Record<string, unknown>;
}

function httpStatusOf(error: unknown): number {
  if (!(error instanceof MeshError)) return 500;
  return codes[error.code]?.kind === 'usage' ? 400 : 409;
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
