import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import { type CommandOptions, type CommandOutcome, command, meshctl, type MeshctlRunner } from './meshctl.js';
import { makeTestFolder } from './test-user.js';

/** A sandbox of a test file: up before its tests, gone after them. */
export interface TestSandbox {
  readonly name: string;
  /** Environment in which kubectl and meshctl talk to it. */
  readonly env: Readonly<Record<string, string>>;
  readonly client: KubeClient;
  readonly meshctl: MeshctlRunner;
  readonly kubectl: (args: readonly string[], o?: CommandOptions) => Promise<CommandOutcome>;
}

/** How a test file uses its sandbox. */
export interface SandboxUse {
  /** Further flags of `sandbox up`. */
  readonly flags?: readonly string[];
  /** False when the file drives the cluster without kubectl. Without kubectl the tests of other files are skipped. */
  readonly needsKubectl?: boolean;
}

const hasKubectl = spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' }).status === 0;

/**
 * Declares the sandbox of a test file. `prepare` runs once it is up (install, apps).
 * When something failed, the state of the cluster is printed before it goes.
 */
export function useSandbox(
  name: string,
  prepare: (sandbox: TestSandbox) => Promise<void> = () => Promise.resolve(),
  { flags = [], needsKubectl = true }: SandboxUse = {},
): () => TestSandbox {
  if (needsKubectl && !hasKubectl) {
    beforeEach(({ skip }) => skip('kubectl is not installed'));
    return () => {
      throw new Error('kubectl is not installed');
    };
  }
  const dir = makeTestFolder();
  const kubeconfig = join(dir, 'kubeconfig');
  let sandbox: TestSandbox | undefined;
  const own = `e2e-${name}`;
  const env = { KUBECONFIG: kubeconfig, HOME: dir, XDG_STATE_HOME: join(dir, 'state') };

  beforeAll(async () => {
    const up = await meshctl(['sandbox', 'up', '--name', own, '--nodes', '2', '--no-kubeconfig', ...flags], {
      env,
    });
    if (up.exitCode !== 0) throw new Error(`sandbox up ended with ${up.exitCode}: ${up.stderr}${up.stdout}`);
    const config = await meshctl(['sandbox', 'kubeconfig', '--name', own], { env });
    writeFileSync(kubeconfig, config.stdout, { mode: 0o644 });
    const made: TestSandbox = {
      name: own,
      env,
      client: await KubeClient.fromKubeconfig({ kubeconfig }),
      meshctl: (args, o = {}) => meshctl(args, { ...o, env: { ...env, ...o.env } }),
      kubectl: (args, o = {}) => command('kubectl', args, { ...o, env: { ...env, ...o.env } }),
    };
    sandbox = made;
    try {
      await prepare(made);
    } catch (error) {
      process.stderr.write(await diagnosis(made));
      throw error;
    }
  });

  let hasFailed = false;
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') hasFailed = true;
  });
  afterAll(async () => {
    if (hasFailed && sandbox !== undefined) process.stderr.write(await diagnosis(sandbox));
    sandbox?.client.close();
    await meshctl(['sandbox', 'down', '--name', own], { env });
    rmSync(dir, { recursive: true, force: true });
  });

  return () => {
    if (sandbox === undefined) throw new Error('the sandbox is used before it is up');
    return sandbox;
  };
}

/** Pods, events and the last log lines of the mesh components. */
async function diagnosis(sandbox: TestSandbox): Promise<string> {
  const looks = [
    ['get', 'pods', '-A', '-o', 'wide'],
    ['get', 'events', '-A'],
    ['logs', '-n', 'istio-system', '--tail=12', '-l', 'app=istiod'],
    ['logs', '-n', 'istio-system', '--tail=12', '-l', 'app=ztunnel'],
    ['logs', '-n', 'istio-system', '--tail=12', '-l', 'k8s-app=istio-cni-node'],
  ];
  const parts: string[] = [];
  for (const look of hasKubectl ? looks : []) {
    const { stdout, stderr } = await sandbox.kubectl(look, { timeoutMs: 10_000 });
    parts.push(`--- kubectl ${look.join(' ')}\n${stdout}${stderr}`);
  }
  return `${parts.join('\n')}\n`;
}
