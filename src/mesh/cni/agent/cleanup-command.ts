import { request } from 'node:http';
import { join } from 'node:path';
import type { KubeClient } from '#base/kube/client.js';
import { pods as podResource } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import type { AgentConfig } from '../config.js';
import { annotatedState } from '../../rules/enrollment.js';
import { Installer, pluginEntry } from '../installer/installer.js';
import { annotatePod } from './annotation.js';
import { type CleanupReport, cleanUpNode } from './cleanup.js';
import { openNode } from './node-context.js';
import { pluginFiles } from './plugin-of-node.js';
import { controlSocketName } from './unix-sockets.js';

/** The whole of a cleanup: a node with hundreds of pods takes a while. */
const cleanupTimeoutMs = 120_000;

/**
 * `mesh-cni cleanup`: asks the agent running on this node to take the mesh away, or
 * does it in its stead when none runs. Prints the report as JSON; exit code 0 only
 * when nothing is left.
 */
export async function cleanUpFromOutside(config: AgentConfig, connect: () => KubeClient): Promise<number> {
  // Standard output is for the report.
  setLogOutput((line) => process.stderr.write(line));
  const report = (await askAgent(config)) ?? (await cleanUpAlone(config, connect()));
  await new Promise<void>((resolve) => {
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`, () => resolve());
  });
  return report.left.length === 0 && report.errors.length === 0 ? 0 : 1;
}

/** The running agent's report; undefined when no agent runs here. */
function askAgent(config: AgentConfig): Promise<CleanupReport | undefined> {
  return new Promise((resolve, reject) => {
    const options = {
      socketPath: join(config.runDir, controlSocketName),
      path: '/cleanup',
      method: 'POST',
      headers: { host: 'agent' },
      signal: AbortSignal.timeout(cleanupTimeoutMs),
    };
    const started = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode === 200) resolve(JSON.parse(text) as CleanupReport);
        else reject(new Error(`the agent answered ${response.statusCode}: ${text.trim()}`));
      });
    });
    started.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
    started.end();
  });
}

async function cleanUpAlone(config: AgentConfig, client: KubeClient): Promise<CleanupReport> {
  const log = createLogger('cni');
  log.warn('no agent runs on this node, cleaning up without it', { runDir: config.runDir });
  const node = await openNode(config, log);
  const installer = new Installer({
    files: pluginFiles(config),
    netDir: config.cniNetDir,
    confName: config.cniConfName,
    runDir: config.runDir,
    entry: pluginEntry(config),
    log,
    onState: () => undefined,
    onInstall: () => undefined,
  });
  try {
    return await cleanUpNode({
      nodeName: config.nodeName,
      node,
      installer,
      runDir: config.runDir,
      enrolled: async () => {
        const fieldSelector = `spec.nodeName=${config.nodeName}`;
        const pods = await client.list<Pod>(podResource, { fieldSelector });
        return pods.filter((pod) => annotatedState(pod) !== undefined);
      },
      release: async (leaving) => {
        for (const { workload, netns } of leaving) {
          await annotatePod(client, workload, undefined);
          await node.redirection.remove(netns.fd);
        }
      },
      closeSockets: async () => undefined,
    });
  } finally {
    client.close();
    node.hostNetns.release();
  }
}
