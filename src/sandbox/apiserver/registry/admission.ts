import type { UserInfo } from '../user.js';
import type { JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { ServedResource } from './resource.js';
import type { Holds } from './holds.js';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/** The type under which a subresource's body is known, where it is not the object's own. */
export interface BodyType {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** One write on its way in. Plugins may change `object` in place while admitting, never `old`. */
export interface AdmissionRequest {
  readonly operation: Operation;
  readonly resource: ServedResource;
  readonly subresource?: string;
  /** What is written; for deletions what is deleted, for connections the options of the connection. */
  readonly object: ApiObject;
  readonly old: ApiObject | undefined;
  readonly user: UserInfo;
  readonly isDryRun?: boolean;
  readonly warnings?: string[];
  /** Where the body is of another type than the resource (scale, eviction, exec options). */
  readonly bodyType?: BodyType;
  /** Namespace and name, where `object` does not carry them (connections). */
  readonly target?: { readonly namespace: string | undefined; readonly name: string };
  /** The request's options: CreateOptions, DeleteOptions and the like, without their type. */
  readonly options?: JsonObject;
  /** The name comes from generateName: webhooks that change objects do not see it yet. */
  readonly isNameGenerated?: boolean;
  /** Brings an object that a plugin changed into the form it is stored in: types, pruning, defaults. */
  readonly settle?: (object: ApiObject) => ApiObject;
  /** What a validating plugin took for this write alone; there for writes that are stored. */
  readonly holds?: Holds;
}

/** What mutating plugins of one request tell each other about running again. */
export class Reinvocation {
  isReinvoke = false;
  #isWanted = false;

  /** Asks for a second round of all mutating plugins, because what they saw has changed since. */
  request(): void {
    this.#isWanted = true;
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }
}

/** A step of admission: throws an ApiError to refuse. */
export interface AdmissionPlugin {
  readonly name: string;
  /** Depends on what users configured, and may call out of the server: not asked about the server's own start. */
  readonly isConfigured?: boolean;
  admit?(request: AdmissionRequest, reinvocation: Reinvocation): void | Promise<void>;
  validate?(request: AdmissionRequest): void | Promise<void>;
  /**
   * The very last check, in the same turn as the write: nothing happens in
   * between, so it may count on what is stored.
   */
  commit?(request: AdmissionRequest): void;
}

/** The admission plugins in order: all mutating steps run before validation, the validating ones after it. */
export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];
  #isStarted = false;

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  /**
   * From now on users' webhooks and policies count too. Before that the server
   * itself creates what every cluster has, which no webhook kept from an
   * earlier run can be there to answer for.
   */
  start(): void {
    this.#isStarted = true;
  }

  /** Runs the mutating steps; once more when a webhook changed what earlier steps had seen. */
  async admit(request: AdmissionRequest): Promise<void> {
    const reinvocation = new Reinvocation();
    await this.#admit(request, reinvocation);
    if (!reinvocation.isWanted) return;
    reinvocation.isReinvoke = true;
    await this.#admit(request, reinvocation);
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#active()) {
      const pending = plugin.validate?.(request);
      if (pending !== undefined) await pending;
    }
  }

  /** Runs the checks that belong to the write itself. */
  commit(request: AdmissionRequest): void {
    for (const plugin of this.#plugins) plugin.commit?.(request);
  }

  #active(): readonly AdmissionPlugin[] {
    return this.#isStarted ? this.#plugins : this.#plugins.filter((p) => p.isConfigured !== true);
  }

  async #admit(request: AdmissionRequest, reinvocation: Reinvocation): Promise<void> {
    for (const plugin of this.#active()) {
      const pending = plugin.admit?.(request, reinvocation);
      if (pending !== undefined) await pending;
    }
  }
}
