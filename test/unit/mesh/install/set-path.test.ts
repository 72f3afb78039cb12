import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assign, inferValue, parseAssignment } from '#mesh/install/values/set-path.js';
import type { Value } from '#mesh/templates/values.js';

function set(root: Value, ...sources: string[]): Value {
  return sources.reduce((r: Value, s) => assign(r, parseAssignment(s, { isString: false })), root);
}

describe('paths', () => {
  it.each<[string[], Value]>([
    [['a.b=1'], { a: { b: 1 } }],
    [['a.b=1', 'a.c=x'], { a: { b: 1, c: 'x' } }],
    [['l[0].name=x', 'l[0].port=1', 'l[1].name=y'], { l: [{ name: 'x', port: 1 }, { name: 'y' }] }],
    [['l.[0].name=x'], { l: [{ name: 'x' }] }],
    [['m[0][0]=a', 'm[0][1]=b'], { m: [['a', 'b']] }],
    [['a\\.b/c=1'], { 'a.b/c': 1 }],
    [['l[0].name=x', 'l[name:x].port=2'], { l: [{ name: 'x', port: 2 }] }],
    [['a=b=c'], { a: 'b=c' }],
    [[' a.b = x '], { a: { b: 'x' } }],
    [['a='], { a: '' }],
    [['l={a,b\\,c,1}'], { l: ['a', 'b,c', 1] }],
    [['l={}'], { l: [] }],
    [['l[0]=x', 'l[0]=y'], { l: ['y'] }],
    [['a=null'], { a: null }],
  ])('%j', (sources, expected) => {
    expect(set({}, ...sources)).toEqual(expected);
  });

  it.each([
    ['a.b', 'no "="'],
    ['=x', 'empty name'],
    ['a..b=1', 'empty name'],
    ['a.=1', 'empty name'],
    ['a[=1', '"["'],
    ['a[x]=1', 'neither an index'],
    ['a]b=1', '"]" without'],
    ['l[1]=x', 'next free one is 0'],
    ['l[5000]=x', 'above 1000'],
    ['l[name:nobody].x=1', 'no element'],
    ['__proto__.x=1', '__proto__'],
  ])('%s is refused', (source, why) => {
    expect(() => set({}, source)).toThrow(why);
    expect(() => set({}, source)).toThrow(source);
  });

  it('does not descend into scalars, and says where', () => {
    expect(() => set({ a: { b: 1 } }, 'a.b.c=2')).toThrow('single value at a.b');
    expect(() => set({ a: [1] }, 'a.b=2')).toThrow('list at a');
    expect(() => set({ a: { b: 1 } }, 'a[0]=2')).toThrow('not a list at a');
  });

  it('never throws anything but a usage error, and never touches prototypes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 30 }), { maxLength: 4 }), (sources) => {
        try {
          set({}, ...sources);
        } catch (error) {
          expect(error).toMatchObject({ code: 'MESH0301' });
        }
        expect(({} as Record<string, unknown>)['x']).toBeUndefined();
      }),
    );
  });
});

describe('types', () => {
  it.each<[string, Value]>([
    ['1', 1],
    ['-3', -3],
    ['1.5', 1.5],
    ['true', true],
    ['false', false],
    // Names more often than numbers; other tools turn them into numbers silently.
    ['007', '007'],
    ['1e5', '1e5'],
    ['inf', 'inf'],
    ['nan', 'nan'],
    ['t', 't'],
    ['99999999999999999999', '99999999999999999999'],
    ['a\\,b', 'a,b'],
  ])('%s', (text, expected) => {
    expect(inferValue(text)).toStrictEqual(expected);
  });

  it('keeps text where text was asked for', () => {
    expect(parseAssignment('a=1', { isString: true }).value).toBe('1');
    const isStringPath = (path: readonly string[]): boolean => path.join('.') === 'tag';
    expect(parseAssignment('tag=1.20', { isString: false, isStringPath }).value).toBe('1.20');
  });
});
