import { readFileSync } from 'node:fs';
import { MeshError, messageOf } from '../../errors/mesh-error.js';
import { spawnProgram } from '../../system/spawn-program.js';
import type { ExecPlugin, KubeconfigCluster } from './kubeconfig-files.js';

/** What a credential plugin gave; PEM. */
export interface ExecCredential {
  readonly token: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Milliseconds of the epoch; undefined: good as long as the program runs. */
  readonly expiresAtMs: number | undefined;
}

export interface ExecPluginOptions {
  /** Milliseconds for one call of the plugin. */
  readonly timeoutMs: number;
  /** A person at a terminal, whom the plugin may ask. Gets what the plugin writes to its standard error. */
  readonly terminal?: ((text: string) => void) | undefined;
  /** The environment: KUBECONFIG, HOME, what tells a pod that it is one, and what a plugin inherits. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
}

interface PluginAnswer {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly status?: {
    readonly token?: string;
    readonly clientCertificateData?: string;
    readonly clientKeyData?: string;
    readonly expirationTimestamp?: string;
  };
}

const outputMaxChars = 1024 * 1024;
const messageMaxChars = 2_000;
const clusterExtension = 'client.authentication.k8s.io/exec';

/**
 * Asks a credential plugin (client-go credential plugins, client.authentication.k8s.io v1 and v1beta1).
 * @throws MESH0214 with what the plugin wrote to its standard error, or its install hint when it is not there
 */
export async function askExecPlugin(
  plugin: ExecPlugin,
  cluster: KubeconfigCluster,
  o: ExecPluginOptions,
): Promise<ExecCredential> {
  const { command, interactiveMode = 'IfAvailable' } = plugin;
  if (command === undefined || command === '') {
    throw new MeshError('MESH0214', 'the kubeconfig names a credential plugin without a command');
  }
  const isInteractive = interactiveMode !== 'Never' && o.terminal !== undefined;
  if (interactiveMode === 'Always' && !isInteractive) {
    throw new MeshError('MESH0214', `the credential plugin ${command} needs a terminal to ask on`, {
      evidence: 'interactiveMode: Always; standard input is no terminal',
      hint: 'Run the command in a terminal, or use a user of the kubeconfig that needs nobody to answer.',
    });
  }
  const child = spawnProgram(command, plugin.args ?? [], {
    isInteractive,
    env: {
      ...o.env,
      ...Object.fromEntries((plugin.env ?? []).map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify(execInfo(plugin, cluster, isInteractive)),
    },
  });
  const output = await outputOf(child, plugin, isInteractive ? o : { ...o, terminal: undefined });
  return credentialOf(output, plugin);
}

function execInfo(plugin: ExecPlugin, cluster: KubeconfigCluster, isInteractive: boolean): unknown {
  return {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive: isInteractive,
      ...(plugin.provideClusterInfo === true ? { cluster: clusterInfo(cluster) } : {}),
    },
  };
}

function clusterInfo(cluster: KubeconfigCluster): unknown {
  const file = cluster['certificate-authority'];
  const data =
    cluster['certificate-authority-data'] ??
    (file === undefined ? undefined : readFileSync(file).toString('base64'));
  return {
    server: cluster.server,
    'tls-server-name': cluster['tls-server-name'],
    'insecure-skip-tls-verify': cluster['insecure-skip-tls-verify'],
    'certificate-authority-data': data,
    'proxy-url': cluster['proxy-url'],
    config: cluster.extensions?.find(({ name }) => name === clusterExtension)?.extension,
  };
}

/** What the plugin printed, once it ended well. */
function outputOf(
  child: ReturnType<typeof spawnProgram>,
  plugin: ExecPlugin,
  o: ExecPluginOptions,
): Promise<string> {
  const { command } = plugin;
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    const fail = (message: string, evidence: string | undefined, hint?: string): void => {
      clearTimeout(timer);
      reject(new MeshError('MESH0214', message, { evidence, hint }));
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      // A child of the plugin may still hold them.
      child.stdout?.destroy();
      child.stderr?.destroy();
      fail(
        `the credential plugin ${command} did not end within ${o.timeoutMs / 1000} s`,
        stderr.trim() === '' ? undefined : stderr.trim(),
        `Run it by hand to see what it waits for: ${[command, ...(plugin.args ?? [])].join(' ')}`,
      );
    }, o.timeoutMs);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < outputMaxChars) stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-messageMaxChars);
      o.terminal?.(text);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      const hint = plugin.installHint?.trim();
      if (error.code === 'ENOENT') {
        fail(
          `the credential plugin ${command} of the kubeconfig is not installed`,
          `exec: ${command}: not found`,
          hint === undefined || hint === '' ? `Install ${command}, or make sure that it is in PATH.` : hint,
        );
      } else fail(`the credential plugin ${command} cannot be run`, messageOf(error));
    });
    child.on('close', (code, signal) => {
      if (code === 0) {
        clearTimeout(timer);
        resolve(stdout);
        return;
      }
      const how = code === null ? `was ended by ${signal}` : `failed with exit code ${code}`;
      fail(`the credential plugin ${command} ${how}`, stderr.trim() === '' ? undefined : stderr.trim());
    });
  });
}

function credentialOf(output: string, plugin: ExecPlugin): ExecCredential {
  const unusable = (evidence: string): MeshError =>
    new MeshError('MESH0214', `the credential plugin ${plugin.command} printed no usable credential`, {
      evidence,
      hint: 'See what it prints, and the apiVersion that its user has in the kubeconfig.',
    });
  let answer: PluginAnswer;
  try {
    answer = JSON.parse(output) as PluginAnswer;
  } catch {
    // What it printed may be a secret: not quoted.
    throw unusable('its output is not JSON');
  }
  if (answer.kind !== 'ExecCredential') throw unusable(`kind: ${answer.kind ?? 'none'}, not ExecCredential`);
  if (plugin.apiVersion !== undefined && answer.apiVersion !== plugin.apiVersion) {
    throw unusable(
      `apiVersion: ${answer.apiVersion ?? 'none'}; the kubeconfig asks for ${plugin.apiVersion}`,
    );
  }
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = answer.status ?? {};
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw unusable('its status has neither a token nor a client certificate with its key');
  }
  const expiresAtMs = expirationTimestamp === undefined ? Number.NaN : Date.parse(expirationTimestamp);
  return { token, cert, key, expiresAtMs: Number.isNaN(expiresAtMs) ? undefined : expiresAtMs };
}
