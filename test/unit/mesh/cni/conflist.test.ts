import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  hasPlugin,
  insertPlugin,
  isValidConfig,
  mentionsPlugin,
  type PluginEntry,
  removePlugin,
} from '#mesh/cni/installer/conflist.js';

const entry: PluginEntry = { type: 'istio-cni', name: 'istio-cni', ambient_enabled: true };
const list = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp', ipam: { type: 'host-local' } }] };
const text = JSON.stringify(list);

describe('chained configuration', () => {
  it('appends the plugin and keeps everything else', () => {
    expect(JSON.parse(insertPlugin(text, entry))).toEqual({ ...list, plugins: [...list.plugins, entry] });
  });

  it('replaces an older entry and moves it to the end', () => {
    const old = { ...list, plugins: [{ type: 'istio-cni', old: true }, ...list.plugins] };
    const next = insertPlugin(JSON.stringify(old), entry);
    expect(JSON.parse(next)).toEqual({ ...list, plugins: [...list.plugins, entry] });
    expect(hasPlugin(JSON.stringify(old), entry)).toBe(false);
    expect(hasPlugin(next, entry)).toBe(true);
  });

  it('wraps a single plugin into a list', () => {
    const single = { cniVersion: '0.3.1', type: 'bridge', bridge: 'br0' };
    expect(JSON.parse(insertPlugin(JSON.stringify(single), entry))).toEqual({
      name: 'k8s-pod-network',
      cniVersion: '0.3.1',
      plugins: [{ type: 'bridge', bridge: 'br0' }, entry],
    });
  });

  it('removes what it inserted, for any list', () => {
    const anyList = fc.record({
      cniVersion: fc.constantFrom('0.3.1', '1.0.0'),
      name: fc.string(),
      plugins: fc.array(fc.record({ type: fc.string({ minLength: 1 }).filter((t) => t !== 'istio-cni') }), {
        minLength: 1,
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(anyList, (value) => {
        const inserted = insertPlugin(JSON.stringify(value), entry);
        expect(mentionsPlugin(inserted)).toBe(true);
        expect(insertPlugin(inserted, entry)).toBe(inserted);
        expect(JSON.parse(removePlugin(inserted))).toEqual(value);
      }),
    );
  });

  it.each(['', 'null', '[]', '{}', '{"plugins":{}}', '{"plugins":[1]}', '{"plugins":[]}'])(
    'does not take %j for a configuration',
    (bad) => {
      expect(isValidConfig(bad)).toBe(false);
      expect(mentionsPlugin(bad)).toBe(false);
    },
  );

  it('says what is wrong with a configuration it cannot use', () => {
    expect(() => insertPlugin('{', entry)).toThrow(expect.objectContaining({ code: 'MESH0707' }));
    expect(() => insertPlugin('{"plugins":[1]}', entry)).toThrow(/no list of plugins/);
  });
});
