/**
 * Extension (of an ambient Workload) that marks an unhealthy workload as terminating but still serving: the last
 * resort where nothing is healthy. Its presence is all it says. Proxies that do not know it are not disturbed.
 */
export const terminatingExtension = 'meshctl.dev/terminating';

/**
 * Extension (of an ambient Service) that keeps the calls of a client at one host. Its config is the
 * google.protobuf.Duration without a call after which the client is free again.
 */
export const affinityExtension = 'meshctl.dev/session-affinity';
