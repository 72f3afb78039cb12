import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { TableRows, TextView } from '#cli/command.js';
import { makeTextView } from '#cli/text-view.js';
import { widthOf } from '#cli/width.js';

async function viewOf(columns: number | undefined, { isWide = false } = {}): Promise<TextView> {
  const io = {
    stdin: Readable.from([]),
    stdout: () => undefined,
    stderr: () => undefined,
    isInteractive: false,
    isStdoutTty: columns !== undefined,
    columns,
    signals: () => () => undefined,
    env: {},
  };
  return makeTextView(io, { isWide, isColorAllowed: false });
}

const pods: TableRows = {
  head: ['NAMESPACE', 'POD', 'NODE', 'ZTUNNEL', 'STATE', 'WHY'],
  rows: [
    ['shop', 'frontend-7d9f8b6c5-x2x7p', 'node-1', 'ztunnel-4kq2z', 'captured', 'label of the namespace'],
    [
      'shop',
      'cart-5f6b7c8d9-abcde',
      'node-2',
      'ztunnel-9vn4c',
      'partly',
      'redirection rules are missing in the network namespace of the pod; the agent repairs them in seconds',
    ],
  ],
  wideOnly: ['ZTUNNEL'],
  optional: ['NODE', 'NAMESPACE'],
};

describe('the width', () => {
  it.each([
    ['of the terminal', { isTty: true, columns: 132 }, 132],
    ['of a terminal that is very narrow', { isTty: true, columns: 40 }, 60],
    ['of a terminal that is very wide', { isTty: true, columns: 400 }, 250],
    ['of a terminal that does not tell', { isTty: true }, 80],
    ['of a terminal that does not tell, by COLUMNS', { isTty: true, COLUMNS: '100' }, 100],
    ['of a pipe', { isTty: false, columns: 80 }, Number.POSITIVE_INFINITY],
    ['of a pipe, by COLUMNS', { isTty: false, COLUMNS: '100' }, 100],
    [
      'of a pipe, by a COLUMNS that says nothing',
      { isTty: false, COLUMNS: 'wide' },
      Number.POSITIVE_INFINITY,
    ],
  ])(
    '%s',
    (_, { isTty, columns, COLUMNS }: { isTty: boolean; columns?: number; COLUMNS?: string }, width) => {
      expect(widthOf(isTty, { columns, env: COLUMNS === undefined ? {} : { COLUMNS } })).toBe(width);
    },
  );
});

describe('a table', () => {
  it('drops columns by priority and wraps the last one', async () => {
    expect((await viewOf(80)).table(pods)).toBe(
      [
        'NAMESPACE   POD                        STATE      WHY',
        'shop        frontend-7d9f8b6c5-x2x7p   captured   label of the namespace',
        'shop        cart-5f6b7c8d9-abcde       partly     redirection rules are missing',
        '                                                  in the network namespace of',
        '                                                  the pod; the agent repairs',
        '                                                  them in seconds',
      ].join('\n'),
    );
  });

  it('keeps what has room', async () => {
    const [head] = (await viewOf(120)).table(pods).split('\n');
    expect(head?.split(/\s+/)).toEqual(['NAMESPACE', 'POD', 'NODE', 'STATE', 'WHY']);
  });

  it('wraps other columns of several words when nothing can go', async () => {
    const table = (await viewOf(60)).table({
      head: ['NODE', 'PODS IN MESH', 'STATE OF THE AGENT', 'STATE OF THE PROXY'],
      rows: [['a-node-with-a-name', '12', '0.1.0 NOT READY', '0.1.0 NOT READY, 0.0.9 wanted']],
    });
    for (const line of table.split('\n')) expect(line.length, line).toBeLessThanOrEqual(60);
    for (const word of ['a-node-with-a-name', 'wanted']) expect(table).toContain(word);
  });

  it('is a line per row in a pipe', async () => {
    const lines = (await viewOf(undefined)).table(pods).split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]?.split(/\s+/)).toEqual(['NAMESPACE', 'POD', 'NODE', 'STATE', 'WHY']);
  });

  it('shows every column when asked to', async () => {
    const [head] = (await viewOf(80, { isWide: true })).table(pods).split('\n');
    expect(head?.split(/\s+/)).toEqual(['NAMESPACE', 'POD', 'NODE', 'ZTUNNEL', 'STATE', 'WHY']);
  });

  it('never breaks a word', async () => {
    const identity = `spiffe://cluster.local/ns/shop/sa/${'a'.repeat(60)}`;
    const table = (await viewOf(60)).table({ head: ['POD', 'IDENTITY'], rows: [['frontend', identity]] });
    expect(table).toContain(identity);
  });

  it('can stand in a section', async () => {
    const table = (await viewOf(80)).table({
      head: ['A', 'B'],
      rows: [['1', 'word '.repeat(30).trim()]],
      indent: 2,
    });
    for (const line of table.split('\n')) {
      expect(line).toMatch(/^ {2}/);
      expect(line.length).toBeLessThanOrEqual(80);
    }
  });
});

describe('facts', () => {
  it('aligns texts and wraps them beside their labels', async () => {
    const view = await viewOf(60);
    expect(
      view.facts([
        ['Pod', 'shop/frontend'],
        ['Policy mode', 'STRICT (PeerAuthentication shop/default): only mTLS is admitted'],
        ['', 'by port 8080: PERMISSIVE'],
      ]),
    ).toBe(
      [
        'Pod          shop/frontend',
        'Policy mode  STRICT (PeerAuthentication shop/default): only',
        '             mTLS is admitted',
        '             by port 8080: PERMISSIVE',
      ].join('\n'),
    );
  });
});
