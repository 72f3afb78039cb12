import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { MeshError, messageOf } from '../../errors/mesh-error.js';
import { nearMiss } from '../../errors/near-miss.js';
import { type ClusterConnection, inClusterConnection, isInCluster } from '../connection.js';
import { environmentProxy } from './environment-proxy.js';
import { askExecPlugin, type ExecCredential, type ExecPluginOptions } from './exec-credential.js';
import { type Impersonation, impersonationHeaders, kubeConfigWith } from './impersonation.js';
import {
  type Kubeconfig,
  type KubeconfigCluster,
  type KubeconfigUser,
  readKubeconfig,
} from './kubeconfig-files.js';

export interface KubeconfigOptions extends Impersonation, Partial<ExecPluginOptions> {
  /** Path; default $KUBECONFIG, then ~/.kube/config, then the service account of the pod. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}

export interface KubeconfigConnection extends ClusterConnection {
  readonly context: string;
  /** Namespace the context names, or `default`. */
  readonly namespace: string;
}

const pluginTimeoutDefaultMs = 30_000;
/** A credential this near to its end is not used for another request. */
const expiryMarginMs = 10_000;

/**
 * The connection a kubeconfig context describes, as kubectl understands it; client-node does proxies and what is
 * left of the old authentication providers. Throws MESH0208.
 */
export async function kubeconfigConnection(o: KubeconfigOptions): Promise<KubeconfigConnection> {
  const env = o.env ?? process.env;
  const config = await readKubeconfig(o.kubeconfig, env);
  if (config === undefined) return withoutKubeconfig(o, env);
  const context = o.context ?? config.currentContext;
  const { cluster: asWritten, user, namespace } = chosen(config, context);
  const server = (asWritten.server ?? '').replace(/\/+$/, '');
  const proxyUrl = asWritten['proxy-url'] ?? environmentProxy(server, env);
  const cluster = { ...asWritten, ...(proxyUrl === undefined ? {} : { 'proxy-url': proxyUrl }) };
  const headers = impersonationHeaders(o, user);
  const credential = credentialSource(user, cluster, o);
  let proxy: RequestOptions['agent'];

  const toKubeConfig = async (): Promise<KubeConfig> => {
    const forClient = await kubeConfigWith(headers);
    forClient.loadFromString(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'cluster', cluster: withoutTlsCheckOfHttp(cluster) }],
        users: [{ name: 'user', user: asClientNodeKnows(user, await credential()) }],
        contexts: [{ name: context, context: { cluster: 'cluster', user: 'user', namespace } }],
        'current-context': context,
      }),
    );
    return forClient;
  };

  return {
    server,
    context,
    namespace: namespace ?? 'default',
    async requestOptions() {
      const options: RequestOptions = {};
      try {
        await (await toKubeConfig()).applyToHTTPSOptions(options);
      } catch (error) {
        if (error instanceof MeshError) throw error;
        throw new MeshError('MESH0208', `the credentials of context ${context} cannot be used`, {
          evidence: messageOf(error),
          cause: error,
        });
      }
      // One agent for all requests, or each would make a connection of its own through the proxy.
      if (cluster['proxy-url'] !== undefined) options.agent = proxy ??= options.agent;
      return options;
    },
    toKubeConfig,
  };
}

/** A pod has its service account, as for kubectl. */
function withoutKubeconfig(o: KubeconfigOptions, env: Readonly<NodeJS.ProcessEnv>): KubeconfigConnection {
  const evidence = '$KUBECONFIG is not set, and ~/.kube/config does not exist';
  if (o.context !== undefined || !isInCluster(env)) {
    throw new MeshError('MESH0208', 'there is no kubeconfig', { evidence });
  }
  const { namespace, ...connection } = inClusterConnection(env);
  const headers = impersonationHeaders(o, {});
  return {
    ...connection,
    context: 'in-cluster',
    namespace,
    async requestOptions() {
      const options = await connection.requestOptions();
      return { ...options, headers: { ...(options.headers as Record<string, string>), ...headers } };
    },
    async toKubeConfig() {
      const plain = await connection.toKubeConfig();
      const forClient = await kubeConfigWith(headers);
      const { clusters, users, contexts } = plain;
      forClient.loadFromOptions({ clusters, users, contexts, currentContext: plain.getCurrentContext() });
      return forClient;
    },
  };
}

function chosen(
  config: Kubeconfig,
  name: string,
): {
  readonly cluster: KubeconfigCluster;
  readonly user: KubeconfigUser;
  readonly namespace: string | undefined;
} {
  const contexts = [...config.contexts.keys()];
  if (name === '') {
    throw new MeshError('MESH0208', 'the kubeconfig has no current context', {
      evidence: `contexts: ${contexts.join(', ') || 'none'}`,
      hint: 'Name one with --context, or choose one: kubectl config use-context NAME.',
    });
  }
  const context = config.contexts.get(name);
  if (context === undefined) {
    const near = nearMiss(name, contexts);
    throw new MeshError('MESH0208', `the kubeconfig has no context ${JSON.stringify(name)}`, {
      evidence: `contexts: ${contexts.join(', ') || 'none'}`,
      ...(near === undefined ? {} : { hint: `Did you mean --context ${near}?` }),
    });
  }
  const cluster = config.clusters.get(context.cluster ?? '');
  if (cluster === undefined || cluster.server === undefined || cluster.server === '') {
    throw new MeshError('MESH0208', `context ${name} of the kubeconfig names no usable cluster`, {
      evidence: `cluster ${JSON.stringify(context.cluster ?? '')} ${cluster === undefined ? 'is not in' : 'has no server in'} ${config.files.join(', ')}`,
    });
  }
  const user = config.users.get(context.user ?? '');
  if (user === undefined && context.user !== undefined && context.user !== '') {
    throw new MeshError('MESH0208', `context ${name} of the kubeconfig names a user that is not there`, {
      evidence: `user ${JSON.stringify(context.user)} is not in ${config.files.join(', ')}`,
    });
  }
  return { cluster, user: user ?? {}, namespace: context.namespace };
}

/** Asks the plugin once for all who want to know, and again when what it gave is over. */
function credentialSource(
  user: KubeconfigUser,
  cluster: KubeconfigCluster,
  o: KubeconfigOptions,
): () => Promise<ExecCredential | undefined> {
  const { exec } = user;
  if (exec === undefined || exec === null) return () => Promise.resolve(undefined);
  const ask = (): Promise<ExecCredential> =>
    askExecPlugin(exec, cluster, {
      timeoutMs: o.timeoutMs ?? pluginTimeoutDefaultMs,
      terminal: o.terminal,
      env: o.env ?? process.env,
    });
  let current: Promise<ExecCredential> | undefined;
  return async () => {
    const known = await (current ??= ask());
    if ((known.expiresAtMs ?? Number.POSITIVE_INFINITY) > Date.now() + expiryMarginMs) return known;
    current = ask();
    return await current;
  };
}

/** The words of the user that client-node understands, with the plugin's credential in them. */
function asClientNodeKnows(user: KubeconfigUser, credential: ExecCredential | undefined): object {
  const { exec: _plugin, as: _user, tokenFile, ...rest } = user;
  // The file goes before the token, as in client-go: it is the one that is renewed.
  const token = tokenFile === undefined ? rest.token : undefined;
  return {
    ...rest,
    token,
    ...(tokenFile === undefined ? {} : { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } }),
    ...(credential?.token === undefined ? {} : { token: credential.token }),
    ...(credential?.cert === undefined ? {} : { 'client-certificate-data': base64(credential.cert) }),
    ...(credential?.key === undefined ? {} : { 'client-key-data': base64(credential.key) }),
  };
}

/** client-node refuses plain HTTP unless told not to check TLS, which there is none of. */
function withoutTlsCheckOfHttp(cluster: KubeconfigCluster): KubeconfigCluster {
  return cluster.server?.startsWith('http:') === true
    ? { ...cluster, 'insecure-skip-tls-verify': true }
    : cluster;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
