import { readFileSync } from 'node:fs';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { Logger } from '#base/telemetry/log.js';
import {
  accountOfToken,
  formatKubeconfig,
  type IssuedToken,
  type PluginAccess,
  requestPluginToken,
} from '../installer/kubeconfig.js';

export interface PluginAccessDeps {
  readonly client: KubeClient;
  readonly server: string;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly log: Logger;
}

/** A failed token request is repeated after this. */
const retryMs = 60_000;

/**
 * The plugin's kubeconfig, renewed before its token ends: at half its life, or when
 * the agent's own token file changes and a separate one could not be had.
 */
export class PluginAccessSource {
  readonly #deps: PluginAccessDeps;
  #issued: IssuedToken | undefined;
  #renewAtMs = 0;

  constructor(deps: PluginAccessDeps) {
    this.#deps = deps;
  }

  /** Text of the kubeconfig as it should be now. Throws when the service account files cannot be read. */
  async kubeconfig(): Promise<string> {
    const own = readFileSync(this.#deps.tokenFile, 'utf8').trim();
    if (Date.now() >= this.#renewAtMs) await this.#renew(own);
    const isUsable = this.#issued !== undefined && this.#issued.expiresAtMs > Date.now();
    const access: PluginAccess = {
      server: this.#deps.server,
      ca: readFileSync(this.#deps.caFile, 'utf8'),
      token: isUsable ? this.#issued?.token : own,
    };
    return formatKubeconfig(access);
  }

  async #renew(ownToken: string): Promise<void> {
    this.#renewAtMs = Date.now() + retryMs;
    const account = accountOfToken(ownToken);
    if (account === undefined) return;
    try {
      const issued = await requestPluginToken(this.#deps.client, account);
      if (issued === undefined) {
        this.#deps.log.warn(
          'the plugin uses the token of this pod, which ends with it: create on serviceaccounts/token is not granted',
          { account: `${account.namespace}/${account.name}` },
        );
        this.#renewAtMs = Number.POSITIVE_INFINITY;
        return;
      }
      this.#issued = issued;
      this.#renewAtMs = Date.now() + (issued.expiresAtMs - Date.now()) / 2;
    } catch (error) {
      this.#deps.log.warn('no token for the plugin, will try again', { error: messageOf(error) });
    }
  }
}
