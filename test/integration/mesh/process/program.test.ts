import { afterEach, describe, expect, it } from 'vitest';
import { MeshError } from '#base/errors/mesh-error.js';
import { untilAborted } from '#base/system/until.js';
import { currentLogLevel, setLogLevel, setLogOutput } from '#base/telemetry/log.js';
import { runProgram, withoutLogLevel } from '#mesh/process/program.js';

afterEach(() => {
  setLogOutput((line) => process.stdout.write(line));
  setLogLevel('info', { reset: true });
});

function logLines(): string[] {
  const lines: string[] = [];
  setLogOutput((line) => lines.push(line));
  return lines;
}

describe('runProgram', () => {
  it('runs until a signal, and gives the signals back', async () => {
    const lines = logLines();
    const before = process.listenerCount('SIGTERM');
    const ended = runProgram({
      name: 'test',
      args: ['--log_output_level', 'default:debug'],
      run: async ({ signal, log }) => {
        log.debug('working');
        setImmediate(() => process.kill(process.pid, 'SIGTERM'));
        await untilAborted(signal);
      },
    });
    expect(await ended).toBe(0);
    expect(process.listenerCount('SIGTERM')).toBe(before);
    expect(currentLogLevel()).toBe('debug');
    expect(lines.join('')).toMatch(/working[\s\S]*received signal\tsignal="SIGTERM"[\s\S]*shutdown complete/);
  });

  it('says code, evidence and what to do, and tells wrong settings from failures', async () => {
    const lines = logLines();
    const failing = (usageCodes: readonly string[]): Promise<number> =>
      runProgram({
        name: 'test',
        args: [],
        usageCodes,
        run: () => Promise.reject(new MeshError('MESH0708', 'bad', { evidence: 'seen', hint: 'do this' })),
      });
    expect(await failing([])).toBe(1);
    expect(await failing(['MESH0708'])).toBe(2);
    expect(lines[0]).toContain('bad\tcode="MESH0708" evidence="seen" hint="do this"');
  });

  it('leaves the other arguments alone', () => {
    expect(withoutLogLevel(['proxy', '--log_output_level', 'debug', 'x'])).toEqual(['proxy', 'x']);
    expect(withoutLogLevel(['--log_output_level=debug', '--other'])).toEqual(['--other']);
  });
});
