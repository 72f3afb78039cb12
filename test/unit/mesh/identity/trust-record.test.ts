import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { generateRoot } from '#mesh/identity/ca/material.js';
import {
  allDistributed,
  bundlePem,
  maySign,
  parseTrustRecord,
  withSigner,
} from '#mesh/identity/ca/trust-record.js';

const [oldRoot, newRoot] = (
  await Promise.all([generateRoot('cluster.local'), generateRoot('cluster.local')])
).map(({ rootPem }) => rootPem) as [string, string];
const hourMs = 3_600_000;
const nowMs = Date.now();
const signer = (rootsPem: string, atMs = nowMs) => ({ rootsPem, leafTtlMs: hourMs, nowMs: atMs });

describe('the record of roots', () => {
  const first = withSigner([], signer(oldRoot));

  it('lets the first authority sign at once', () => {
    expect(maySign(first, oldRoot)).toBe(true);
  });

  it('trusts a new root first, lets it sign when it is distributed, and keeps the old one', () => {
    const staged = withSigner(first, signer(newRoot));
    expect(maySign(staged, newRoot)).toBe(false);
    expect(maySign(staged, oldRoot)).toBe(true);
    expect(bundlePem(staged).match(/BEGIN/g)).toHaveLength(2);
    expect(maySign(allDistributed(staged), newRoot)).toBe(true);
  });

  it('forgets an old root when nothing under it can be valid any more, not before', () => {
    const staged = allDistributed(withSigner(first, signer(newRoot)));
    expect(withSigner(staged, signer(newRoot, nowMs + hourMs - 1))).toHaveLength(2);
    expect(withSigner(staged, signer(newRoot, nowMs + hourMs))).toHaveLength(1);
  });

  it('takes an old authority back without another stage', () => {
    const staged = allDistributed(withSigner(first, signer(newRoot)));
    const back = withSigner(staged, signer(oldRoot));
    expect(maySign(back, oldRoot)).toBe(true);
    expect(back[0]?.retireAtMs).toBeUndefined();
    expect(back[1]?.retireAtMs).toBe(nowMs + hourMs);
  });

  it('survives being stored, and leaves out what is no certificate of an authority', () => {
    const staged = withSigner(first, signer(newRoot));
    expect(parseTrustRecord(JSON.stringify(staged))).toEqual(staged);
    expect(
      parseTrustRecord(JSON.stringify([...staged, { pem: 'x' }, 7, null, { pem: oldRoot.repeat(2) }])),
    ).toEqual(staged);
    expect(parseTrustRecord('{')).toBeUndefined();
    expect(parseTrustRecord('{}')).toBeUndefined();
    expect(new X509Certificate(staged[0]?.pem ?? '').ca).toBe(true);
  });
});
