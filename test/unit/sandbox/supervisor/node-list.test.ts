import { describe, expect, test } from 'vitest';
import { type NodeSpec, planNodes } from '#sandbox/supervisor/nodes/node-list.js';

function present(...nodes: readonly [name: string, index: number][]): NodeSpec[] {
  return nodes.map(([name, index]) => ({ name, index, isPoweredOn: true, isConnected: true }));
}

function plan(nodes: readonly NodeSpec[], o: { names?: string[]; count?: number }): [string, number][] {
  return planNodes(nodes, o).map(({ name, index }) => [name, index]);
}

describe('new nodes', () => {
  test('count up, each with its own slot', () => {
    expect(plan([], { count: 3 })).toEqual([
      ['node-1', 1],
      ['node-2', 2],
      ['node-3', 3],
    ]);
    expect(plan(present(['node-1', 1], ['node-3', 3]), { count: 2 })).toEqual([
      ['node-2', 2],
      ['node-4', 4],
    ]);
  });

  test('with names of their own take slots from the end, so that node-N keeps slot N', () => {
    expect(plan(present(['node-1', 1]), { names: ['edge', 'node-7'], count: 1 })).toEqual([
      ['edge', 50],
      ['node-7', 7],
      ['node-2', 2],
    ]);
    expect(plan(present(['edge', 2]), { names: ['node-2'] })).toEqual([['node-2', 50]]);
  });

  test('fill a sandbox to the last slot and no further', () => {
    expect(new Set(plan([], { count: 50 }).map(([, index]) => index)).size).toBe(50);
    const many = planNodes([], { names: Array.from({ length: 49 }, (_, i) => `n${i}`) });
    expect(plan(many, { count: 1 })).toEqual([['node-1', 1]]);
    expect(() => planNodes(many, { count: 2 })).toThrow('at most 50 nodes');
  });

  test.each([
    [{ names: ['UPPER'] }, 'cannot be the name of a node'],
    [{ names: ['a.b'] }, 'cannot be the name of a node'],
    [{ names: ['../up'] }, 'cannot be the name of a node'],
    [{ names: ['a'.repeat(64)] }, 'cannot be the name of a node'],
    [{ names: ['node-1'] }, 'there is a node node-1 already'],
    [{ names: ['x', 'x'] }, 'there is a node x already'],
    [{}, 'not a number of nodes'],
    [{ count: 1.5 }, 'not a number of nodes'],
    [{ count: -1 }, 'not a number of nodes'],
  ])('are refused as a whole: %j', (request, text) => {
    expect(() => planNodes(present(['node-1', 1]), request)).toThrow(text);
  });
});
