import type { CniPluginConfig } from './config.js';

/** A port of the node that leads to a port of the pod, as CNI's portMappings capability has it. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  /** Lower case. */
  readonly protocol: string;
  readonly hostIP?: string;
}

/** What a runtime can tell plugins about a pod (CNI conventions); each plugin gets what it asks for. */
export interface CapabilityArgs {
  readonly portMappings?: readonly PortMapping[];
  readonly 'io.kubernetes.cri.pod-annotations'?: Readonly<Record<string, string>>;
}

/** The `runtimeConfig` of a plugin; undefined when it asks for nothing that there is. */
export function runtimeConfigOf(
  plugin: CniPluginConfig,
  args: CapabilityArgs,
): Readonly<Record<string, unknown>> | undefined {
  const wanted = Object.entries(args).filter(
    ([name, value]) => plugin.capabilities?.[name] === true && value !== undefined,
  );
  return wanted.length === 0 ? undefined : Object.fromEntries(wanted);
}

interface PortedContainer {
  readonly ports?:
    | readonly {
        readonly hostPort?: number | undefined;
        readonly hostIP?: string | undefined;
        readonly containerPort: number;
        readonly protocol?: string | undefined;
      }[]
    | undefined;
}

/** The host ports that a pod's containers ask for. */
export function portMappingsOf(containers: readonly PortedContainer[]): PortMapping[] {
  return containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort = 0, hostIP = '', containerPort, protocol = 'TCP' }) =>
      hostPort === 0
        ? []
        : [
            {
              hostPort,
              containerPort,
              protocol: protocol.toLowerCase(),
              ...(hostIP === '' ? {} : { hostIP }),
            },
          ],
    ),
  );
}
