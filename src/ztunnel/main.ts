/** Entry of the process; resolves to its exit code. */
export async function main(_args: readonly string[], _env: NodeJS.ProcessEnv): Promise<number> {
  return 2;
}
