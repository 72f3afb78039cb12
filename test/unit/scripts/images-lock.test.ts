import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { basePackages, imageDefinitions } from '../../../scripts/images/image-list.js';
import { architectures, nodeArchitectures, readLock } from '../../../scripts/images/lock.js';

// What does not fit: npm run images -- --update-lock.
const lock = readLock();
const named = [
  ...new Set([...basePackages, ...imageDefinitions.flatMap((i) => i.packages)].map((p) => p.name)),
];

test.each(architectures)('the lock has the packages of the images for %s, and no others', (architecture) => {
  const packages = lock?.packages[architecture] ?? {};
  expect(Object.keys(packages).sort()).toEqual(named.toSorted());
  for (const { version, sha256 } of Object.values(packages)) {
    expect(version).not.toBe('');
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  }
});

test('Node.js is of one version for all, and koffi that of the bundle', () => {
  const of = (prefix: string) =>
    architectures.map((a) => lock?.npm[`${prefix}${nodeArchitectures[a]}`]?.version);
  expect(new Set(of('node-linux-')).size).toBe(1);
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Readonly<Record<string, { version?: string }>>;
  };
  expect(new Set(of('@koromix/koffi-linux-'))).toEqual(new Set([packages['node_modules/koffi']?.version]));
});
