import { isAlreadyExists, isConflict } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { secrets } from '#base/kube/resource.js';
import type { Secret } from '#base/kube/types.js';
import { parseTrustRecord, type TrustRecord } from '../../identity/ca/trust-record.js';

/** Secret in which replicas share the roots of the mesh: who may change it may make the mesh trust anybody. */
const secretName = 'istio-ca-trust';
const dataKey = 'trust.json';
/** Replicas that write at the same time settle within a few tries. */
const attemptsMax = 5;

/** The record of the mesh's roots, kept in Secret istio-ca-trust. */
export class TrustStore {
  readonly #client: KubeClient;
  readonly #namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /** What is stored; empty when nothing is, or nothing that can be read. */
  async read(): Promise<TrustRecord> {
    return recordOf(await this.#get());
  }

  /** Applies a change to what is stored now, again if another replica was faster. Resolves to the result. */
  async update(change: (record: TrustRecord) => TrustRecord): Promise<TrustRecord> {
    for (let attempt = 1; ; attempt++) {
      const present = await this.#get();
      const before = recordOf(present);
      const after = change(before);
      const text = JSON.stringify(after);
      if (present !== undefined && text === JSON.stringify(before)) return after;
      try {
        await this.#write(present, text);
        return after;
      } catch (error) {
        if (attempt === attemptsMax || !(isConflict(error) || isAlreadyExists(error))) throw error;
      }
    }
  }

  #get(): Promise<Secret | undefined> {
    return this.#client.getOrUndefined<Secret>({
      resource: secrets,
      namespace: this.#namespace,
      name: secretName,
    });
  }

  async #write(present: Secret | undefined, text: string): Promise<void> {
    const data = { [dataKey]: Buffer.from(text).toString('base64') };
    if (present === undefined) {
      await this.#client.create<Secret>(
        secrets,
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: secretName, namespace: this.#namespace },
          type: 'istio.io/ca-trust',
          data,
        },
        { namespace: this.#namespace },
      );
    } else {
      const ref = { resource: secrets, namespace: this.#namespace, name: secretName };
      await this.#client.update<Secret>(ref, { ...present, data });
    }
  }
}

function recordOf(secret: Secret | undefined): TrustRecord {
  const text = Buffer.from(secret?.data?.[dataKey] ?? '', 'base64').toString('utf8');
  return parseTrustRecord(text) ?? [];
}
