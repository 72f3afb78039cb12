import { runInProcess } from '../../harness/in-process.js';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';

const meshctl = (...args: string[]) => runInProcess(args);

describe('exit codes and streams', () => {
  it('prints data on stdout only', async () => {
    const result = await meshctl('version', '--client');
    expect(result).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^client: \d+\.\d+\.\d+\n$/),
      stderr: '',
    });
  });

  it.each([
    [['versoin'], 'MESH0100', 'meshctl version'],
    [['version', '--clinet'], 'MESH0101', '--client'],
    [['version', '-o', 'jsn'], 'MESH0103', 'json'],
    [['version', '--timeout', 'soon'], 'MESH0103', '30s'],
    [['version', 'surplus'], 'MESH0102', '--help'],
    [['version', '--context'], 'MESH0101', '--help'],
    [['explain', 'MESH010'], 'MESH0108', 'MESH0100'],
    [['--bogus', 'version'], 'MESH0101', '--help'],
  ])('%j is a usage error that suggests', async (args, code, suggestion) => {
    const result = await meshctl(...args);
    expect(result.code).toBe(2);
    expect(result.stdout).toBe('');
    expect(result.stderr).toContain(code);
    expect(result.stderr).toContain(suggestion);
  });

  it.each(['json', 'yaml'])('prints one error document with -o %s', async (format) => {
    const result = await meshctl('version', '--clinet', '-o', format);
    expect(result.code).toBe(2);
    expect(parse(result.stdout)).toMatchObject({
      apiVersion: 'meshctl.dev/v1',
      kind: 'Error',
      code: 'MESH0101',
      reason: 'usage',
      exitCode: 2,
    });
  });

  it('treats a bare invocation as incomplete and --help as fine', async () => {
    expect((await meshctl()).code).toBe(2);
    const help = await meshctl('--help');
    expect(help.code).toBe(0);
    expect(help.stdout).toContain('Usage: meshctl');
  });
});

describe('an incomplete command', () => {
  it.each(['zc', 'ztunnel-config'])('%s shows what can follow, by its one name', async (word) => {
    const { code, stdout, stderr } = await meshctl(word);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^What a node proxy is configured with\./);
    expect(stderr).toMatch(/^ {2}workload {2,}\S/m);
  });

  it.each([[['zc']], [['waypoint']], [[]]])('%j is an error document with -o json', async (words) => {
    const { code, stdout } = await meshctl(...words, '-o', 'json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'Error', code: 'MESH0109', exitCode: 2 });
  });
});

describe('version', () => {
  it('tells its own when the cluster tells nothing', async () => {
    const { code, stdout, stderr } = await meshctl('version', '-c', '/nonexistent');
    expect({ code, stdout }).toEqual({ code: 3, stdout: expect.stringMatching(/^client: \d/) });
    expect(stderr).toContain('MESH0208');
    const document = await meshctl('version', '-c', '/nonexistent', '-o', 'json');
    expect(document.code).toBe(3);
    expect(JSON.parse(document.stdout)).toMatchObject({
      kind: 'Version',
      client: { version: expect.stringMatching(/^\d/) },
      error: { code: 'MESH0208' },
    });
  });

  it.each(['--remote=false', '--client=true', '--no-remote'])('takes %s', async (flag) => {
    expect(await meshctl('version', flag, '-c', '/nonexistent')).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(['--client=false', '--remote', '--remote=true'])('asks the cluster with %s', async (flag) => {
    expect((await meshctl('version', flag, '-c', '/nonexistent')).code).toBe(3);
  });

  it('refuses what is neither true nor false', async () => {
    const { code, stderr } = await meshctl('version', '--client=maybe');
    expect(code).toBe(2);
    expect(stderr).toContain('neither true nor false');
  });
});

describe('finding the command', () => {
  it.each([
    ['-n', 'shop', 'version', '--client'],
    ['version', '--client', '-n', 'shop'],
    ['--istioNamespace=mesh', 'version', '--client'],
    ['-nshop', 'version', '--client'],
    ['x', 'version', '--client'],
    ['experimental', 'version', '--client'],
    ['--version'],
  ])('%j', async (...args) => {
    expect(await meshctl(...args)).toMatchObject({ code: 0, stderr: '' });
  });

  it('shows the help of a command however it is asked for', async () => {
    for (const args of [
      ['version', '--help'],
      ['version', '-h'],
      ['help', 'version'],
    ]) {
      const result = await meshctl(...args);
      expect(result.code).toBe(0);
      expect(result.stdout).toContain('--client');
    }
  });
});

describe('explain', () => {
  it('lists every code with its exit code', async () => {
    const result = await meshctl('explain', '-o', 'json');
    const { items } = JSON.parse(result.stdout) as { items: { code: string; exitCode: number }[] };
    expect(items.find((i) => i.code === 'MESH0104')?.exitCode).toBe(2);
  });

  it('is a document of its own kind', async () => {
    const { stdout } = await meshctl('explain', 'MESH0104', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      apiVersion: 'meshctl.dev/v1',
      kind: 'ErrorCode',
      code: 'MESH0104',
      reason: 'usage',
    });
  });

  it('accepts the bare number', async () => {
    expect((await meshctl('explain', '0104')).stdout).toContain('Confirmation needed');
  });
});
