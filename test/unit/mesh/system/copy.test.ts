import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { copyBoth } from '#mesh/system/copy.js';

/** Two ends of one in-memory connection: what is written to one is read from the other. */
function pipePair(): [Duplex, Duplex] {
  const there = new PassThrough();
  const back = new PassThrough();
  const ends: [Duplex, Duplex] = [
    Duplex.from({ readable: back, writable: there }),
    Duplex.from({ readable: there, writable: back }),
  ];
  // As a socket does: a reset of one end reaches the other as an error.
  for (const stream of [...ends, there, back]) stream.on('error', () => undefined);
  return ends;
}

async function readAll(stream: Duplex): Promise<string> {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(stream, 'end');
  return text;
}

describe('copyBoth', () => {
  test('moves both directions, counts them, and ends when both ended', async () => {
    const [client, downstream] = pipePair();
    const [upstream, server] = pipePair();
    const counters = { aToB: 0, bToA: 0 };
    const done = copyBoth(downstream, upstream, counters);
    client.end('question');
    expect(await readAll(server)).toBe('question');
    // The other direction is still open after the first ended.
    server.end('a longer answer');
    expect(await readAll(client)).toBe('a longer answer');
    await done;
    expect(counters).toEqual({ aToB: 8, bToA: 15 });
  });

  test('many chunks of one turn arrive complete and in order', async () => {
    const [client, downstream] = pipePair();
    const [upstream, server] = pipePair();
    const done = copyBoth(downstream, upstream, { aToB: 0, bToA: 0 });
    let expected = '';
    for (let i = 0; i < 2_000; i++) {
      client.write(`${i},`);
      expected += `${i},`;
    }
    client.end();
    expect(await readAll(server)).toBe(expected);
    server.end();
    await readAll(client);
    await done;
  });

  test('a side that breaks off breaks the other off, behind what was still to be passed on', async () => {
    const [client, downstream] = pipePair();
    const [upstream, server] = pipePair();
    const done = copyBoth(downstream, upstream, { aToB: 0, bToA: 0 });
    client.write('last words');
    let received = '';
    server.on('data', (chunk: Buffer) => (received += String(chunk)));
    const isEnd = once(server, 'end').then(() => true);
    await once(server, 'data');
    downstream.destroy(new Error('reset'));
    await done;
    expect([received, upstream.errored === null]).toEqual(['last words', false]);
    expect(await Promise.race([isEnd, Promise.resolve(false)])).toBe(false);
  });

  test('a slow reader pauses the source', async () => {
    const [client, downstream] = pipePair();
    let takeNext: (() => void) | undefined;
    let taken = 0;
    const slow = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, callback) => {
        taken += chunk.length;
        takeNext = callback;
      },
    });
    void copyBoth(downstream, slow, { aToB: 0, bToA: 0 });
    const block = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 100; i++) client.write(block);
    await expect.poll(() => downstream.isPaused()).toBe(true);
    expect(taken).toBeLessThan(10 * block.length);
    // What waits is bounded although nobody reads.
    expect(slow.writableLength).toBeLessThan(2 * 1024 * 1024);
    takeNext?.();
    downstream.destroy();
    slow.destroy();
    client.destroy();
  });
});
