import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CniConfigError, loadCniConfig, parseCniConfig } from '../../../../src/sandbox/node/cni/config.js';

const list = (name: string) => JSON.stringify({ cniVersion: '1.0.0', name, plugins: [{ type: 'ptp' }] });

describe('the network configuration of a node', () => {
  test('the first usable file by name wins; others and unusable ones are passed over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cni-'));
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

  test('an empty or missing folder says so', async () => {
    await expect(loadCniConfig('/nonexistent')).rejects.toThrow(CniConfigError);
  });
});
