import { expect, it } from 'vitest';
import type { CommandPermission } from '#cli/command.js';
import { configurationPermissions, meshPermissions, waypointPermissions } from '#cli/permissions.js';
import type { Resource } from '#base/kube/resource.js';
import { configurationChecks } from '#mesh/inspect/checks/configuration-checks.js';
import { waypointUserResources } from '#mesh/inspect/waypoint-users.js';

/** Resources that nothing among the permissions lets one list, wherever. */
function lacking(
  resources: readonly Resource[],
  permissions: readonly CommandPermission[],
): readonly string[] {
  const names = resources
    .filter(
      ({ plural, group }) =>
        !permissions.some(
          (p) =>
            p.verbs.includes('list') &&
            [plural, '*'].includes(p.resource) &&
            (p.group ?? '') === group &&
            p.in !== 'mesh namespace',
        ),
    )
    .map(({ plural, group }) => `${plural}.${group}`);
  return [...new Set(names)].toSorted();
}

it.each([
  ['analyze', configurationPermissions],
  ['status, describe and verify-install', meshPermissions],
])('%s may list whatever its checks read', (_, permissions) => {
  expect(
    lacking(
      configurationChecks.flatMap(({ reads }) => reads),
      permissions,
    ),
  ).toEqual([]);
});

it('whoever shows waypoints may list whatever can use one', () => {
  expect(lacking(Object.values(waypointUserResources), waypointPermissions)).toEqual([]);
});
