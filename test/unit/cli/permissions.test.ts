import { expect, test } from 'vitest';
import { configurationPermissions, meshPermissions } from '#cli/permissions.js';
import { checkedResources } from '#mesh/inspect/checks/configuration-checks.js';

test.each([
  ['analyze', configurationPermissions],
  ['verify-install', meshPermissions],
])('%s names every kind that checks read', (_name, permissions) => {
  const named = new Set(
    permissions
      .filter(({ verbs }) => verbs.includes('list'))
      .map(({ resource, group = '' }) => `${group}/${resource}`),
  );
  const read = checkedResources().map(({ group, plural }) => `${group}/${plural}`);
  expect(read.filter((kind) => !named.has(kind))).toEqual([]);
});
