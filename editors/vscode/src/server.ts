/** Where the server's program is, and how to get one. Knows nothing of the protocol. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, mkdir } from 'node:fs/promises'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import * as vscode from 'vscode'
import { setting } from './options'

const onWindows = process.platform === 'win32'
const LINE = 80 // characters of what pip says, beside what is being done
const SCRIPTS = onWindows ? 'Scripts' : 'bin'
const PROGRAM = onWindows ? 'infill-lsp.exe' : 'infill-lsp'

/** The environment in which modules of the open project are never imported in place of ours. */
export const environment = { ...process.env, PYTHONPATH: '' }

export const ownEnvironment = (context: vscode.ExtensionContext): string =>
  path.join(context.globalStorageUri.fsPath, 'server')

/** The program, or undefined where there is none. Throws where the one that is named is not there. */
export async function findServer(context: vscode.ExtensionContext): Promise<string | undefined> {
  const named = setting('serverPath', '')
  if (named) {
    if (await runs(named)) return named
    throw new Error(`infill.serverPath names ${named}, which is no program; correct or empty it.`)
  }
  const folders = [
    await selectedPython(),
    ...(process.env.PATH ?? '').split(path.delimiter),
    path.join(ownEnvironment(context), SCRIPTS),
  ]
  // A relative entry of PATH would mean a folder of the project, whoever made that.
  for (const folder of folders) {
    if (!folder || !path.isAbsolute(folder)) continue
    const program = path.join(folder, PROGRAM)
    if (await runs(program)) return program
  }
  return undefined
}

/** The folder of the interpreter that the Python extension has selected. It may lie in the project,
 * so it counts only where the project is trusted. */
async function selectedPython(): Promise<string | undefined> {
  const python = vscode.extensions.getExtension('ms-python.python')
  if (!python || !vscode.workspace.isTrusted) return undefined
  try {
    const api = await python.activate()
    const selected: unknown = api?.environments?.getActiveEnvironmentPath?.()?.path
    return typeof selected === 'string' ? path.dirname(selected) : undefined
  } catch {
    return undefined // another extension's trouble is not ours
  }
}

const runs = (program: string): Promise<boolean> =>
  access(program, constants.X_OK).then(() => true, () => false)

/** Installs the server into an environment of its own; false when the user would rather not. */
export async function install(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const source = setting('installFrom', '') || (await askForSource())
  if (!source) return false
  const home = ownEnvironment(context)
  const python = path.join(home, SCRIPTS, onWindows ? 'python.exe' : 'python')
  const steps: [string, string, string[]][] = [
    ['making an environment', onWindows ? 'python' : 'python3', ['-m', 'venv', home]],
    ['installing', python, ['-m', 'pip', 'install', '--disable-pip-version-check', `${source}[local]`]],
    ['trying it', path.join(home, SCRIPTS, PROGRAM), ['--version']],
  ]
  await mkdir(path.dirname(home), { recursive: true })
  const location = vscode.ProgressLocation.Notification
  await vscode.window.withProgress(
    { location, title: 'Infill', cancellable: true },
    async (progress, cancelled) => {
      const ended = new AbortController()
      cancelled.onCancellationRequested(() => ended.abort())
      for (const [what, program, words] of steps) {
        progress.report({ message: what })
        const said = (line: string) => progress.report({ message: `${what}: ${line.trim().slice(0, LINE)}` })
        await run(program, words, log, { signal: ended.signal, said })
      }
    },
  )
  return true
}

async function askForSource(): Promise<string | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    title: 'The wheel of infill-lsp, or the folder with its sources',
    openLabel: 'Install',
    canSelectFiles: true,
    canSelectFolders: true,
  })
  return chosen?.[0]?.fsPath
}

interface Running {
  signal?: AbortSignal
  quiet?: boolean // what it prints on its standard output is for us, not for the log
  failure?: number // a status that is an answer, too
  said?: (line: string) => void // is told each line as it comes
}

/** Runs a program to its end, with what it prints in the log, and returns its standard output. Throws
 * with its last line when it fails. */
export async function run(
  program: string,
  words: string[],
  log: vscode.LogOutputChannel,
  { signal, quiet, failure = 0, said }: Running = {},
): Promise<string> {
  log.info([program, ...words].join(' '))
  // Ctrl-C, as in a terminal: what it has fetched so far it then keeps.
  const child = spawn(program, words, { env: environment, signal, killSignal: 'SIGINT', stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  let last = ''
  const heard = (line: string) => {
    log.info(line)
    said?.(line)
    last = line.trim() || last
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  if (!quiet) createInterface(child.stdout).on('line', heard)
  createInterface(child.stderr).on('line', heard)
  const name = words[0] === '-m' ? words[1] : `${path.basename(program)} ${words[0]}`
  const [status] = await once(child, 'close').catch(error => {
    throw new Error(signal?.aborted ? `${name} was given up.` : `${name} could not be run: ${error.message}`)
  })
  if (status !== 0 && status !== failure) throw new Error(`${name} failed: ${last || `status ${status}`}`)
  return printed
}
