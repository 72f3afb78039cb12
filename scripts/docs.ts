import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandDocuments } from './command-documents.js';
import { errorCodesDocument } from './error-codes-document.js';

/** Folders that hold what is written here and nothing else. */
const folders = ['docs/commands', 'man'];

/** `npm run docs`: writes the pages about the commands and docs/errors.md; resolves to the exit code. */
export async function main(): Promise<number> {
  const pages = await commandDocuments();
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (!pages.has(`${folder}/${name}`)) rmSync(join(folder, name));
  }
  for (const [path, text] of pages) writeFileSync(path, text);
  writeFileSync('docs/errors.md', errorCodesDocument());
  console.log(`${pages.size} pages in ${folders.join(' and ')}, and docs/errors.md`);
  return 0;
}
