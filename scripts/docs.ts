import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandDocuments } from './command-documents.js';

/** Folders that hold what is written here and nothing else. */
const folders = ['docs/commands', 'man'];

/** `npm run docs`: writes the pages about the commands; resolves to the exit code. */
export async function main(): Promise<number> {
  const pages = await commandDocuments();
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (!pages.has(`${folder}/${name}`)) rmSync(join(folder, name));
  }
  for (const [path, text] of pages) writeFileSync(path, text);
  console.log(`${pages.size} pages in ${folders.join(' and ')}`);
  return 0;
}
