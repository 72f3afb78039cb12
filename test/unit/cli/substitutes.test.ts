import { expect, it } from 'vitest';
import type { MeshError } from '#base/errors/mesh-error.js';
import { commandAt, leadsToCommand, resolveCommand } from '#cli/resolve-command.js';
import { istioctlSubstitutes } from '#cli/substitutes.js';

function refusal(...words: string[]): MeshError {
  try {
    resolveCommand(words);
  } catch (error) {
    return error as MeshError;
  }
  throw new Error(`${words.join(' ')} is a command`);
}

it.each([
  [['kube-inject', '-f', 'deployment.yaml'], 'meshctl enroll'],
  [['x', 'injector', 'list'], 'meshctl enrollment'],
  [['experimental', 'check-inject', '-n', 'shop', 'pod'], 'meshctl enrollment'],
  [['create-remote-secret', '--name', 'other'], '--context'],
  [['tag', 'set', 'prod', '--revision', 'next'], 'meshctl install'],
  [['x', 'envoy-stats', 'pod'], 'stats/prometheus'],
  [['x', 'es', 'pod'], 'stats/prometheus'],
  [['validate', '-f', 'shop.yaml'], 'meshctl analyze'],
  [['v', '-f', 'shop.yaml'], 'meshctl analyze'],
  [['admin', 'log'], 'logging.level'],
  [['manifest', 'translate'], 'meshctl manifest generate'],
  [['completion', 'powershell'], 'meshctl completion bash'],
])('%j names what comes nearest', (words, instead) => {
  expect(refusal(...words)).toMatchObject({ code: 'MESH0110', hint: expect.stringContaining(instead) });
});

it('leaves other unknown words to suggestions', () => {
  expect(refusal('versoin')).toMatchObject({
    code: 'MESH0100',
    hint: expect.stringContaining('meshctl version'),
  });
  expect(refusal('waypoint', 'validate').code).toBe('MESH0100');
});

it('stands for nothing that is a command, and names only commands that are', () => {
  expect(Object.keys(istioctlSubstitutes).filter(leadsToCommand)).toEqual([]);
  const named = Object.values(istioctlSubstitutes).flatMap(({ instead }) => instead);
  for (const text of named.filter((command) => command.startsWith('meshctl '))) {
    const words = text.split(' ').slice(1);
    const path = words.slice(words[0] === '--context' ? 2 : 0).filter((word) => /^[a-z-]+$/.test(word));
    const known = [path.slice(0, 2).join(' '), path[0] ?? ''].map(commandAt);
    expect(
      known.find((entry) => entry !== undefined),
      text,
    ).toBeDefined();
  }
});
