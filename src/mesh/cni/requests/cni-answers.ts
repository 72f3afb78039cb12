import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import { addressesInResult, type CniConf, parseCniConf } from './cni-conf.js';
import { CniError, cniErrorCodes } from './cni-error.js';
import { parseCniRequest } from './cni-request.js';

/** A pod that a container runtime is about to start. */
export interface StartingPod {
  readonly namespace: string;
  readonly name: string;
  /** Undefined when the runtime does not tell. */
  readonly uid: string | undefined;
  /** Path of its network namespace as the node sees it. */
  readonly netns: string;
  /** Empty when no plugin before ours gave it any. */
  readonly ips: readonly string[];
}

export interface CniAnswerDeps {
  /** Resolves when the pod may start: captured, or not in the mesh. Rejects when it must not start yet. */
  readonly admit: (pod: StartingPod) => Promise<void>;
  /** What is wrong with the redirection of a pod in the mesh; empty when nothing is, or it is not in the mesh. */
  readonly check: (pod: { readonly namespace: string; readonly name: string }) => Promise<readonly string[]>;
  readonly log: Logger;
}

/** What the plugin hands the runtime: text for stdout, and its exit code. */
export interface CniAnswer {
  readonly exitCode: 0 | 1;
  /** JSON on one line; empty when the specification wants none. */
  readonly text: string;
}

/** Answers a request of the plugin. Never rejects: what goes wrong is an answer too. */
export async function answerCni(text: string, deps: CniAnswerDeps): Promise<CniAnswer> {
  let conf: CniConf | undefined;
  let subject = 'a pod';
  try {
    const request = parseCniRequest(text);
    const { namespace, name } = request.pod;
    subject = `Pod ${namespace}/${name}`;
    conf = parseCniConf(request.conf);
    const isOfKubernetes = namespace !== '' && name !== '';
    if (request.command === 'ADD') {
      if (isOfKubernetes) {
        if (request.netns === '')
          throw new CniError(cniErrorCodes.invalidEnvironment, 'CNI_NETNS is not set');
        await deps.admit({ ...request.pod, netns: request.netns, ips: addressesInResult(conf.prevResult) });
      }
      // ADD hands on the result of the plugins before it.
      return { exitCode: 0, text: JSON.stringify(conf.prevResult ?? { cniVersion: conf.cniVersion }) };
    }
    if (request.command === 'CHECK') {
      const wrong = isOfKubernetes ? await deps.check(request.pod) : [];
      if (wrong.length > 0)
        throw new CniError(cniErrorCodes.agentRefused, `${subject} is not captured`, wrong.join('; '));
      return { exitCode: 0, text: '' };
    }
    throw new CniError(
      cniErrorCodes.invalidEnvironment,
      `CNI_COMMAND ${request.command} is not for the agent`,
    );
  } catch (error) {
    const failure = error instanceof CniError ? error : refusal(subject, error);
    deps.log.warn('a pod may not start yet', {
      pod: subject,
      error: failure.message,
      details: failure.details,
    });
    return { exitCode: 1, text: JSON.stringify(failure.toResult(conf?.cniVersion ?? '1.0.0')) };
  }
}

function refusal(subject: string, error: unknown): CniError {
  const { code, evidence } = error instanceof MeshError ? error : {};
  const details = [messageOf(error), ...(evidence === undefined ? [] : [evidence])].join(': ');
  return new CniError(
    cniErrorCodes.agentRefused,
    `${subject} could not be added to the mesh`,
    code === undefined ? details : `${code}: ${details}`,
  );
}
