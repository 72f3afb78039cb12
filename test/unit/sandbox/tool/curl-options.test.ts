import { describe, expect, it } from 'vitest';
import { transferFailure } from '#sandbox/tool/curl/failure.js';
import { OptionError, parseCurlOptions } from '#sandbox/tool/curl/options.js';
import { expandWriteOut, noFacts } from '#sandbox/tool/curl/write-out.js';
import { candidateNames, parseResolvConf } from '#sandbox/tool/dns.js';
import { parseFlags } from '#sandbox/tool/flags.js';
import { LatencyHistogram } from '#sandbox/tool/load/latency-histogram.js';

describe('curl options', () => {
  it('reads bundled short flags with attached and separate values', () => {
    const options = parseCurlOptions([
      '-sSo',
      '/dev/null',
      '-XDELETE',
      '-w%{http_code}',
      '-m',
      '2.5',
      'host/p',
    ]);
    expect(options).toMatchObject({
      silent: true,
      showError: true,
      outputs: ['/dev/null'],
      method: 'DELETE',
      writeOut: '%{http_code}',
      maxTimeMs: 2500,
      urls: ['host/p'],
    });
  });

  it('keeps headers in order, removes with a colon, empties with a semicolon', () => {
    const { headers } = parseCurlOptions(['-H', 'A: 1', '-H', 'Accept:', '-H', 'X-Empty;', 'u']);
    expect(headers).toEqual([
      ['A', '1'],
      ['Accept', undefined],
      ['X-Empty', ''],
    ]);
  });

  it.each([
    [['-Z', 'u']],
    [['--nope', 'u']],
    [['-m', 'soon', 'u']],
    [['u', '-o']],
    [[]],
    [['--resolve', 'x', 'u']],
  ])('refuses %j', (args) => {
    expect(() => parseCurlOptions(args)).toThrow(OptionError);
  });
});

describe('write-out', () => {
  it('expands variables, headers and escapes', () => {
    const facts = { ...noFacts(), httpCode: 0, timeTotal: 0.25, headers: { server: 'x' } };
    expect(expandWriteOut('%{http_code}\\n%{time_total} %header{Server} 100%% %{nope}', facts)).toBe(
      '000\n0.250000 x 100% ',
    );
  });
});

describe('failures', () => {
  const error = (code: string, syscall?: string) =>
    Object.assign(new Error(code), { code, ...(syscall === undefined ? {} : { syscall }) });
  it.each([
    [error('ECONNRESET'), false, 52],
    [error('ECONNRESET'), true, 18],
    [error('ECONNRESET', 'read'), false, 56],
    [error('EPIPE', 'write'), false, 55],
  ])('%o after a reply: %s -> %d', (cause, hasReply, expected) => {
    expect(transferFailure(cause, { hasReply }).exitCode).toBe(expected);
  });
});

describe('resolver names', () => {
  const conf = parseResolvConf(
    'nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5 edns0\n',
  );
  it('follows search and ndots', () => {
    expect(candidateNames('web', conf)).toEqual(['web.ns.svc.cluster.local', 'web.svc.cluster.local', 'web']);
    expect(candidateNames('a.b.c.d.e.f', conf)[0]).toBe('a.b.c.d.e.f');
    expect(candidateNames('web.', conf)).toEqual(['web']);
  });
});

describe('flags', () => {
  it('take values with a blank or an equals sign', () => {
    const flags = parseFlags(['x', '--rate=5', '--name', 'n', '--', '--y'], { rate: 'number', name: 'text' });
    expect([flags.positional, flags.number('rate'), flags.text('name')]).toEqual([['x', '--y'], 5, 'n']);
    expect(() => parseFlags(['--rate', 'fast'], { rate: 'number' })).toThrow(/needs a number/);
    expect(() => parseFlags(['--constructor'], {})).toThrow(/unknown flag/);
  });
});

describe('histogram', () => {
  it('gives percentiles within two percent', () => {
    const histogram = new LatencyHistogram();
    for (let i = 1; i <= 1000; i++) histogram.record(i);
    expect(histogram.percentile(50)).toBeGreaterThanOrEqual(500);
    expect(histogram.percentile(50)).toBeLessThan(510.1);
    expect(histogram.summary().max).toBe(1000);
  });
});
