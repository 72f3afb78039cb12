import { autoscalingV1 } from '../kinds/autoscaling/autoscaling-v1.js';
import type { ApiObject } from '../object.js';
import type { Column } from '../registry/resource.js';
import { coreColumns } from './columns/core.js';
import { machineryColumns } from './columns/machinery.js';
import { networkColumns } from './columns/network.js';
import { storageColumns } from './columns/storage.js';
import { autoscalerColumns, workloadColumns } from './columns/workloads.js';

const storedAutoscaler = (o: ApiObject): ApiObject =>
  o.apiVersion === 'autoscaling/v1' ? autoscalingV1.toStorage(o) : o;

/** Columns of built-in kinds by qualified plural. */
export const builtinColumns: Readonly<Record<string, readonly Column[]>> = {
  ...coreColumns,
  ...workloadColumns,
  ...networkColumns,
  ...storageColumns,
  ...machineryColumns,
  'horizontalpodautoscalers.autoscaling': autoscalerColumns(storedAutoscaler),
};
