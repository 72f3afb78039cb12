import type { Environment } from '@marcbachmann/cel-js';
import { costLimits } from '../cel/budget.js';
import { leastWorstCost, maxElements, minBytes } from '../cel/cost-estimate.js';
import { newEnvironment } from '../cel/environment.js';
import { type FieldError, fieldError } from '../http/api-error.js';
import type { Schema } from '../schema/schema.js';

const requestMaxBytes = 3 * 1024 * 1024;
/** All rules of a definition together. */
const totalLimit = 10 * costLimits.perObject;

interface RuleCost {
  readonly field: string;
  readonly cost: number;
}

/** Rules that could cost too much on the largest objects that the schema allows. Call it for rules that compile. */
export function ruleCostErrors(schema: Schema, path: string): FieldError[] {
  const environment = newEnvironment().registerVariable('self', 'dyn').registerVariable('oldSelf', 'dyn');
  const costs: RuleCost[] = [];
  walk(schema, path, 1, environment, costs);
  const errors = costs
    .filter((c) => c.cost > costLimits.perObject)
    .map((c) => fieldError.forbidden(c.field, exceeded('estimated rule cost', c.cost, costLimits.perObject)));
  const total = costs.reduce((sum, c) => sum + c.cost, 0);
  if (total <= totalLimit) return errors;
  for (const { field, cost } of costs) {
    if (cost <= costLimits.perObject) continue;
    errors.push(
      fieldError.forbidden(
        field,
        'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema',
      ),
    );
  }
  const name = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema';
  return [...errors, fieldError.forbidden(path, exceeded(name, total, totalLimit))];
}

function exceeded(name: string, cost: number, limit: number): string {
  const times = cost / limit;
  const factor =
    times > 100 ? 'more than 100x' : times < 1.5 ? `${times.toFixed(6)}x` : `${times.toFixed(1)}x`;
  return `${name} exceeds budget by factor of ${factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}

/** Goes through a schema; `count` is how many values of this part an object can have. */
function walk(
  schema: Schema,
  path: string,
  count: number,
  environment: Environment,
  costs: RuleCost[],
): void {
  schema.rules?.forEach((rule, i) => {
    const cost = leastWorstCost(environment, rule.rule, schema) * count;
    costs.push({ field: `${path}.x-kubernetes-validations[${i}].rule`, cost });
  });
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    walk(child, `${path}.properties[${key}]`, count, environment, costs);
  }
  // However lists nest, no more values fit into a request than their size allows.
  const within = (child: Schema): number =>
    Math.min(count * maxElements(schema), Math.floor(requestMaxBytes / (minBytes(child) + 1)));
  if (schema.items !== undefined)
    walk(schema.items, `${path}.items`, within(schema.items), environment, costs);
  const extra = schema.additionalProperties;
  if (typeof extra === 'object')
    walk(extra, `${path}.additionalProperties`, within(extra), environment, costs);
}
