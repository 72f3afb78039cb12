/** Hostname by which the cluster knows a Service. */
export function serviceHostname(namespace: string, name: string, clusterDomain: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/** Resource name of a Service, `namespace/hostname`. */
export function serviceKey(namespace: string, name: string, clusterDomain: string): string {
  return `${namespace}/${serviceHostname(namespace, name, clusterDomain)}`;
}
