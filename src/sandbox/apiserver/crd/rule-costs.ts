import type { Environment } from '@marcbachmann/cel-js';
import { costLimits } from '../cel/budget.js';
import { estimatedCost, minBytes, requestMaxBytes } from '../cel/cost-estimate.js';
import { newEnvironment } from '../cel/environment.js';
import { type FieldError, fieldError } from '../api-error.js';
import type { Schema } from '../schema/schema.js';

/** All rules of a definition together. */
const totalLimit = 10 * costLimits.perObject;

/** Of the rules that make a definition too expensive this many are named. */
const shownMax = 4;

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
  const heaviest = costs.filter((c) => c.cost >= totalLimit / 100).sort((a, b) => b.cost - a.cost);
  for (const { field } of heaviest.slice(0, shownMax)) {
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

/**
 * Goes through a schema; `count` is how many values of this part an object can
 * have, undefined when only the size of a request bounds them.
 */
function walk(
  schema: Schema,
  path: string,
  count: number | undefined,
  environment: Environment,
  costs: RuleCost[],
): void {
  schema.rules?.forEach((rule, i) => {
    const times = count ?? Math.floor(requestMaxBytes / (minBytes(schema) + 1));
    const cost = estimatedCost(environment, rule.rule, schema) * times;
    costs.push({ field: `${path}.x-kubernetes-validations[${i}].rule`, cost });
  });
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    walk(child, `${path}.properties[${key}]`, count, environment, costs);
  }
  const within = (max: number | undefined): number | undefined =>
    count === undefined || max === undefined ? undefined : count * max;
  if (schema.items !== undefined)
    walk(schema.items, `${path}.items`, within(schema.maxItems), environment, costs);
  const extra = schema.additionalProperties;
  if (typeof extra === 'object')
    walk(extra, `${path}.additionalProperties`, within(schema.maxProperties), environment, costs);
}
