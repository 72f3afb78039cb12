#!/usr/bin/env node
import { main } from '../dist/ztunnel.js';

process.exitCode = await main(process.argv.slice(2), process.env);
