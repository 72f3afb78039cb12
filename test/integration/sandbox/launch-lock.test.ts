import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { lockPath, withLaunchLock } from '#sandbox/launcher/launch-lock.js';
import { tryLockFile } from '#sandbox/base/file-lock.js';

const base = mkdtempSync(join(tmpdir(), 'launch-lock-'));
const folder = join(base, 'state/sandbox');
afterAll(() => rmSync(base, { recursive: true }));

test('work on the same sandbox takes turns, and the lock is gone afterwards', async () => {
  let inside = 0;
  const seen: number[] = [];
  const work = async (): Promise<void> => {
    seen.push(++inside);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    inside--;
  };
  await Promise.all(Array.from({ length: 8 }, () => withLaunchLock(folder, { timeoutMs: 20_000 }, work)));
  expect(seen).toEqual(Array.from({ length: 8 }, () => 1));
  expect(existsSync(lockPath(folder))).toBe(false);
});

test('work that fails gives the lock back', async () => {
  const failing = withLaunchLock(folder, { timeoutMs: 1_000 }, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(await withLaunchLock(folder, { timeoutMs: 1_000 }, () => Promise.resolve('done'))).toBe('done');
});

test('a lock that is held is waited for, with a bound, and the one who waits is told', async () => {
  const held = tryLockFile(lockPath(folder));
  let told = 0;
  const waiting = withLaunchLock(folder, { timeoutMs: 120, onTaken: () => told++ }, () => Promise.resolve());
  await expect(waiting).rejects.toMatchObject({ code: 'MESH0806' });
  expect(told).toBeGreaterThan(1);
  held?.release();
});

test('the lock of a process that was killed, or of an earlier version, is free', async () => {
  const holder = spawn('flock', [lockPath(folder), 'sh', '-c', 'echo held; exec sleep infinity'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  await once(holder.stdout, 'data');
  expect(tryLockFile(lockPath(folder))).toBeUndefined();
  process.kill(-(holder.pid ?? 0), 'SIGKILL');
  await once(holder, 'exit');
  await withLaunchLock(folder, { timeoutMs: 10_000 }, () => Promise.resolve());
  writeFileSync(lockPath(folder), '{"pid":1,"startTicks":1}');
  await withLaunchLock(folder, { timeoutMs: 1_000 }, () => Promise.resolve());
  expect(existsSync(lockPath(folder))).toBe(false);
});
