#!/usr/bin/env node
import { main } from '../dist/meshd.js';

process.exitCode = await main(process.argv.slice(2), process.env);
