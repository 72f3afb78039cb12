import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { writeBytesOnly } from '#mesh/hbone/byte-writes.js';

it('queues only bytes, whatever is written and however', async () => {
  const types = new Set<string>();
  const parts: Buffer[] = [];
  const sink = new Writable({
    decodeStrings: false,
    writev: (chunks, done) => {
      for (const { chunk } of chunks) {
        types.add(Buffer.isBuffer(chunk) ? 'bytes' : typeof chunk);
        parts.push(Buffer.from(chunk));
      }
      done();
    },
  });
  const stream = writeBytesOnly(sink);
  let isCalled = false;
  stream.cork();
  stream.write('é', 'latin1');
  stream.write('é', () => {
    isCalled = true;
  });
  stream.write(Buffer.from('!'));
  stream.uncork();
  await new Promise<void>((resolve) => {
    stream.end('end', 'utf8', resolve);
  });
  expect([...types]).toEqual(['bytes']);
  expect(Buffer.concat(parts)).toEqual(Buffer.concat([Buffer.from([0xe9]), Buffer.from('é!end')]));
  expect(isCalled).toBe(true);
});
