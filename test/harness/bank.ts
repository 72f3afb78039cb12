import { expect } from 'vitest';
import type { KubeClient } from '#base/kube/client.js';
import { execInPod } from '#base/kube/exec.js';
import type { Pod } from '#base/kube/types.js';
import { applyFile, readyPods, waitForPods } from './cluster.js';
import type { TestSandbox } from './sandbox.js';

export const bank = 'bank-of-ambient';

/** Applies the sample application and waits until its pods are ready. */
export async function deployBank(client: KubeClient): Promise<void> {
  await applyFile(client, 'test/e2e/fixtures/bank.yaml');
  const expected = [
    [bank, 'app=sleep', 1],
    [bank, 'app=loadgenerator', 1],
    [bank, 'app=frontend', 2],
    ['outside', 'app=sleep', 1],
  ] as const;
  await Promise.all(
    expected.map(([namespace, labelSelector, count]) =>
      waitForPods(client, { namespace, labelSelector, count }),
    ),
  );
}

/** Installs the ambient profile; throws what install printed when it fails. */
export async function installMesh(sandbox: TestSandbox): Promise<void> {
  const outcome = await sandbox.meshctl(['install', '--profile', 'ambient']);
  if (outcome.exitCode !== 0)
    throw new Error(`install ended with ${outcome.exitCode}: ${outcome.stderr}${outcome.stdout}`);
}

/** Enrolls a namespace and waits for the proof; throws what enroll printed when it fails. */
export async function enrollNamespace(sandbox: TestSandbox, namespace: string): Promise<void> {
  const outcome = await sandbox.meshctl(['enroll', namespace, '--wait']);
  if (outcome.exitCode !== 0)
    throw new Error(`enroll ended with ${outcome.exitCode}: ${outcome.stderr}${outcome.stdout}`);
}

export interface Answer {
  /** curl's exit code: 0 when there was an HTTP answer. */
  readonly exitCode: number;
  /** HTTP status, 0 without an answer. */
  readonly status: number;
  readonly body: string;
  readonly stderr: string;
}

/** One request by the tool's curl in the pod with a label. */
export async function curlFrom(
  client: KubeClient,
  from: { readonly namespace: string; readonly app: string },
  ...args: readonly string[]
): Promise<Answer> {
  const pod = await onePod(client, from.namespace, `app=${from.app}`);
  const result = await execInPod(client, {
    namespace: from.namespace,
    pod: pod.metadata.name,
    container: pod.spec.containers[0]?.name ?? '',
    command: ['curl', '-sS', '-m', '5', '-w', '\n%{http_code}', ...args],
  });
  const lines = result.stdout.trimEnd().split('\n');
  const status = Number(lines.pop() ?? 0);
  return { exitCode: result.exitCode, status, body: lines.join('\n'), stderr: result.stderr.trim() };
}

/**
 * Asserts that a request was sent and that nobody answered it: curl could not connect (7), or its connection ended before
 * an answer (52, 55, 56). Names that do not resolve, time-outs and a command that could not run are something else.
 */
export function expectRefused(answer: Answer): void {
  expect([7, 52, 55, 56], `${answer.status} ${answer.stderr}`).toContain(answer.exitCode);
  expect(answer.status).toBe(0);
}

/**
 * Asserts that a request was sent and that nobody answered it, in time or at all: where packets vanish it times out (28),
 * else as {@link expectRefused} says.
 */
export function expectUnanswered(answer: Answer): void {
  expect([7, 28, 52, 55, 56], `${answer.status} ${answer.stderr}`).toContain(answer.exitCode);
  expect(answer.status).toBe(0);
}

/** The first ready pod with a label. */
export async function onePod(client: KubeClient, namespace: string, labelSelector: string): Promise<Pod> {
  const [pod] = await readyPods(client, namespace, labelSelector);
  if (pod === undefined) throw new Error(`no ready pod with ${labelSelector} in ${namespace}`);
  return pod;
}

export const sleep = { namespace: bank, app: 'sleep' } as const;
export const loadgenerator = { namespace: bank, app: 'loadgenerator' } as const;
export const outsider = { namespace: 'outside', app: 'sleep' } as const;
