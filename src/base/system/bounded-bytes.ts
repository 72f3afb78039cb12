/**
 * All bytes of a stream, at most `maxBytes`. What is longer is not read on: the stream is destroyed and the error
 * that `tooLarge` makes is thrown, as are errors of the stream itself.
 */
export async function readBounded(
  stream: AsyncIterable<unknown>,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop destroys the stream.
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
