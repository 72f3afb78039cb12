import { fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import type { MeshNames } from '../../rules/trust-domain.js';
import { type CompiledPolicy, compileL7Policy, policiesFor, type ServiceName } from './compile.js';
import type { ResourceHandler, XdsResource } from '../../xds/client/delta-client.js';
import { type AuthorizationPolicy, AuthorizationPolicySchema } from '../../xds/gen/meshctl/l7_pb.js';
import { l7AuthorizationType } from '../../xds/type-urls.js';

interface Entry {
  readonly message: AuthorizationPolicy;
  readonly compiled: CompiledPolicy;
}

/** The L7 policies of this gateway as last told by the control plane. */
export class L7PolicyStore implements ResourceHandler {
  readonly #names: MeshNames;

  readonly typeUrl = l7AuthorizationType;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<() => void>();
  /** Selection per service key, rebuilt after a change; bounded by the number of services asked for. */
  #selections = new Map<string, readonly CompiledPolicy[]>();

  constructor(names: MeshNames) {
    this.#names = names;
  }

  upsert({ name, value }: XdsResource): void {
    const message = fromBinary(AuthorizationPolicySchema, value);
    this.#entries.set(name, { message, compiled: compileL7Policy(message, this.#names) });
    this.#selections = new Map();
  }

  remove(name: string): void {
    this.#entries.delete(name);
    this.#selections = new Map();
  }

  pushed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Calls after every push; the result unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Policies that apply to a service; undefined for traffic to a workload's own address. */
  select(service: ServiceName | undefined): readonly CompiledPolicy[] {
    const key = service === undefined ? '' : `${service.namespace}/${service.hostname}`;
    let selection = this.#selections.get(key);
    if (selection === undefined) {
      const sorted = [...this.#entries]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, entry]) => entry.compiled);
      selection = policiesFor(sorted, service);
      this.#selections.set(key, selection);
    }
    return selection;
  }

  /** Every policy as JSON, sorted by name. */
  dump(): JsonValue[] {
    return [...this.#entries]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { message }]) => toJson(AuthorizationPolicySchema, message));
  }
}
