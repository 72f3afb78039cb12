import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { commandEntries } from '#cli/registry.js';
import type { CommandPermission } from '#cli/command.js';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}
interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules: readonly Rule[];
}

const roles = parseAllDocuments(readFileSync('templates/base/viewer-roles.yaml', 'utf8')).map(
  (document) => document.toJS() as Role,
);

function rulesOf(kind: string, ...names: readonly string[]): readonly Rule[] {
  return roles.filter((r) => r.kind === kind && names.includes(r.metadata.name)).flatMap((r) => r.rules);
}

function isGranted(rules: readonly Rule[], { verbs, group = '', resource }: CommandPermission): boolean {
  return verbs.every((verb) =>
    rules.some(
      (rule) =>
        rule.apiGroups.includes(group) &&
        (rule.resources.includes(resource) || rule.resources.includes('*')) &&
        rule.verbs.includes(verb),
    ),
  );
}

const text = ({ verbs, group = '', resource, in: place }: CommandPermission) =>
  `${verbs.join(',')} ${group}/${resource} in ${place}`;

/** Left out on purpose: the key of the certificate authority, and the admin ports of other people's pods. */
const withheld = new Set(['get /secrets in mesh namespace', 'get,create /pods/portforward in cluster']);

const cluster = rulesOf('ClusterRole', 'meshctl-viewer');
const mesh = [...cluster, ...rulesOf('Role', 'meshctl-viewer', 'meshctl-observer')];
const tenant = rulesOf('ClusterRole', 'meshctl-namespace-viewer');

const readOnly = [
  'status',
  'analyze',
  'proxy-status',
  'version',
  'enrollment',
  'describe pod',
  'describe service',
  'describe namespace',
  'describe node',
  'describe waypoint',
  'describe gateway',
  'waypoint list',
  'waypoint status',
];

describe.each(readOnly)('%s', (path) => {
  const load = async (): Promise<readonly CommandPermission[]> => {
    const entry = commandEntries.find((e) => e.path === path);
    const { permissions = [] } = (await entry?.load())?.command ?? {};
    expect(permissions).not.toEqual([]);
    return permissions;
  };

  it('needs nothing that the roles meshctl-viewer and meshctl-observer do not grant', async () => {
    const lacking = (await load())
      .filter((p) => !isGranted(p.in === 'mesh namespace' ? mesh : cluster, p))
      .map(text);
    expect(lacking.filter((line) => !withheld.has(line))).toEqual([]);
  });

  it('needs nothing in the namespace asked about that meshctl-namespace-viewer does not grant', async () => {
    const lacking = (await load()).filter((p) => p.in === 'namespace' && !isGranted(tenant, p)).map(text);
    expect(lacking).toEqual([]);
  });
});

it('no viewer may change anything or read a Secret', () => {
  for (const { metadata, rules } of roles) {
    for (const { apiGroups, resources, verbs } of rules) {
      if (resources.includes('pods/portforward')) {
        expect(metadata.name).toBe('meshctl-observer');
        continue;
      }
      expect(verbs.filter((verb) => verb !== 'get' && verb !== 'list')).toEqual([]);
      expect(apiGroups.includes('') && (resources.includes('*') || resources.includes('secrets'))).toBe(
        false,
      );
    }
  }
});
