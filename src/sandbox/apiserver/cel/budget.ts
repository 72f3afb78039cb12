/**
 * What an evaluation may cost, in units of about one step each: the limits
 * Kubernetes sets for one expression and for all expressions on one object.
 */
export const costLimits = { perExpression: 1_000_000, perObject: 10_000_000 } as const;
/** Wall-clock bound for all expressions on one object, whatever they cost. */
const timeMaxMs = 5_000;
const clockEvery = 1024;

/** Raised inside an evaluation that has used up what it may cost. */
export class CostExceeded extends Error {
  override readonly name = 'CostExceeded';

  constructor() {
    super('operation canceled: actual cost limit exceeded');
  }
}

/** What is left to spend on the expressions of one object. */
export class CostBudget {
  #left: number;
  #inExpression = 0;
  #ticks = 0;
  readonly #deadline: number;

  constructor(total: number = costLimits.perObject) {
    this.#left = total;
    this.#deadline = Date.now() + timeMaxMs;
  }

  /** Whether nothing more can be evaluated. */
  get isSpent(): boolean {
    return this.#left < 0;
  }

  /** Whether the expression that ran last went over its own limit or the object's. */
  get isExceeded(): boolean {
    return this.#left < 0 || this.#inExpression > costLimits.perExpression;
  }

  begin(): void {
    this.#inExpression = 0;
  }

  /** Throws CostExceeded once the limit is passed, and on every call after that. */
  charge(cost: number): void {
    this.#left -= cost;
    this.#inExpression += cost;
    if (++this.#ticks % clockEvery === 0 && Date.now() > this.#deadline) this.#left = -1;
    if (this.isExceeded) throw new CostExceeded();
  }
}

let current: CostBudget | undefined;

/** Evaluation is synchronous: library functions charge whoever evaluates right now. */
export function charge(cost: number): void {
  current?.charge(cost);
}

/** Runs an evaluation on a budget. Throws CostExceeded even if the expression swallowed that error (`||` may). */
export function spending<T>(budget: CostBudget, run: () => T): T {
  const outer = current;
  // An expression evaluated on behalf of another one counts for both.
  if (outer !== budget) budget.begin();
  current = budget;
  try {
    const result = run();
    if (budget.isExceeded) throw new CostExceeded();
    return result;
  } finally {
    current = outer;
  }
}

/** Cost of going through a text or list of this size. */
export function sizeCost(size: number): number {
  return 1 + size / 10;
}
