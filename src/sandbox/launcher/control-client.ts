import { request } from 'node:http';
import type { SupervisorStatus } from '../supervisor/sandbox-config.js';
import type { SandboxPaths } from '../supervisor/sandbox-paths.js';

const answerTimeoutMs = 5_000;

/** The supervisor's own account of itself; undefined when it does not answer. */
export async function supervisorStatus(paths: SandboxPaths): Promise<SupervisorStatus | undefined> {
  const text = await call(paths.control, 'GET', '/status').catch(() => undefined);
  // Our own server on the other end of a socket only this user can open.
  return text === undefined ? undefined : (JSON.parse(text) as SupervisorStatus);
}

/** Asks the supervisor to end; false when it does not answer. */
export async function requestShutdown(paths: SandboxPaths): Promise<boolean> {
  return call(paths.control, 'POST', '/shutdown').then(
    () => true,
    () => false,
  );
}

function call(socketPath: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout: answerTimeoutMs }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode !== undefined && response.statusCode < 300) resolve(text);
        else reject(new Error(`the supervisor answered ${response.statusCode}: ${text}`));
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
