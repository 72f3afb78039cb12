import { objectDiff } from '#mesh/install/apply/object-diff.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import {
  effectiveValues,
  givenPlatform,
  givenValues,
  supportedValues,
} from '#mesh/install/values/effective.js';
import { defaultProfile, profileNames } from '#mesh/install/values/profile.js';
import { valueAt } from '#mesh/templates/values.js';
import { clientVersion } from '../client-version.js';
import type { CommandDefinition } from '../command.js';
import { toYaml } from '../yaml-document.js';
import { valuesOptions, valuesRequestOf, warnOf } from './install-options.js';
import { fieldChangeLines } from '../field-change.js';

/** `meshctl profile list`. */
export const profileListCommand: CommandDefinition = {
  examples: ['meshctl profile list'],
  permissions: [],
  run: async () => {
    const files = readTemplateFiles();
    const items = profileNames(files).map((name) => {
      const { spec } = effectiveValues(files, { given: { profile: name }, platform: '', clientVersion });
      const components = ['base', 'pilot', 'cni', 'ztunnel'].filter(
        (c) => valueAt(spec, ['components', c, 'enabled']) === true,
      );
      return { name, isDefault: name === defaultProfile, components };
    });
    return {
      kind: 'ProfileList',
      data: { items },
      text: (view) =>
        view.table({
          head: ['NAME', 'COMPONENTS', 'DEFAULT'],
          rows: items.map((i) => [i.name, i.components.join(', ') || 'none', i.isDefault ? 'yes' : '']),
        }),
    };
  },
};

/** `meshctl profile diff A B`: exit 1 when they differ, as diff does. */
export const profileDiffCommand: CommandDefinition = {
  description: 'Shows the values in which two profiles differ. Exit code 1 when they do.',
  args: [
    { name: '<profile>', description: 'profile' },
    { name: '<other>', description: 'the other one', completes: 'profile' },
  ],
  formats: ['table', 'json', 'yaml'],
  examples: ['meshctl profile diff minimal ambient'],
  permissions: [],
  run: async ({ args }) => {
    const files = readTemplateFiles();
    const specOf = (profile: string) =>
      effectiveValues(files, { given: { profile }, platform: '', clientVersion }).spec;
    const items = objectDiff(specOf(args[0] ?? ''), specOf(args[1] ?? '')).filter(
      (change) => change.path !== 'profile',
    );
    return {
      kind: 'ProfileDiff',
      data: { items },
      exitCode: items.length === 0 ? 0 : 1,
      text: ({ style }) =>
        items.length === 0 ? 'no difference' : items.flatMap((i) => fieldChangeLines(i, style)).join('\n'),
    };
  },
};

/** `meshctl profile dump [NAME]`. */
export const dumpCommand: CommandDefinition = {
  description: 'Prints every value of a profile, with -f and --set laid over it.',
  args: [{ name: '[profile]', description: `default: ${defaultProfile}` }],
  options: valuesOptions,
  formats: ['yaml', 'json'],
  examples: [
    'meshctl profile dump',
    'meshctl profile dump minimal --set meshConfig.accessLogFile=/dev/stdout',
  ],
  permissions: [],
  run: async ({ args, options, progress }) => {
    const files = readTemplateFiles();
    const request = valuesRequestOf(options);
    const given = givenValues(files, { ...request, profile: args[0] ?? request.profile });
    const platform = givenPlatform(given) ?? '';
    const { profile, spec, findings } = supportedValues(files, { given, platform, clientVersion });
    warnOf(findings, progress);
    return {
      kind: 'Profile',
      data: { profile, spec },
      text: () => '',
      formats: { yaml: () => toYaml({ profile, ...spec }) },
    };
  },
};
