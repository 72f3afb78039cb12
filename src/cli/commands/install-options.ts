import type { ValuesRequest } from '#mesh/install/values/effective.js';
import type { Finding } from '#mesh/inspect/findings/finding.js';
import type { OptionSpec } from '../command.js';
import type { Options } from '../options.js';
import type { Progress } from '../progress.js';

/** Flags that choose values: the same for install, upgrade, manifest and profile. */
export const valuesOptions: readonly OptionSpec[] = [
  {
    flags: '--profile <name>',
    description: 'profile to start from (default: ambient)',
    completes: 'profile',
  },
  {
    flags: '-s, --set <path=value>',
    description: 'set a value, such as values.pilot.env.NAME=x; repeatable',
    repeat: true,
  },
  {
    flags: '--set-string <path=value>',
    description: 'set a value that stays text; repeatable',
    repeat: true,
  },
  {
    flags: '-f, --filename <file>',
    description: 'file with values or an IstioOperator, - for standard input; repeatable',
    repeat: true,
  },
  { flags: '--hub <registry>', description: 'registry and path of the images' },
  { flags: '--tag <tag>', description: 'tag of the images (default: the version of meshctl)' },
  {
    flags: '-r, --revision <name>',
    description: 'accepted for istioctl scripts; only "default" is supported',
    hidden: true,
  },
];

/** Reads the flags above. */
export function valuesRequestOf(options: Options): ValuesRequest {
  const revision = options.text('revision');
  return {
    profile: options.text('profile'),
    hub: options.text('hub'),
    tag: options.text('tag'),
    files: options.texts('filename'),
    // Through the schema, which says what is supported.
    set: [...options.texts('set'), ...(revision === undefined ? [] : [`revision=${revision}`])],
    setString: options.texts('set-string'),
  };
}

/** Tells what the values ask for in vain; on stderr, also with `--quiet`. */
export function warnOf(findings: readonly Finding[], progress: Progress): void {
  for (const { code, message } of findings) progress.warn(`${code} ${message}`);
}
