import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { portMappingsOf, runtimeConfigOf } from '#sandbox/node/cni/capabilities.js';
import { CniConfigError, loadCniConfig, parseCniConfig } from '#sandbox/node/cni/config.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

const list = (name: string) => JSON.stringify({ cniVersion: '1.0.0', name, plugins: [{ type: 'ptp' }] });

describe('the network configuration of a node', () => {
  test('the first usable file by name wins; others and unusable ones are passed over', async () => {
    const folder = await temporaryFolder('cni-');
    await writeFile(join(folder, '20-b.conflist'), list('b'));
    await writeFile(join(folder, '10-a.conflist'), list('a'));
    await writeFile(join(folder, '05-broken.conflist'), '{');
    await writeFile(join(folder, '00-notes.txt'), list('n'));
    expect((await loadCniConfig(folder)).name).toBe('a');
  });

  test('a single plugin file is a list of one', () => {
    expect(parseCniConfig('{"name":"x","type":"bridge"}', '1.conf')).toMatchObject({
      cniVersion: '0.3.1',
      plugins: [{ type: 'bridge' }],
    });
  });

  test.each([
    ['[]', 'not an object'],
    ['{"plugins":[{"type":"x"}]}', 'no name'],
    ['{"name":"x","plugins":[]}', 'no plugins'],
    ['{"name":"x","plugins":[{}]}', 'a plugin has no type'],
  ])('%s is refused: %s', (text, reason) => {
    expect(parseCniConfig(text, '1.conflist')).toBe(reason);
  });

  test.each([
    ['{"name":"x","cniVersions":["1.0.0","1.1.0","2.0.0"],"plugins":[{"type":"a"}]}', '1.1.0'],
    ['{"name":"x","cniVersion":"1.0.0","cniVersions":["0.4.0"],"plugins":[{"type":"a"}]}', '1.0.0'],
    ['{"name":"x","cniVersions":["0.10.0","0.9.0"],"plugins":[{"type":"a"}]}', '0.10.0'],
  ])('%s speaks %s', (text, expected) => {
    expect(parseCniConfig(text, '1.conflist')).toMatchObject({ cniVersion: expected });
  });

  test('a version from the future alone is refused', () => {
    expect(parseCniConfig('{"name":"x","cniVersion":"2.0.0","plugins":[{"type":"a"}]}', '1.conflist')).toBe(
      'no version of the specification up to 1.1.0',
    );
  });

  test('plugins are told what they ask for, and nothing else', () => {
    const portMappings = portMappingsOf([
      {
        ports: [
          { containerPort: 80 },
          { containerPort: 53, hostPort: 5353, protocol: 'UDP', hostIP: '127.0.0.1' },
        ],
      },
    ]);
    expect(portMappings).toEqual([
      { hostPort: 5353, containerPort: 53, protocol: 'udp', hostIP: '127.0.0.1' },
    ]);
    const capabilities = { portMappings: true, ips: true };
    expect(runtimeConfigOf({ type: 'portmap', capabilities }, { portMappings })).toEqual({ portMappings });
    expect(runtimeConfigOf({ type: 'ptp' }, { portMappings })).toBeUndefined();
  });

  test('an empty or missing folder says so', async () => {
    await expect(loadCniConfig('/nonexistent')).rejects.toThrow(CniConfigError);
  });
});
