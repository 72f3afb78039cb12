import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { LogFile, splitEntries } from '#sandbox/node/runtime/log-file.js';
import { type LogReadOptions, readLog } from '#sandbox/node/runtime/log-reader.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

async function read(path: string, options: Partial<LogReadOptions>, live?: LogFile): Promise<string> {
  const sink = new PassThrough();
  const chunks: Buffer[] = [];
  sink.on('data', (chunk: Buffer) => chunks.push(chunk));
  await readLog({ path, live }, { follow: false, ...options }, { sink, signal: AbortSignal.timeout(4_000) });
  sink.end();
  await once(sink, 'end');
  return Buffer.concat(chunks).toString();
}

async function logOf(...lines: string[]): Promise<string> {
  const path = join(await temporaryFolder('log-'), '0.log');
  await writeFile(path, lines.map((line) => `${line}\n`).join(''));
  return path;
}

describe('writing', () => {
  test('whole lines become entries, the rest waits', () => {
    const { entries, remainder } = splitEntries(Buffer.from('a\n\nbc'), 'stdout');
    expect(entries.map((e) => e.toString().replace(/^\S+/, 'T'))).toEqual([
      'T stdout F a\n',
      'T stdout F \n',
    ]);
    expect(remainder.toString()).toBe('bc');
  });

  test('a long line is cut into partial entries', () => {
    const { entries, remainder } = splitEntries(Buffer.from(`${'x'.repeat(40_000)}\n`), 'stderr');
    expect(entries.map((e) => e.toString().split(' ')[2])).toEqual(['P', 'P', 'F']);
    expect(remainder.length).toBe(0);
  });
});

describe('reading', () => {
  test('plain, with timestamps, and partial entries joined', async () => {
    const path = await logOf(
      '2026-01-01T00:00:01.000000000Z stdout F one',
      '2026-01-01T00:00:02.000000000Z stdout P tw',
      '2026-01-01T00:00:02.000000000Z stdout F o',
    );
    expect(await read(path, {})).toBe('one\ntwo\n');
    expect(await read(path, { timestamps: true })).toBe(
      '2026-01-01T00:00:01.000000000Z one\n2026-01-01T00:00:02.000000000Z two\n',
    );
  });

  test('tail, since and limit', async () => {
    const path = await logOf(
      '2026-01-01T00:00:01.000000000Z stdout F one',
      '2026-01-01T00:00:02.000000000Z stdout P tw',
      '2026-01-01T00:00:02.000000000Z stdout F o',
      '2026-01-01T00:00:03.000000000Z stderr F three',
    );
    expect(await read(path, { tailLines: 1 })).toBe('three\n');
    expect(await read(path, { tailLines: 2 })).toBe('two\nthree\n');
    expect(await read(path, { tailLines: 0 })).toBe('');
    expect(await read(path, { tailLines: 9 })).toBe('one\ntwo\nthree\n');
    expect(await read(path, { since: new Date('2026-01-01T00:00:03Z') })).toBe('three\n');
    expect(await read(path, { limitBytes: 5 })).toBe('one\nt');
  });

  test('an unfinished last line is a line, and gets no end', async () => {
    const path = await logOf(
      '2026-01-01T00:00:01.000000000Z stdout F one',
      '2026-01-01T00:00:02.000000000Z stdout P tw',
      '2026-01-01T00:00:02.000000000Z stdout P o',
    );
    expect(await read(path, { tailLines: 1 })).toBe('two');
    expect(await read(path, { tailLines: 2 })).toBe('one\ntwo');
    expect(await read(path, { tailLines: 0 })).toBe('');
  });

  test('following sees what is written later, and ends with the container', async () => {
    const path = join(await temporaryFolder('log-'), 'pod/0.log');
    const log = await LogFile.create(path);
    const source = new PassThrough();
    log.consume('stdout', source);
    source.write('first\n');
    await once(log, 'append');
    const text = read(path, { follow: true }, log);
    source.write('second\nunfinished');
    source.end();
    expect(await text).toBe('first\nsecond\nunfinished');
  });
});
