import { X509Certificate } from 'node:crypto';
import { splitPem } from '../credentials.js';

/** One root of the mesh, as replicas of the controller remember it together. */
export interface TrustedRoot {
  /** One certificate. */
  readonly pem: string;
  /** Whether the proxies know it, so that certificates under it may be issued. */
  readonly isDistributed: boolean;
  /** When the last certificate under it has run out, in milliseconds since the epoch; absent for a root in use. */
  readonly retireAtMs?: number;
}

/** The roots of the mesh, those of the current authority first. */
export type TrustRecord = readonly TrustedRoot[];

/**
 * The record with the roots of the current authority: a new one is not distributed yet, unless there was no authority
 * before; one that is not the authority's any more is kept until every certificate under it has run out.
 */
export function withSigner(
  record: TrustRecord,
  signer: { readonly rootsPem: string; readonly leafTtlMs: number; readonly nowMs: number },
): TrustRecord {
  const { leafTtlMs, nowMs } = signer;
  const signing = [...new Set(splitPem(signer.rootsPem))];
  const known = new Map(record.map((root) => [root.pem, root]));
  const others = record.filter(({ pem }) => !signing.includes(pem));
  return [
    ...signing.map((pem) => ({
      pem,
      isDistributed: record.length === 0 || known.get(pem)?.isDistributed === true,
    })),
    ...others
      .map((root) => ({ ...root, retireAtMs: root.retireAtMs ?? nowMs + leafTtlMs }))
      .filter((root) => !isOver(root, nowMs)),
  ];
}

/** The record with every root known to the proxies. */
export function allDistributed(record: TrustRecord): TrustRecord {
  return record.map((root) => ({ ...root, isDistributed: true }));
}

/** Whether every root of an authority is known to the proxies, so that it may sign. */
export function maySign(record: TrustRecord, rootsPem: string): boolean {
  return splitPem(rootsPem).every((pem) => record.some((root) => root.pem === pem && root.isDistributed));
}

/** The certificates to trust, as one PEM text. */
export function bundlePem(record: TrustRecord): string {
  return record.map(({ pem }) => `${pem}\n`).join('');
}

/** Reads a stored record; undefined when it is not one. Entries that are no certificates are left out. */
export function parseTrustRecord(text: string): TrustRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  return value.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const { pem, isDistributed, retireAtMs } = entry as Record<string, unknown>;
    if (typeof pem !== 'string' || !isCertificate(pem)) return [];
    return [
      {
        pem,
        isDistributed: isDistributed === true,
        ...(typeof retireAtMs === 'number' ? { retireAtMs } : {}),
      },
    ];
  });
}

/** Whether nothing under a root can be valid any more. */
export function isOver({ pem, retireAtMs }: TrustedRoot, nowMs: number): boolean {
  return (
    (retireAtMs !== undefined && retireAtMs <= nowMs) || Date.parse(new X509Certificate(pem).validTo) <= nowMs
  );
}

function isCertificate(pem: string): boolean {
  try {
    return splitPem(pem).length === 1 && new X509Certificate(pem).ca;
  } catch {
    return false;
  }
}
