import { describe, expect, it } from 'vitest';
import { type Completion, complete } from '#cli/completion/complete.js';

const known: Readonly<Record<string, readonly string[]>> = {
  namespace: ['default', 'shop', 'shipping'],
  pod: ['cart-1', 'frontend-1'],
  node: ['node-1', 'node-2'],
  ztunnel: ['ztunnel-a.istio-system'],
  waypoint: ['waypoint'],
};

async function offered(...words: string[]): Promise<string[] | 'files'> {
  const found: Completion = await complete(words, (kind, flags) =>
    Promise.resolve(flags.get('namespace') === 'empty' ? [] : (known[kind] ?? [])),
  );
  return found === 'files' ? found : found.map(({ value }) => value);
}

describe('completion', () => {
  it.each([
    ['commands', ['wayp'], ['waypoint']],
    ['commands of a group', ['waypoint', 'l'], ['list']],
    ['commands of a group by its other name', ['zc', 'w'], ['workload']],
    ['commands after flags of every command', ['-n', 'shop', '--quiet', 'unenr'], ['unenroll']],
    ['commands behind words that mean nothing', ['x', 'unenr'], ['unenroll']],
    ['commands to be helped with', ['help', 'unenr'], ['unenroll']],
    ['shells', ['completion', 'z'], ['zsh']],
    ['flags', ['waypoint', 'apply', '--enr'], ['--enroll-namespace']],
    ['global flags', ['waypoint', 'apply', '--kubec'], ['--kubeconfig']],
    ['choices of a flag', ['waypoint', 'apply', '--for', 'w'], ['workload']],
    ['choices of a flag with an equals sign', ['waypoint', 'apply', '--for=w'], ['--for=workload']],
    [
      'choices of a flag whose words the shell parted',
      ['waypoint', 'apply', '--for', '=', 'w'],
      ['workload'],
    ],
    ['choices right behind the equals sign', ['version', '--output', '='], ['table', 'wide', 'json', 'yaml']],
    ['formats', ['version', '-o', 'j'], ['json']],
    ['namespaces', ['enroll', 'sh'], ['shipping', 'shop']],
    ['namespaces, one after the other', ['enroll', 'shop', 'd'], ['default']],
    ['namespaces for the flag', ['waypoint', 'list', '-n', 'sho'], ['shop']],
    ['nodes', ['zc', 'workload', '--node', 'node-2'], ['node-2']],
    ['pods and node proxies', ['zc', 'workload', ''], ['cart-1', 'frontend-1', 'ztunnel-a.istio-system']],
    ['waypoints', ['waypoint', 'status', 'w'], ['waypoint']],
    ['names where the flags point', ['waypoint', 'status', '-n', 'empty', 'w'], []],
    ['nothing behind the last argument', ['waypoint', 'status', 'waypoint', ''], []],
    ['nothing for unknown commands', ['nosuch', ''], []],
  ])('offers %s', async (_, words, expected) => {
    expect(await offered(...words)).toEqual(expected);
  });

  it.each([
    [['install', '-f', '']],
    [['-c', 'x']],
    [['sandbox', 'load', '']],
    [['sandbox', 'exec', 'node-1', '--', 'l']],
  ])('leaves %j to the shell', async (words) => {
    expect(await offered(...words)).toBe('files');
  });

  it('shows nothing that is hidden', async () => {
    expect(await offered('version', '--')).toContain('--client');
    expect(await offered('version', '--')).not.toContain('--no-remote');
  });

  it('tells what a command is for', async () => {
    const found = await complete(['unenr'], () => Promise.resolve([]));
    expect(found).toEqual([{ value: 'unenroll', description: expect.stringContaining('out') }]);
  });
});
