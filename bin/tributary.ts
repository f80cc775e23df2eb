#!/usr/bin/env node
import { runProcess } from '../lib/cli/process.ts'

await runProcess()
