import type { UserInfo } from '../auth/user.js';
import type { KubeObject } from '../object.js';
import type { Resource } from '../registry/resource.js';

/** One write on its way in. Plugins may change `object` in place while admitting, never `old`. */
export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly resource: Resource;
  readonly subresource?: string;
  readonly object: KubeObject;
  readonly old: KubeObject | undefined;
  readonly user: UserInfo;
  readonly isDryRun?: boolean;
  readonly warnings?: string[];
}

/** A step of admission: throws an ApiError to refuse. */
export interface AdmissionPlugin {
  readonly name: string;
  admit?(request: AdmissionRequest): void | Promise<void>;
  validate?(request: AdmissionRequest): void | Promise<void>;
}

/** The admission plugins in order: all mutating steps run before validation, the validating ones after it. */
export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  async admit(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) {
      const pending = plugin.admit?.(request);
      if (pending !== undefined) await pending;
    }
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) {
      const pending = plugin.validate?.(request);
      if (pending !== undefined) await pending;
    }
  }
}
