// npm run quickstart | check | docs | bench | images: prepares the machine, then runs the job.
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { prepare } from './prepare.mjs';

process.chdir(resolve(dirname(fileURLToPath(import.meta.url)), '..'));
// Debian keeps iptables and its like where an ordinary user's PATH does not look.
process.env.PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

const jobs = {
  quickstart: () => import(pathToFileURL(resolve('dist/quickstart.js')).href),
  check: () => import('./check.mjs'),
  images: () => import(pathToFileURL(resolve('dist/images.js')).href),
  docs: () => import(pathToFileURL(resolve('dist/docs.js')).href),
  bench: () => import(pathToFileURL(resolve('dist/bench.js')).href),
};

const job = jobs[process.argv[2]];
if (job === undefined) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(jobs).join('|')}`);
  process.exit(2);
}
if (!prepare({ isForTests: process.argv[2] === 'check' })) process.exit(1);
const { main } = await job();
process.exitCode = await main(process.argv.slice(3));
