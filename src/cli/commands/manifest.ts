import { nameOf } from '#mesh/install/apply/plan-changes.js';
import { isWrite, planInstallation } from '#mesh/install/installer.js';
import { renderInstallation } from '#mesh/install/render/installation.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { supportedValues, givenPlatform, givenValues } from '#mesh/install/values/effective.js';
import { clientVersion } from '../client-version.js';
import type { CommandDefinition } from '../command.js';
import { fieldChangeLines } from '../field-change.js';
import { toYaml } from '../yaml-document.js';
import { valuesOptions, valuesRequestOf, warnOf } from './install-options.js';
import { comparisonPermissions, clusterPermissions } from '../permissions.js';

/** `meshctl manifest generate`. */
export const manifestGenerateCommand: CommandDefinition = {
  description:
    'Prints the objects that install would apply, in order. Needs no cluster; without one, the platform is what --set values.global.platform says.',
  options: valuesOptions,
  formats: ['yaml', 'json'],
  examples: ['meshctl manifest generate --profile ambient | kubectl diff -f -'],
  permissions: [],
  run: async ({ options, meshNamespace, progress }) => {
    const files = readTemplateFiles();
    const given = givenValues(files, valuesRequestOf(options));
    const platform = givenPlatform(given) ?? '';
    const effective = supportedValues(files, { given, platform, clientVersion });
    warnOf(effective.findings, progress);
    const planned = renderInstallation(files, effective, { namespace: meshNamespace, clientVersion });
    const items = planned.map((p) => p.object);
    return {
      kind: 'List',
      data: { items },
      text: () => '',
      formats: {
        // As kubectl takes it: a stream of documents, or one List.
        yaml: () => items.map((o) => `---\n${toYaml(o)}`).join(''),
        json: () => JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2),
      },
    };
  },
};

/** `meshctl manifest diff`. */
export const manifestDiffCommand: CommandDefinition = {
  description:
    'Shows how the cluster differs from what the flags ask for. The API server computes the difference; nothing is changed. Exit code 1 when there is one.',
  options: [...valuesOptions, { flags: '--force', description: 'as install --force would do' }],
  formats: ['table', 'json', 'yaml'],
  examples: ['meshctl manifest diff', 'meshctl manifest diff -f values.yaml -o json'],
  permissions: [...comparisonPermissions, ...clusterPermissions],
  run: async ({ options, kube, meshNamespace, progress, signal }) => {
    const { client } = await kube();
    const plan = await planInstallation({
      client,
      namespace: meshNamespace,
      values: valuesRequestOf(options),
      clientVersion,
      force: options.flag('force'),
      signal,
    });
    warnOf(plan.effective.findings, progress);
    const items = [
      ...plan.changes
        .filter((c) => isWrite(c) || c.action === 'release')
        .map((c) => ({ object: nameOf(c.planned.object), action: c.action, fields: c.changes })),
      ...plan.prune.map((o) => ({ object: nameOf(o), action: 'delete', fields: [] })),
    ];
    return {
      kind: 'ManifestDiff',
      data: { items },
      exitCode: items.length === 0 ? 0 : 1,
      text: ({ style }) =>
        items.length === 0
          ? 'no difference'
          : items
              .flatMap((i) => [
                `${i.action} ${i.object}`,
                ...i.fields.flatMap((f) => fieldChangeLines(f, style, '  ')),
              ])
              .join('\n'),
    };
  },
};
