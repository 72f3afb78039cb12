import { beforeAll, describe, expect, it } from 'vitest';
import type { CommandDefinition, CommandEntry } from '#cli/command.js';
import { parseArguments } from '#cli/parse.js';
import { commandHelp, globalOptionsHelp } from '#cli/command-help.js';
import { groupHelp } from '#cli/help.js';
import { commandEntries, groups, sections } from '#cli/registry.js';

const definitions = new Map<CommandEntry, CommandDefinition>();
const shown = commandEntries.filter(({ hidden }) => hidden !== true);

beforeAll(async () => {
  for (const entry of commandEntries) definitions.set(entry, (await entry.load()).command);
});

function definitionOf(entry: CommandEntry): CommandDefinition {
  return definitions.get(entry) ?? { run: () => Promise.resolve(0) };
}

describe('every command', () => {
  it('stands in a section', () => {
    const words = sections.flatMap((section) => section.words);
    expect(shown.map(({ path }) => path.split(' ')[0]).filter((word) => !words.includes(word ?? ''))).toEqual(
      [],
    );
  });

  it('has examples that run it', () => {
    const lacking = shown.filter((entry) => {
      const paths = [entry.path, ...(entry.aliases ?? [])].map((path) => `meshctl ${path}`);
      const examples = definitionOf(entry).examples ?? [];
      return !examples.some((example) => paths.some((path) => example.includes(path)));
    });
    expect(lacking.map(({ path }) => path)).toEqual([]);
  });

  it('says what it needs to be permitted', () => {
    expect(
      shown.filter((entry) => definitionOf(entry).permissions === undefined).map(({ path }) => path),
    ).toEqual([]);
    for (const entry of shown) {
      for (const { verbs, resource, group, why } of definitionOf(entry).permissions ?? []) {
        expect(verbs.length, `${entry.path}: ${resource}`).toBeGreaterThan(0);
        expect(resource).toMatch(/^(?:\*|[a-z]+(?:\/[a-z]+)?)$/);
        expect(group ?? 'a.b').toMatch(/^(?:apps|batch|policy|[a-z0-9-]+(?:\.[a-z0-9-]+)+)$/);
        expect(why).toMatch(/^[a-z]/);
      }
    }
  });

  it('has examples that can be typed', () => {
    for (const entry of shown) {
      const paths = [entry.path, ...(entry.aliases ?? [])].map((path) => `meshctl ${path}`);
      for (const example of definitionOf(entry).examples ?? []) {
        for (const piece of example.split(/ (?:&&|[|>]) ?/)) {
          const path = paths.find((p) => piece.endsWith(p) || piece.includes(`${p} `));
          if (path === undefined) continue;
          const words =
            piece.slice(piece.indexOf(path) + path.length).match(/(?:"[^"]*"|'[^']*'|\S)+/g) ?? [];
          const plain = words
            .filter((word) => !/^(?:experimental|x)$/.test(word))
            .map((word) => word.replaceAll(/["']/g, ''));
          expect(() => parseArguments(entry, definitionOf(entry), plain), example).not.toThrow();
        }
      }
    }
  });

  it.each([60, 80, 120])('has help that fits into %d columns', (width) => {
    const tooLong = shown.flatMap((entry) => {
      const { examples = [] } = definitionOf(entry);
      return (
        commandHelp(entry, definitionOf(entry), width)
          .split('\n')
          .filter((line) => line.length > width && !examples.includes(line.trim()))
          // A name longer than the line stands alone on it.
          .filter((line) => line.trim().includes(' '))
      );
    });
    expect(tooLong).toEqual([]);
  });
});

describe('help', () => {
  it('groups the commands, each under one title', () => {
    const help = groupHelp('', 100);
    expect(help).toMatch(/^Install:\n/m);
    expect(help).toMatch(/^Sandbox:\n/m);
    for (const { path } of shown) {
      const word = path.split(' ')[0] ?? '';
      expect(help.match(new RegExp(`^  ${word} `, 'gm')), word).toHaveLength(1);
    }
    expect(help).not.toMatch(/^Others:/m);
  });

  it('folds the global options, but for those that matter', () => {
    const entry = commandEntries.find(({ path }) => path === 'waypoint apply');
    if (entry === undefined) throw new Error('no such command');
    const help = commandHelp(entry, definitionOf(entry), 100);
    expect(help.indexOf('--enroll-namespace')).toBeLessThan(help.indexOf('--output'));
    expect(help).toContain('default: 1m30s');
    expect(help).not.toContain('--kubeconfig');
    expect(help).toContain('"meshctl options"');
    expect(globalOptionsHelp(100)).toContain('--kubeconfig');
  });

  it('knows every group', () => {
    const words = shown.flatMap(({ path }) => {
      const all = path.split(' ');
      return all.slice(1).map((_, at) => all.slice(0, at + 1).join(' '));
    });
    expect([...new Set(words)].filter((path) => groups[path] === undefined)).toEqual([]);
  });
});
