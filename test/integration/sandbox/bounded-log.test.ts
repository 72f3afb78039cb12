import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { boundedLog } from '#sandbox/supervisor/bounded-log.js';
import { temporaryFolder } from '../../harness/temporary-folder.js';

function opened(path: string): number {
  const fd = openSync(path, 'a');
  onTestFinished(() => closeSync(fd));
  return fd;
}

test('the log starts over when it is full', async () => {
  const path = join(await temporaryFolder('meshctl-log-'), 'log');
  const write = boundedLog(opened(path), 10);
  write('12345\n');
  write('678\n');
  write('9\n');
  expect(readFileSync(path, 'utf8')).toBe('9\n');
});

test('on a full disk lines are lost and nothing else', () => {
  const write = boundedLog(opened('/dev/full'));
  expect(() => write('lost\n')).not.toThrow();
});
