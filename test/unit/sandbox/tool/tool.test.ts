import { describe, expect, it } from 'vitest';
import { candidateNames, parseResolvConf } from '#sandbox/tool/dns.js';
import { parseFlags } from '#sandbox/tool/flags.js';
import { LatencyHistogram } from '#sandbox/tool/load/latency-histogram.js';

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
