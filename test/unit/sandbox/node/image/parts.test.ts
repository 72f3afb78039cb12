import { describe, expect, test } from 'vitest';
import { machinePlatform, platformRank } from '#base/oci/platform.js';
import { separateLoaderVariables } from '#sandbox/node/runtime/helper-programs.js';
import { stopSignal } from '#sandbox/node/runtime/stop-signal.js';

test.each([
  ['SIGQUIT', 'SIGQUIT'],
  ['quit', 'SIGQUIT'],
  ['3', 'SIGQUIT'],
  ['SIGUSR1', 'SIGUSR1'],
  ['', 'SIGTERM'],
  ['NOSUCH', 'SIGTERM'],
])('an image that asks for "%s" is stopped with %s', (text, expected) => {
  expect(stopSignal(text)).toBe(expected);
});

test('variables of the dynamic loader are kept from helpers', () => {
  expect(separateLoaderVariables({ PATH: '/bin', LD_PRELOAD: 'x', GLIBC_TUNABLES: 'y', LDAP: 'z' })).toEqual({
    env: { PATH: '/bin', LDAP: 'z' },
    assignments: ['LD_PRELOAD=x', 'GLIBC_TUNABLES=y'],
  });
});

describe('platforms', () => {
  const rank = (machine: string, architecture: string, variant = '', os = 'linux') =>
    platformRank({ os, architecture, variant }, machinePlatform(machine));

  test('an exact match is preferred to an older variant, and that to 32 bits', () => {
    expect(rank('x64', 'amd64')).toBe(0);
    expect(rank('arm', 'arm', 'v7')).toBeLessThan(rank('arm', 'arm', 'v6') ?? 0);
    expect(rank('x64', '386')).toBeGreaterThan(rank('x64', 'amd64', 'v1') ?? 0);
    expect(rank('arm64', 'arm64', 'v8')).toBe(0);
  });

  test('what the machine may not run is out', () => {
    expect(rank('x64', 'arm64')).toBeUndefined();
    expect(rank('x64', 'amd64', 'v3')).toBeUndefined();
    expect(rank('arm', 'arm', 'v8')).toBeUndefined();
    expect(rank('x64', 'amd64', '', 'windows')).toBeUndefined();
  });
});
