/**
 * Takes a step and then reports what is there now, also when the step failed: what could not be created must not
 * hide what is. Fails as the step did, so that it is tried again.
 */
export async function reportAfter<T>(
  step: () => Promise<void>,
  report: (failure: unknown) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  try {
    await step();
  } catch (error) {
    failure = error;
  }
  const result = await report(failure);
  if (failure !== undefined) throw failure;
  return result;
}
