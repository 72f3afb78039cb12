/**
 * Replaces `$(NAME)` by the variable's value; an unknown name stays as written and
 * `$$(NAME)` yields a literal `$(NAME)` (core/v1, Container.command).
 */
export function expandVariables(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^()]*)\))/g, (whole: string, kind: string, name: string | undefined) => {
    if (kind === '$') return '$';
    return name !== undefined && Object.hasOwn(variables, name) ? (variables[name] ?? '') : whole;
  });
}
