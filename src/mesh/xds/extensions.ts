/**
 * Extension (of an ambient Workload) that marks an unhealthy workload as terminating but still serving: the last
 * resort where nothing is healthy. Its presence is all it says. Proxies that do not know it are not disturbed.
 */
export const terminatingExtension = 'meshctl.dev/terminating';
