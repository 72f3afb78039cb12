import { request } from 'node:http';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { parseErrorDocument } from '../supervisor/control/control-error.js';
import type {
  AddNodesRequest,
  NodeAction,
  NodeActionRequest,
  NodesChange,
  SandboxNodeStatus,
  SandboxMemory,
  SupervisorStatus,
} from '../supervisor/control/control-protocol.js';
import type { SandboxPaths } from '../supervisor/sandbox-paths.js';

const answerTimeoutMs = 5_000;
const answerMaxBytes = 4 * 1024 * 1024;

/** The supervisor's own account of itself; undefined when it does not answer. */
export async function supervisorStatus(paths: SandboxPaths): Promise<SupervisorStatus | undefined> {
  const status = await call<AnyStatus>(paths, 'GET /status').catch(() => undefined);
  return status === undefined ? undefined : completed(status);
}

/** What all processes of the sandbox use; undefined when its supervisor cannot tell. */
export function supervisorMemory(paths: SandboxPaths): Promise<SandboxMemory | undefined> {
  return call<SandboxMemory>(paths, 'GET /memory').catch(() => undefined);
}

/** Asks the supervisor to end; false when it does not answer. */
export async function requestShutdown(paths: SandboxPaths): Promise<boolean> {
  return call(paths, 'POST /shutdown').then(
    () => true,
    () => false,
  );
}

/** Adds nodes; they boot before this resolves. Throws what the supervisor refuses with, MESH0811 or MESH0815. */
export function addNodes(
  paths: SandboxPaths,
  body: AddNodesRequest,
  timeoutMs: number,
): Promise<NodesChange> {
  return call(paths, 'POST /nodes', { body, timeoutMs });
}

/** Does something to one node. Throws as {@link addNodes}. */
export function actOnNode(
  paths: SandboxPaths,
  { node, action, ...body }: { node: string; action: NodeAction } & NodeActionRequest,
  timeoutMs: number,
): Promise<NodesChange> {
  const route = `POST /nodes/${encodeURIComponent(node)}/${action}`;
  return call(paths, route, { body, timeoutMs });
}

/** What every supervisor says; those of the first version say no more. */
interface AnyStatus extends Partial<Omit<SupervisorStatus, 'nodes'>> {
  readonly nodes: readonly (Partial<SandboxNodeStatus> &
    Pick<SandboxNodeStatus, 'name' | 'isReady' | 'podCount' | 'initPid'> & {
      readonly ip?: string;
      readonly podCidr?: string;
    })[];
}

function completed(status: AnyStatus): SupervisorStatus {
  const first = {
    name: '',
    phase: 'starting' as const,
    detail: '',
    server: '',
    version: '',
    protocol: 1,
    apiServer: undefined,
    isPersistent: false,
    isStateKept: true,
    startedAt: '',
    memoryBytes: 0,
  };
  const nodes = status.nodes.map(({ ip = '', podCidr = '', name, ...rest }) => ({
    name,
    ips: [ip],
    podCidrs: [podCidr],
    power: 'running' as const,
    isConnected: true,
    ...rest,
  }));
  return { ...first, ...status, nodes };
}

function call<T>(
  paths: SandboxPaths,
  route: string,
  { body, timeoutMs = answerTimeoutMs }: { body?: unknown; timeoutMs?: number } = {},
): Promise<T> {
  const [method, path] = route.split(' ', 2);
  return new Promise((resolve, reject) => {
    const silent = (error: Error): void =>
      reject(
        new MeshError('MESH0815', `the supervisor of sandbox ${paths.name} does not answer`, {
          evidence: messageOf(error),
          hint: `its log: ${paths.log}`,
          cause: error,
        }),
      );
    // A connection of its own: the one before may have been to a supervisor that is gone.
    const options = { socketPath: paths.control, agent: false, method, path, timeout: timeoutMs };
    const outgoing = request(options, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.length > answerMaxBytes) response.destroy(new Error('the answer is too long'));
      });
      response.on('error', silent);
      response.on('end', () => {
        if ((response.statusCode ?? 500) >= 300) {
          reject(parseErrorDocument(text) ?? unknownRequest(paths, response.statusCode));
          return;
        }
        try {
          // Our own server on the other end of a socket only this user can open.
          resolve(JSON.parse(text) as T);
        } catch {
          silent(new Error('the answer is not JSON'));
        }
      });
    });
    outgoing.on('timeout', () => {
      const what = `sandbox ${paths.name} was not done within ${timeoutMs / 1000} s; it goes on by itself`;
      reject(new MeshError('MESH0816', what, { evidence: route }));
      outgoing.destroy();
    });
    outgoing.on('error', silent);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function unknownRequest(paths: SandboxPaths, status: number | undefined): MeshError {
  return new MeshError('MESH0811', `sandbox ${paths.name} was started by a meshctl that cannot do this`, {
    evidence: `its supervisor answered ${status}`,
  });
}
