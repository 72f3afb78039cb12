import { type ContainerSpec, containerNamed, type KubeletEnvVar } from '../model/pod.js';
import { type DownwardContext, fieldValue, resourceValue } from '../model/downward.js';
import { expandVariables } from '../model/expand.js';
import type { ObjectSource, SourceKind } from '../model/object-source.js';
import { ContainerConfigError } from '../model/config-error.js';
import { serviceEnvironment } from './service-environment.js';

export interface EnvironmentInput {
  readonly container: ContainerSpec;
  readonly context: DownwardContext;
  readonly objects: ObjectSource;
  /** Variables of the image, weakest. */
  readonly imageEnv: Readonly<Record<string, string>>;
  readonly hostname: string;
}

/** The variables of a container: image, `envFrom`, then `env` in order. Throws {@link ContainerConfigError}. */
export async function buildEnvironment(input: EnvironmentInput): Promise<Record<string, string>> {
  const { container, context } = input;
  const env: Record<string, string> = {
    ...input.imageEnv,
    HOSTNAME: input.hostname,
    ...(await serviceEnvironment(context.pod, input.objects)),
  };
  for (const source of container.envFrom ?? []) {
    const [kind, ref]: [SourceKind, { name: string; optional?: boolean } | undefined] =
      source.secretRef === undefined ? ['configmap', source.configMapRef] : ['secret', source.secretRef];
    if (ref === undefined) continue;
    const data = await input.objects.read(kind, context.pod.metadata.namespace, ref.name);
    if (data === undefined && ref.optional !== true)
      throw new ContainerConfigError(`${kind} "${ref.name}" not found`);
    for (const [key, value] of data ?? []) env[`${source.prefix ?? ''}${key}`] = value.toString('utf8');
  }
  for (const variable of container.env ?? []) {
    const value = await valueOf(variable, input, env);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

async function valueOf(
  variable: KubeletEnvVar,
  { container, context, objects }: EnvironmentInput,
  soFar: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const from = variable.valueFrom;
  if (from === undefined) return expandVariables(variable.value ?? '', soFar);
  if (from.fieldRef !== undefined) {
    const value = fieldValue(from.fieldRef.fieldPath, context);
    if (value === undefined)
      throw new ContainerConfigError(`unsupported fieldPath: ${from.fieldRef.fieldPath}`);
    return value;
  }
  if (from.resourceFieldRef !== undefined) {
    const name = from.resourceFieldRef.containerName;
    const target = name === undefined || name === '' ? container : containerNamed(context.pod, name);
    const value = target === undefined ? undefined : resourceValue(from.resourceFieldRef, target, context);
    if (value === undefined)
      throw new ContainerConfigError(`unsupported resource: ${from.resourceFieldRef.resource}`);
    return value;
  }
  const [kind, ref] =
    from.secretKeyRef === undefined
      ? (['configmap', from.configMapKeyRef] as const)
      : (['secret', from.secretKeyRef] as const);
  if (ref === undefined) return undefined;
  const data = await objects.read(kind, context.pod.metadata.namespace, ref.name);
  const value = data?.get(ref.key);
  if (value !== undefined) return value.toString('utf8');
  if (ref.optional === true) return undefined;
  throw new ContainerConfigError(
    data === undefined
      ? `${kind} "${ref.name}" not found`
      : `couldn't find key ${ref.key} in ${kind === 'secret' ? 'Secret' : 'ConfigMap'} ${context.pod.metadata.namespace}/${ref.name}`,
  );
}
