import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { stripVTControlCharacters } from 'node:util';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, meshctlPath } from '../../harness/meshctl.js';
import { ApiUnderTest } from '../sandbox/apiserver/api-under-test.js';

// Completion in the real shells, on terminals of their own, with the built command line and a real API server.

let api: ApiUnderTest;
/** An API server that accepts connections and says nothing. */
let silent: Server;
const folder = mkdtempSync(join(tmpdir(), 'meshctl-completion-'));
const configs = { live: join(folder, 'live.yaml'), silent: join(folder, 'silent.yaml') };

beforeAll(async () => {
  api = await ApiUnderTest.start();
  symlinkSync(meshctlPath, join(folder, 'meshctl'));
  mkdirSync(join(folder, 'home'));
  symlinkSync(api.kubeconfig, configs.live);
  await run('kubectl', '--kubeconfig', api.kubeconfig, 'create', 'namespace', 'zebra-crossing');
  silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await new Promise((resolve) => silent.once('listening', resolve));
  const address = silent.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  writeFileSync(
    configs.silent,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}` } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'nobody-home', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'nobody-home',
    }),
  );
});

afterAll(async () => {
  silent?.close();
  await api?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function run(program: string, ...args: string[]): Promise<void> {
  const { exitCode, stderr } = await command(program, args);
  if (exitCode !== 0) throw new Error(`${program}: ${stderr}`);
}

interface Shell {
  readonly name: string;
  readonly start: string;
  readonly load: string;
}

const shells: readonly Shell[] = [
  { name: 'bash', start: 'bash --norc --noprofile -i', load: 'PS1=; source <(meshctl completion bash)' },
  {
    name: 'zsh',
    start: 'zsh -f -i',
    load: 'PS1=; bindkey -e; autoload -Uz compinit; compinit -u -D; source <(meshctl completion zsh)',
  },
  {
    name: 'fish',
    start: 'fish --no-config',
    load: 'function fish_prompt; end; meshctl completion fish | source',
  },
];

/** The line that a shell makes of keys: completed, and then shown by `echo` put in front of it. */
async function completed(shell: Shell, keys: string): Promise<string> {
  const child = spawn('script', ['-qfec', shell.start, '/dev/null'], {
    env: {
      ...process.env,
      PATH: `${folder}:${process.env['PATH']}`,
      HOME: join(folder, 'home'),
      TERM: 'xterm',
      EDITOR: 'emacs',
      KUBECONFIG: configs.live,
    },
  });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text));
  const until = async (pattern: RegExp): Promise<string> => {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const found = pattern.exec(screen);
      if (found !== null) return found[1] ?? '';
      if (Date.now() > deadline) throw new Error(`${shell.name} never showed ${pattern}:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  try {
    child.stdin.write(`${shell.load}\n`);
    child.stdin.write("printf 'loa%s\\n' ded\n");
    await until(/(loaded)/);
    child.stdin.write(`${keys}\t`);
    // The shell reads on only when it has its answer; the ends of lines come with escape sequences of their own.
    child.stdin.write('\u0001echo "RES""ULT" \n');
    return stripVTControlCharacters(await until(/RESULT ([^\r\n]*)/)).trim();
  } finally {
    child.stdin.end('\nexit\n');
    child.kill();
  }
}

describe.each(shells)('$name', (shell) => {
  const isHere = spawnSync(shell.name, ['-c', 'true']).status === 0;

  it.skipIf(!isHere).each([
    ['a command', 'meshctl unenr', 'meshctl unenroll'],
    ['a command of a group', 'meshctl zc certi', 'meshctl zc certificate'],
    ['a flag', 'meshctl waypoint apply --enroll-n', 'meshctl waypoint apply --enroll-namespace'],
    ['a value', 'meshctl waypoint apply --for workl', 'meshctl waypoint apply --for workload'],
    ['a value behind =', 'meshctl version --output=js', 'meshctl version --output=json'],
    ['the name of a namespace', 'meshctl enroll zebra-', 'meshctl enroll zebra-crossing'],
    ['the name of a file', `meshctl install -f ${folder}/sil`, `meshctl install -f ${configs.silent}`],
  ])('completes %s', async (_, keys, line) => {
    expect(await completed(shell, keys)).toBe(line);
  });
});

describe('the names', () => {
  const ask = (kubeconfig: string, ...words: string[]) =>
    command(process.execPath, [meshctlPath, '__complete', ...words], { env: { KUBECONFIG: kubeconfig } });

  it('are those of the cluster', async () => {
    const { stdout } = await ask(configs.live, 'enroll', '');
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(['default', 'kube-system', 'zebra-crossing']));
  });

  it('take a second at most, and are none then', async () => {
    const startedAt = Date.now();
    const outcome = await ask(configs.silent, 'enroll', '');
    expect(outcome).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    const took = Date.now() - startedAt;
    // It was waited for; and what Node needs to start comes on top, on a busy machine more than usual.
    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(4_000);
  });

  it('need no cluster for contexts', async () => {
    expect((await ask(configs.silent, 'status', '--context', '')).stdout).toBe('nobody-home\n');
  });

  it('are none when there is no kubeconfig', async () => {
    expect(await ask('/nonexistent', 'enroll', '')).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
  });
});
