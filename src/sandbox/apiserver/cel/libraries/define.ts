import type { Environment } from '@marcbachmann/cel-js';

/** A function as the CEL library calls it: arguments of the types its signature names. */
export type CelFunction = (...args: never[]) => unknown;

/** Registers synchronous functions by signature. */
export function define(environment: Environment, functions: Readonly<Record<string, CelFunction>>): void {
  for (const [signature, handler] of Object.entries(functions)) {
    environment.registerFunction(signature, handler as (...args: unknown[]) => unknown, { async: false });
  }
}
