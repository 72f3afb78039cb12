import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { kinds, type KindRow, otherPermissions, type Permission } from '#mesh/controller/model/kinds.js';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** Permissions as lines: scope, verb, group/resource, and a name where there is one. */
function granted(): string[] {
  const text = readFileSync('templates/controller/rbac.yaml', 'utf8')
    .replaceAll('{{ namespace }}', 'istio-system')
    .replaceAll('{{ revision }}', 'default');
  return parseAllDocuments(text).flatMap((document) => {
    const { kind, rules = [] } = document.toJS() as { kind: string; rules?: readonly Rule[] };
    const scope = kind === 'ClusterRole' ? 'cluster' : 'own namespace';
    return rules.flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
      verbs.flatMap((verb) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((plural) =>
            resourceNames.map((name) => `${scope}: ${verb} ${group}/${plural} ${name}`.trimEnd()),
          ),
        ),
      ),
    );
  });
}

function needed(): string[] {
  const rows: readonly KindRow<never, unknown>[] = Object.values(kinds);
  const ofKinds = rows.flatMap(({ resource, verbs = [], status }): Permission[] => [
    { resource, verbs: ['list', 'watch', ...verbs], scope: 'cluster' },
    ...(status === undefined
      ? []
      : [
          {
            resource: { ...resource, plural: `${resource.plural}/status` },
            verbs: ['patch'],
            scope: 'cluster' as const,
          },
        ]),
  ]);
  return [...ofKinds, ...otherPermissions('default')].flatMap(({ resource, verbs, names = [''], scope }) =>
    verbs.flatMap((verb) =>
      names.map((name) => `${scope}: ${verb} ${resource.group}/${resource.plural} ${name}`.trimEnd()),
    ),
  );
}

test('the installed roles grant what the table of kinds asks for, and nothing else', () => {
  expect(granted().sort()).toEqual(needed().sort());
});
