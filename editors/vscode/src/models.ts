/** Which model fills, and whether everything works: what the server's program says in a terminal,
 * shown in lists and in the log. */

import * as vscode from 'vscode'
import { setting } from './options'
import { run } from './server'

interface Network {
  id: string
  licence: string
  bytes: number
  on_disk: string | null
  fits: boolean
}

interface Check {
  name: string
  ok: boolean | null // null where it cannot be wrong
  found: string
  advice: string
}

interface Entry extends vscode.QuickPickItem {
  id: string
  toFetch?: boolean
}

const FOLDER: Entry = { label: '$(folder) A folder with weights…', id: '' }

/** Looks at every part; what it finds goes to the log. Throws with the first that is broken. */
export async function doctor(program: string, log: vscode.LogOutputChannel): Promise<void> {
  const words = ['doctor', '--json', '--model', setting('model', 'bundled')]
  const keys = setting<Record<string, unknown>>('modelKeys', {})
  if (Object.keys(keys).length) words.push('--model-keys', JSON.stringify(keys))
  log.show(true)
  const printed = await waiting('looking at every part', signal =>
    run(program, words, log, { signal, quiet: true, failure: 1 }),
  )
  const checks: Check[] = JSON.parse(printed).checks
  for (const check of checks) log.info(toldOf(check))
  const broken = checks.find(check => check.ok === false)
  if (broken) throw new Error(toldOf(broken))
  void vscode.window.showInformationMessage('Infill: everything works; the log names every part.')
}

const toldOf = ({ name, found, advice }: Check): string => [`${name}: ${found}`, advice].filter(Boolean).join('; ')

/** Lets a model be chosen of those that the program knows, and fetches its weights where they are
 * not on disk and that is wanted. */
export async function chooseModel(program: string, log: vscode.LogOutputChannel): Promise<void> {
  const printed = await waiting('looking which models there are', signal =>
    run(program, ['models', 'list', '--json'], log, { signal, quiet: true }),
  )
  const now = setting('model', 'bundled')
  const title = `Which model shall fill? Now it is ${now}.`
  const chosen = await vscode.window.showQuickPick(entriesOf(JSON.parse(printed)), { title })
  const model = chosen === FOLDER ? await askForFolder() : chosen?.id
  if (!model || model === now) return
  if (chosen?.toFetch && !(await fetched(program, chosen, log))) return
  await use(model)
}

function entriesOf({ auto, networks }: { auto: { model: string; why: string }; networks: Network[] }): Entry[] {
  const usable = [...networks].sort((one, other) => Number(other.fits) - Number(one.fits)) // else as they come
  const known = usable.map(({ id, licence, bytes, on_disk, fits }) => ({
    id,
    label: id,
    description: on_disk ? 'on this disk' : `${(bytes / 1e9).toFixed(1)} GB to fetch`,
    detail: `${licence}${fits ? '' : '; does not fit this machine'}`,
    toFetch: !on_disk,
  }))
  return [{ label: 'auto', id: 'auto', description: `now ${auto.model}`, detail: auto.why }, ...known, FOLDER]
}

async function askForFolder(): Promise<string | undefined> {
  const question = { title: 'The folder with the weights', canSelectFolders: true, canSelectFiles: false }
  return (await vscode.window.showOpenDialog(question))?.[0]?.fsPath
}

/** False when the user would rather not. */
async function fetched(program: string, { id, description, detail }: Entry, log: vscode.LogOutputChannel): Promise<boolean> {
  const yes = 'Fetch'
  const question = `Fetch the weights of ${id} from Hugging Face?`
  const options = { modal: true, detail: `${description}. Licence: ${detail}.` }
  if ((await vscode.window.showInformationMessage(question, options, yes)) !== yes) return false
  await waiting(`fetching ${id}`, signal => run(program, ['models', 'pull', id], log, { signal }))
  return true
}

/** Writes the setting where it is made now; the server then loads the model by itself. */
async function use(model: string): Promise<void> {
  const ours = vscode.workspace.getConfiguration('infill')
  const inWorkspace = ours.inspect('model')?.workspaceValue !== undefined
  const { Workspace, Global } = vscode.ConfigurationTarget
  await ours.update('model', model, inWorkspace ? Workspace : Global)
  if (!Object.keys(setting('modelKeys', {})).length) return
  const still = 'Infill: the setting infill.modelKeys still says what holds for the model before.'
  const look = 'Open Settings'
  if ((await vscode.window.showWarningMessage(still, look)) === look)
    await vscode.commands.executeCommand('workbench.action.openSettings', 'infill.modelKeys')
}

/** A notification for as long as it lasts, with a button that ends it. */
function waiting<T>(title: string, work: (signal: AbortSignal) => Promise<T>): Thenable<T> {
  const location = vscode.ProgressLocation.Notification
  return vscode.window.withProgress({ location, title: `Infill: ${title}`, cancellable: true }, (_, cancelled) => {
    const ended = new AbortController()
    cancelled.onCancellationRequested(() => ended.abort())
    return work(ended.signal)
  })
}
