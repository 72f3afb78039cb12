import { describe, expect, it } from 'vitest';
import { parseArguments } from '#cli/parse.js';
import { execCommand } from '#cli/commands/sandbox.js';

const entry = {
  path: 'sandbox exec',
  summary: 'run a command on a node',
  load: () => Promise.resolve({ command: execCommand }),
};

function parsed(...args: string[]): { args: readonly string[]; name: string | undefined } {
  const result = parseArguments(entry, execCommand, args);
  if (result.what === 'help') throw new Error('help');
  return { args: result.args, name: result.options.text('name') };
}

describe('a command that runs another', () => {
  it.each([
    [['node-1', '--name', 'ci', '--', 'ip', '-4', 'addr']],
    [['--name', 'ci', 'node-1', '--', 'ip', '-4', 'addr']],
    [['node-1', '--name=ci', 'ip', '-4', 'addr']],
    [['--name', 'ci', '--', 'node-1', 'ip', '-4', 'addr']],
  ])('reads its own flags wherever they stand before it: %j', (args) => {
    expect(parsed(...args)).toEqual({ args: ['node-1', 'ip', '-4', 'addr'], name: 'ci' });
  });

  it('leaves everything after -- to the other', () => {
    const rest = ['sh', '-c', 'x', '--name', 'other', '--', '--help', '-o', 'json'];
    expect(parsed('node-1', '--name', 'ci', '--', ...rest)).toEqual({
      args: ['node-1', ...rest],
      name: 'ci',
    });
    expect(parsed('node-1', '--name', 'ci', ...rest).args).toEqual(['node-1', ...rest]);
  });

  it('refuses flags it does not know', () => {
    expect(() => parsed('node-1', '--nmae', 'ci', '--', 'ip')).toThrow(/--nmae/);
  });

  it('needs a command', () => {
    expect(() => parsed('node-1', '--name', 'ci')).toThrow(/command/);
  });
});
