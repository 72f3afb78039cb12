import { pause } from '#base/system/until.js';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { type CaMaterial, generateRoot } from '../../identity/ca/material.js';
import { isAlreadyExists } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { secrets } from '#base/kube/resource.js';
import type { Secret } from '#base/kube/types.js';

/** Secret of the self-signed root; name, type and keys are upstream's. */
const secretName = 'istio-ca-secret';
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
  if (plugged !== undefined) return { material: plugged, source: `files in ${o.pluggedDir}` };
  const ref = { resource: secrets, namespace: o.systemNamespace, name: secretName };
  const source = `Secret ${o.systemNamespace}/${secretName}`;
  const existing = await o.client.getOrUndefined<Secret>(ref);
  if (existing !== undefined) return { material: fromSecret(existing), source };
  const material = await generateRoot(o.trustDomain);
  try {
    await o.client.create<Secret>(secrets, toSecret(material, o.systemNamespace), {
      namespace: o.systemNamespace,
    });
    return { material, source };
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return { material: fromSecret(await o.client.get<Secret>(ref)), source };
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

function fromSecret(secret: Secret): CaMaterial {
  const read = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');
  const certPem = read('ca-cert.pem');
  const keyPem = read('ca-key.pem');
  if (certPem === '' || keyPem === '') {
    throw new MeshError('MESH0402', `Secret ${secretName} lacks ca-cert.pem or ca-key.pem`, {
      evidence: `keys: ${Object.keys(secret.data ?? {}).join(', ') || 'none'}`,
    });
  }
  return { certPem, keyPem, chainPem: read('cert-chain.pem'), rootPem: read('root-cert.pem') || certPem };
}

function toSecret(material: CaMaterial, namespace: string): Secret {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName, namespace },
    type: secretType,
    data: {
      'ca-cert.pem': base64(material.certPem),
      'ca-key.pem': base64(material.keyPem),
      'root-cert.pem': base64(material.rootPem),
      'cert-chain.pem': base64(material.chainPem),
      'key.pem': '',
    },
  };
}

function readPlugged(dir: string): CaMaterial | undefined {
  const names = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'] as const;
  const present = names.filter((name) => existsSync(join(dir, name)));
  if (present.length === 0) return undefined;
  if (present.length < names.length) {
    throw new MeshError('MESH0404', `the certificate authority in ${dir} is incomplete`, {
      evidence: `missing: ${names.filter((name) => !present.includes(name)).join(', ')}`,
    });
  }
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  return {
    certPem: read('ca-cert.pem'),
    keyPem: read('ca-key.pem'),
    rootPem: read('root-cert.pem'),
    chainPem: read('cert-chain.pem'),
  };
}
