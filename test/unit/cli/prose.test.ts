import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnsOf, wrapProse } from '#cli/prose.js';

describe('prose', () => {
  it('breaks between words and hangs further lines', () => {
    const text = 'the CNI agent on node-2 has not answered since 10:41, so nothing is known about its pods';
    expect(wrapProse(text, 60, { indent: 2, hanging: 7 })).toBe(
      [
        '  the CNI agent on node-2 has not answered since 10:41, so',
        '       nothing is known about its pods',
      ].join('\n'),
    );
  });

  it('lets a long word run over the margin rather than break it', () => {
    const identity = 'spiffe://cluster.local/ns/a-rather-long-namespace/sa/a-rather-long-service-account';
    expect(wrapProse(`caller ${identity} was refused`, 60).split('\n')).toEqual([
      'caller',
      identity,
      'was refused',
    ]);
  });

  it('keeps a command that fits on a line in one piece', () => {
    const text =
      'the namespace uses a waypoint that is missing; run "meshctl waypoint apply -n shop --name w"';
    expect(wrapProse(text, 80, { hanging: 2 })).toBe(
      'the namespace uses a waypoint that is missing; run\n  "meshctl waypoint apply -n shop --name w"',
    );
  });

  it('keeps line breaks and their indentation, and spaces of lines that fit', () => {
    expect(wrapProse('one:\n  a   b\n\ntwo', 60, { indent: 2 })).toBe('  one:\n    a   b\n\n  two');
  });

  it('does not wrap without a margin', () => {
    const text = 'word '.repeat(100).trim();
    expect(wrapProse(text, Number.POSITIVE_INFINITY)).toBe(text);
  });

  it('keeps every word and the margin, whatever it is given', () => {
    const word = fc.stringMatching(/^[a-z:/."`-]{1,30}$/);
    const words = fc.array(word, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        words,
        fc.integer({ min: 60, max: 250 }),
        fc.integer({ min: 0, max: 20 }),
        (all, width, hanging) => {
          const wrapped = wrapProse(all.join(' '), width, { hanging });
          expect(wrapped.split(/\s+/).filter(Boolean)).toEqual(all);
          for (const line of wrapped.split('\n')) expect(columnsOf(line)).toBeLessThanOrEqual(width);
        },
      ),
    );
  });

  it('counts no columns for colors', () => {
    const red = '\u001b[31mred\u001b[39m';
    expect(columnsOf(red)).toBe(3);
    const colored = wrapProse(`${red} `.repeat(30).trim(), 60);
    expect(stripVTControlCharacters(colored)).toBe(wrapProse('red '.repeat(30).trim(), 60));
  });
});
