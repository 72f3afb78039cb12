import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { confirm } from '#cli/prompt.js';

function terminal() {
  const stdin = new PassThrough();
  const shown: string[] = [];
  return { io: { stdin, isInteractive: true, stderr: (text: string) => void shown.push(text) }, shown };
}

const ask = { question: 'Uninstall?', isYes: false, signal: new AbortController().signal };

it.each([
  ['y\n', true],
  ['YES\n', true],
  ['n\n', false],
  ['\n', false],
  ['yes, please\n', false],
])('%j', async (typed, wanted) => {
  const { io, shown } = terminal();
  io.stdin.write(typed);
  expect(await confirm(io, ask)).toBe(wanted);
  expect(shown).toEqual(['Uninstall? (y/N) ']);
});

it('takes an input that ends for no', async () => {
  const { io, shown } = terminal();
  io.stdin.end();
  expect(await confirm(io, ask)).toBe(false);
  expect(shown.at(-1)).toBe('\n');
});

it('stops asking when the command is interrupted', async () => {
  const { io } = terminal();
  const interrupt = new AbortController();
  const answer = confirm(io, { ...ask, signal: interrupt.signal });
  interrupt.abort(new Error('interrupted'));
  await expect(answer).rejects.toThrow('interrupted');
});

it('asks nobody where yes was said, and fails where nobody can be asked', async () => {
  const { io, shown } = terminal();
  expect(await confirm(io, { ...ask, isYes: true })).toBe(true);
  await expect(confirm({ ...io, isInteractive: false }, ask)).rejects.toMatchObject({ code: 'MESH0104' });
  expect(shown).toEqual([]);
});
