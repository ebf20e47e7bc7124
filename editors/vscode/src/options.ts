/** What the server is told of the settings. Knows their names on both sides, none of their meanings. */

import * as vscode from 'vscode'

const OPTIONS = {
  enabled: 'enabled',
  model: 'model',
  modelKeys: 'model_keys',
  server: 'server',
  unloadAfter: 'unload_after',
  deadlineMs: 'deadline_ms',
  eagerness: 'eagerness',
  minConfidence: 'min_confidence',
  contextChars: 'context_chars',
  maxFileChars: 'max_file_chars',
  maxLines: 'max_lines',
  multiline: 'multiline',
  otherFiles: 'other_files',
  menu: 'menu',
  speculate: 'speculate',
  statistics: 'statistics',
  seed: 'seed',
}

export const setting = <T>(name: string, otherwise: T): T =>
  vscode.workspace.getConfiguration('infill').get<T>(name, otherwise)

/** All of them each time, so that one that is taken back has its default again. */
export function options(): Record<string, unknown> {
  const ours = vscode.workspace.getConfiguration('infill')
  const chosen = Object.entries(OPTIONS).map(([name, option]) => [option, ours.get(name)])
  return Object.fromEntries(chosen.filter(([, value]) => value !== undefined))
}
