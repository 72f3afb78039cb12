import { gatewayApiKinds } from '../src/mesh/rules/support/gateway-api-kinds.js';
import { istioKinds } from '../src/mesh/rules/support/istio-kinds.js';
import { meshOptionSupport } from '../src/mesh/rules/support/mesh-options.js';
import { metadataSupport } from '../src/mesh/rules/support/metadata.js';
import type { SupportJson, KindSupport, Support, SupportTable } from '../src/mesh/rules/support/support.js';
import { valueSupport } from '../src/mesh/rules/support/values.js';
import { markdownTable } from './markdown-table.js';

/** docs/support.md, from the tables that install, the controller and verify-install go by. */
export function supportDocument(): string {
  const kinds = [...istioKinds, ...gatewayApiKinds];
  const values = Object.fromEntries(
    Object.entries(valueSupport).filter(([path]) => !path.startsWith('meshConfig.')),
  );
  return [
    `# What is supported

Nothing is accepted that nobody honors. This page is written from src/mesh/rules/support, which install, the
controller and \`verify-install\` go by (\`npx vitest run --project unit test/unit/mesh/rules/support -u\` writes it).

- **honored**: it does what Istio's or the Gateway API's documentation says.
- **refused**: going on without it would leave open, or break, what it asks for. \`install\` and \`manifest\` refuse it
  (MESH0316); objects get a condition that says so, and \`verify-install\` a warning (MESH0936).
- **ignored**: nothing acts on it. \`install\` warns (MESH0321); objects get a condition that says so, and
  \`verify-install\` a warning.

A path speaks for everything below it. \`[]\` stands for the elements of a list, \`*\` for the keys of a map. What stands
in no table is unknown to this version: refused in values, ignored with a warning in objects.
`,
    '## Kinds\n',
    markdownTable(
      ['kind', 'group', 'treatment', 'since', 'remark'],
      kinds.map((kind) => [kind.resource.kind, kind.resource.group, ...cells(kind)]),
    ),
    ...kinds.flatMap(fieldSection),
    '\n## Mesh options\n',
    '`meshConfig` of the values; key `mesh` of ConfigMap `istio`. Live: running components act on a change. Restart:',
    'the change rolls out the components that read it.\n',
    markdownTable(
      ['option', 'treatment', 'since', 'remark'],
      rowsOf(meshOptionSupport).map(([path, row]) => [`\`${path}\``, ...cells(row)]),
    ),
    '\n## Values\n',
    'What `-f` and `--set` take. Values change only with an installation, which rolls out what they concern.\n',
    markdownTable(
      ['value', 'treatment', 'since', 'remark'],
      rowsOf(values).map(([path, row]) => [`\`${path}\``, ...cells(row, { isValue: true })]),
    ),
    '\n## Labels and annotations\n',
    markdownTable(
      ['name', 'form', 'on', 'treatment', 'since', 'remark'],
      metadataSupport.map((row) => [`\`${row.name}\``, row.form, row.on.join(', '), ...cells(row)]),
    ),
    '',
  ].join('\n');
}

function fieldSection(kind: KindSupport): readonly string[] {
  if (kind.fields === undefined) return [];
  return [
    `\n## Fields of ${kind.resource.kind}\n`,
    markdownTable(
      ['field of spec', 'treatment', 'since', 'remark'],
      rowsOf(kind.fields).map(([path, row]) => [`\`${path}\``, ...cells(row)]),
    ),
  ];
}

function rowsOf(rows: SupportTable): readonly (readonly [string, Support])[] {
  return Object.entries(rows).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Treatment, version and remark of a row. */
function cells(row: Support, { isValue = false } = {}): readonly string[] {
  const except = row.harmless ?? [];
  const treatment =
    except.length === 0 ? row.treatment : `${except.map(shown).join(', ')} only; else ${row.treatment}`;
  const remarks = [
    ...(row.why === undefined ? [] : [row.why]),
    ...(row.at === undefined ? [] : [`at ${row.at.join(' and ')}`]),
    ...(row.takenUp === undefined || isValue ? [] : [row.takenUp]),
  ];
  return [treatment, row.since ?? '', remarks.join('; ')];
}

function shown(value: SupportJson): string {
  return value === '' ? 'empty' : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
