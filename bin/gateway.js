#!/usr/bin/env node
import { main } from '../dist/gateway.js';

process.exitCode = await main(process.argv.slice(2), process.env);
