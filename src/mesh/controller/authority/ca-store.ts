import { pause } from '#base/system/until.js';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { type CaMaterial, generateRoot } from '../../identity/ca/material.js';
import { isAlreadyExists } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { secrets } from '#base/kube/resource.js';
import type { Secret } from '#base/kube/types.js';
import { materialIn, selfSignedSecret } from '../../identity/ca/material-secret.js';
import { materialKeys, materialProblem } from '../../identity/ca/material-problem.js';

/** Of the Secret of the self-signed root; upstream's. */
const secretType = 'istio.io/ca-root';
const pluggedPollMs = 5_000;

export interface CaStoreOptions {
  readonly client: KubeClient;
  readonly systemNamespace: string;
  readonly trustDomain: string;
  /** Folder of a plugged-in authority; used when it holds one. */
  readonly pluggedDir: string;
}

/**
 * The signing material: a plugged-in authority when its folder holds one, else the self-signed root of
 * Secret istio-ca-secret, which whichever replica comes first creates. Throws MESH0402, MESH0404.
 */
export async function loadCaMaterial(o: CaStoreOptions): Promise<{ material: CaMaterial; source: string }> {
  const plugged = readPlugged(o.pluggedDir);
  if (plugged !== undefined) {
    const files = `files in ${o.pluggedDir}`;
    return { material: sound(plugged, files), source: files };
  }
  const ref = { resource: secrets, namespace: o.systemNamespace, name: selfSignedSecret };
  const source = `Secret ${o.systemNamespace}/${selfSignedSecret}`;
  const existing = await o.client.getOrUndefined<Secret>(ref);
  if (existing !== undefined) return { material: sound(materialIn(existing), source), source };
  const material = await generateRoot(o.trustDomain);
  try {
    await o.client.create<Secret>(secrets, toSecret(material, o.systemNamespace), {
      namespace: o.systemNamespace,
    });
    return { material, source };
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return { material: sound(materialIn(await o.client.get<Secret>(ref)), source), source };
  }
}

/**
 * Calls `onMaterial` when another plugged-in authority lies in the folder: kubelet replaces the mounted files some time
 * after the Secret changed. What cannot be read is told to `onError` once and looked at again with the next change.
 */
export async function watchPlugged(
  dir: string,
  on: {
    readonly material: (material: CaMaterial) => Promise<void>;
    readonly error: (error: unknown) => void;
  },
  signal: AbortSignal,
): Promise<void> {
  const look = (): string => {
    try {
      return JSON.stringify(readPlugged(dir) ?? '');
    } catch (error) {
      return messageOf(error);
    }
  };
  let seen = look();
  while (!signal.aborted) {
    await pause(pluggedPollMs, signal);
    const now = look();
    if (now === seen || signal.aborted) continue;
    try {
      const material = readPlugged(dir);
      if (material !== undefined) await on.material(material);
      seen = now;
    } catch (error) {
      on.error(error);
    }
  }
}

/** @throws MESH0402 naming where the material is kept, and what is wrong with it */
function sound(material: CaMaterial, source: string): CaMaterial {
  const problem = materialProblem(material);
  if (problem !== undefined) throw new MeshError('MESH0402', `${source}: ${problem}`);
  return material;
}

function toSecret(material: CaMaterial, namespace: string): Secret {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: selfSignedSecret, namespace },
    type: secretType,
    data: {
      [materialKeys.certPem]: base64(material.certPem),
      [materialKeys.keyPem]: base64(material.keyPem),
      [materialKeys.rootPem]: base64(material.rootPem),
      [materialKeys.chainPem]: base64(material.chainPem),
      'key.pem': '',
    },
  };
}

function readPlugged(dir: string): CaMaterial | undefined {
  const names = Object.values(materialKeys);
  const present = names.filter((name) => existsSync(join(dir, name)));
  if (present.length === 0) return undefined;
  if (present.length < names.length) {
    throw new MeshError('MESH0404', `the certificate authority in ${dir} is incomplete`, {
      evidence: `missing: ${names.filter((name) => !present.includes(name)).join(', ')}`,
    });
  }
  const read = (part: keyof CaMaterial): string => readFileSync(join(dir, materialKeys[part]), 'utf8');
  return {
    certPem: read('certPem'),
    keyPem: read('keyPem'),
    rootPem: read('rootPem'),
    chainPem: read('chainPem'),
  };
}
