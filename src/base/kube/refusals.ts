/** Something that the API server did not let the user do. */
interface Refusal {
  readonly verb: string;
  /** With its group behind a dot, and its subresource. */
  readonly resource: string;
  /** `in the namespace "shop"` or `at the cluster scope`, as the API server says it. */
  readonly place: string;
}

const refusalsMax = 1_000;

/** What the API server has refused, by its answers: each verb, resource and place once, until somebody tells of it. */
export class Refusals {
  readonly #known = new Map<string, Refusal>();

  /** Takes note of an answer with status 403; others say nothing of permissions. */
  note(message: string): void {
    const refusal = refusalIn(message);
    if (refusal !== undefined && this.#known.size < refusalsMax) this.#known.set(keyOf(refusal), refusal);
  }

  /** Somebody says so already. */
  drop(message: string): void {
    const refusal = refusalIn(message);
    if (refusal !== undefined) this.#known.delete(keyOf(refusal));
  }

  /** Those that nothing in a text tells of, a line for each verb and place: `list pods, services in the namespace "shop"`. */
  unsaidIn(text: string): readonly string[] {
    const said = new Set(text.split('\n').flatMap((line) => refusalsIn(line).map(keyOf)));
    return refusalLines([...this.#known].filter(([key]) => !said.has(key)).map(([, refusal]) => refusal));
  }
}

/** Answers of the API server in short, a line for each verb and place. */
export function refusalText(messages: readonly string[]): readonly string[] {
  return refusalLines(messages.flatMap((message) => refusalsIn(message)));
}

function refusalLines(refusals: readonly Refusal[]): readonly string[] {
  const lines = new Map<string, Set<string>>();
  for (const { verb, resource, place } of refusals) {
    const key = JSON.stringify([verb, place]);
    lines.set(key, (lines.get(key) ?? new Set()).add(resource));
  }
  return [...lines]
    .map(([key, resources]) => {
      const [verb, place] = JSON.parse(key) as [string, string];
      return `${verb} ${[...resources].sort().join(', ')} ${place}`;
    })
    .sort();
}

function refusalIn(message: string): Refusal | undefined {
  return refusalsIn(message)[0];
}

function refusalsIn(text: string): readonly Refusal[] {
  const words =
    /cannot (\S+) resource \\*"([^"\\]+)\\*" in API group \\*"([^"\\]*)\\*" (at the cluster scope|in the namespace \\*"[^"\\]+\\*")/g;
  return [...text.matchAll(words)].map(([, verb = '', plural = '', group = '', place = '']) => {
    const [name = '', ...sub] = plural.split('/');
    return {
      verb,
      resource: [group === '' ? name : `${name}.${group}`, ...sub].join('/'),
      place: place.replaceAll('\\', ''),
    };
  });
}

function keyOf({ verb, resource, place }: Refusal): string {
  return `${verb} ${resource} ${place}`;
}
