import type { ServedResource } from '../registry/resource.js';
import { type BuiltinSchemas, builtinSchemas } from '../schema/builtin-schema.js';
import { accessRows } from './table/access.js';
import { coreRows } from './table/core.js';
import { machineryRows } from './table/machinery.js';
import { networkRows } from './table/network.js';
import { type Rows, toResource } from './table/row.js';
import { workloadRows } from './table/workloads.js';

const rows: Rows = { ...coreRows, ...workloadRows, ...accessRows, ...networkRows, ...machineryRows };

/** Group versions in the order of discovery: clients take the first group that knows a short name. */
const order = [
  'v1',
  'apiregistration.k8s.io/v1',
  'apps/v1',
  'events.k8s.io/v1',
  'authentication.k8s.io/v1',
  'authorization.k8s.io/v1',
  'autoscaling/v2',
  'autoscaling/v1',
  'batch/v1',
  'certificates.k8s.io/v1',
  'networking.k8s.io/v1',
  'policy/v1',
  'rbac.authorization.k8s.io/v1',
  'storage.k8s.io/v1',
  'admissionregistration.k8s.io/v1',
  'apiextensions.k8s.io/v1',
  'scheduling.k8s.io/v1',
  'coordination.k8s.io/v1',
  'node.k8s.io/v1',
  'discovery.k8s.io/v1',
  'flowcontrol.apiserver.k8s.io/v1',
];

/** Builds the table of built-in resources. */
export function builtinResources(schemas: BuiltinSchemas = builtinSchemas): ServedResource[] {
  return order.flatMap((gv) => (rows[gv] ?? []).map((row) => toResource(gv, row, schemas)));
}
