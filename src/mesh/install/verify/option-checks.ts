import type { MeshObserver } from '../../inspect/mesh-observer.js';
import { observeRunningOptions, optionDifferences } from '../../inspect/running-options.js';
import { enrollmentConfigMap } from '../../rules/enrollment-config.js';
import { meshConfigMap } from '../../rules/mesh-config.js';
import { subjectOf } from '../../inspect/findings/finding.js';
import { type Check, check } from './check.js';

/** Every component goes by the mesh options as they are: none runs with those of before. */
export async function checkMeshOptions(observer: MeshObserver): Promise<Check[]> {
  const [settings, running] = await Promise.all([observer.settings(), observeRunningOptions(observer)]);
  const readable = check({
    area: 'options',
    subject: `ConfigMap ${observer.meshNamespace}/${meshConfigMap.name}`,
    fact: 'holds mesh options that can be read',
    code: 'MESH0337',
    problem: settings.meshProblem,
  });
  const enrollment = check({
    area: 'options',
    subject: `ConfigMap ${observer.meshNamespace}/${enrollmentConfigMap}`,
    fact: 'holds enrollment rules that can be read',
    code: 'MESH0337',
    problem: settings.enrollmentProblem,
  });
  const ofComponents = running.map(({ pod, workload, options }) => {
    const problems =
      options.value === undefined
        ? [`its mesh options could not be asked for: ${options.why}`]
        : optionDifferences(options.value, settings.mesh);
    return check({
      area: 'options',
      subject: `Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
      fact: 'goes by the current mesh options',
      code: 'MESH0337',
      problem: problems.length === 0 ? undefined : problems.join('; '),
      dependsOn: [
        ...(pod.spec.nodeName === undefined ? [] : [{ kind: 'Node', name: pod.spec.nodeName }]),
        subjectOf({ kind: 'Pod', metadata: pod.metadata }),
        ...(workload === undefined ? [] : [workload]),
      ],
      fix: `kubectl delete pod ${pod.metadata.name} -n ${pod.metadata.namespace}: its successor starts with the current options`,
    });
  });
  // Without the intent nothing can be compared with it.
  const ofSettings = [readable, enrollment];
  return settings.meshProblem === undefined ? [...ofSettings, ...ofComponents] : ofSettings;
}
