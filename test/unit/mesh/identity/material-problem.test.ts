import { beforeAll, expect, test } from 'vitest';
import { type CaMaterial, generateRoot } from '#mesh/identity/ca/material.js';
import { expiryProblem, materialProblem } from '#mesh/identity/ca/material-problem.js';

let sound: CaMaterial;
let other: CaMaterial;
beforeAll(async () => {
  [sound, other] = await Promise.all([generateRoot('cluster.local'), generateRoot('cluster.local')]);
});

function problemWith(change: (material: CaMaterial) => Partial<CaMaterial>): string | undefined {
  return materialProblem({ ...sound, ...change(sound) });
}

/** The text with one letter of its middle line exchanged. */
function damaged(pem: string): string {
  const lines = pem.split('\n');
  const line = lines[2] ?? '';
  lines[2] = `${line.startsWith('A') ? 'B' : 'A'}${line.slice(1, 20)}AAAAAAAAAAAAAAAAAAAA${line.slice(40)}`;
  return lines.join('\n');
}

test('a root as it was made is sound', () => {
  expect(problemWith(() => ({}))).toBeUndefined();
});

test('each part that is missing, damaged or of another authority is named by its key', () => {
  expect(problemWith(() => ({ certPem: '' }))).toBe('ca-cert.pem holds no certificate');
  expect(problemWith(() => ({ certPem: 'garbage' }))).toBe('ca-cert.pem is not a certificate in PEM form');
  expect(problemWith(() => ({ keyPem: '' }))).toBe('ca-key.pem is empty');
  expect(problemWith(() => ({ keyPem: 'garbage' }))).toBe('ca-key.pem cannot be read as a private key');
  expect(problemWith(() => ({ keyPem: other.keyPem }))).toBe(
    'ca-key.pem is not the key of the certificate in ca-cert.pem',
  );
  expect(problemWith(() => ({ rootPem: '' }))).toBe('root-cert.pem holds no certificate');
  expect(problemWith(() => ({ rootPem: other.rootPem }))).toBe(
    'the certificate in ca-cert.pem does not lead to a root in root-cert.pem',
  );
  expect(problemWith(() => ({ chainPem: 'garbage' }))).toBe(
    'cert-chain.pem is not a certificate in PEM form',
  );
  expect(problemWith((m) => ({ certPem: damaged(m.certPem) }))).toMatch(/^(ca-cert|ca-key)\.pem is /);
});

test('an authority past its end is named as such', () => {
  const inElevenYears = Date.now() + 11 * 365 * 24 * 3600 * 1000;
  expect(expiryProblem(sound, Date.now())).toBeUndefined();
  expect(expiryProblem(sound, inElevenYears)).toMatch(/^the certificate in ca-cert\.pem expired on /);
});

test('nothing of the key is told', () => {
  const problem = problemWith((m) => ({ keyPem: m.keyPem.replace('BEGIN', 'BEGIM') })) ?? '';
  expect(problem).not.toContain(sound.keyPem.split('\n')[1] ?? '');
});
