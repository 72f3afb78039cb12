import { describe, expect, it } from 'vitest';
import { renderDocument } from '#mesh/templates/render.js';

const scope = {
  name: 'mesh',
  port: 15012,
  isOn: true,
  isOff: false,
  empty: {},
  list: ['a', 'b'],
  env: { A: '1', B: '2' },
  labels: { x: 'y' },
};

const render = (template: object) => renderDocument(template as never, scope, 'test.yaml');

describe('placeholders', () => {
  it('keep the type when they are the whole scalar', () => {
    expect(render({ a: '{{ port }}', b: '{{ list }}', c: '{{ isOff }}' })).toEqual({
      a: 15012,
      b: ['a', 'b'],
      c: false,
    });
  });

  it('are text inside text', () => {
    expect(render({ a: '{{ name }}.svc:{{ port }}' })).toEqual({ a: 'mesh.svc:15012' });
  });

  it.each([
    ['{{ port | string }}', '15012'],
    ['{{ list | csv }}', 'a,b'],
    ['{{ labels | json }}', '{"x":"y"}'],
    ['{{ labels | yaml }}', 'x: y\n'],
  ])('%s', (text, expected) => {
    expect(render({ a: text })).toEqual({ a: expected });
  });

  it.each(['{{ nobody }}', 'x {{ list }}', '{{ name | shout }}'])('%s is a broken template', (text) => {
    expect(() => render({ a: { b: text } })).toThrow(expect.objectContaining({ code: 'MESH0304' }));
    expect(() => render({ a: { b: text } })).toThrow('test.yaml.a.b');
  });
});

describe('$when', () => {
  it.each([
    ['isOn', true],
    ['isOff', false],
    ['!isOff', true],
    ['empty', false],
    ['absent', false],
    ['name == mesh', true],
    ['name != mesh', false],
    ['isOn && name == mesh', true],
    ['isOn && isOff', false],
  ])('%s', (condition, isKept) => {
    expect(render({ a: { $when: condition, b: 1 }, l: [{ $when: condition, c: 2 }] })).toEqual(
      isKept ? { a: { b: 1 }, l: [{ c: 2 }] } : { l: [] },
    );
    expect(render({ $when: condition, b: 1 }) !== undefined).toBe(isKept);
  });
});

describe('lists and maps', () => {
  it('repeats an item for each element and each entry', () => {
    expect(
      render({
        l: [{ $each: 'env', $item: { name: '{{ key }}', value: '{{ item }}' } }, 'end'],
        m: [{ $each: 'list', $item: '{{ item }}' }],
      }),
    ).toEqual({ l: [{ name: 'A', value: '1' }, { name: 'B', value: '2' }, 'end'], m: ['a', 'b'] });
  });

  it('lays a map over the one that names it', () => {
    expect(render({ labels: { app: 'z', x: 'old', $merge: '{{ labels }}' } })).toEqual({
      labels: { app: 'z', x: 'y' },
    });
  });

  it('keeps the last of two environment variables of one name', () => {
    const env = [
      { name: 'A', value: 'ours' },
      { name: 'B', value: 'b' },
      { $each: 'env', $item: { name: '{{ key }}', value: '{{ item }}' } },
    ];
    expect(render({ env })).toEqual({
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ],
    });
  });
});
