/** What can be done to a file at somebody's word: asked for here, done by the server, which answers
 * with progress, messages and one edit. Knows nothing of how it is done. */

import * as vscode from 'vscode'
import type { LanguageClient } from 'vscode-languageclient/node'

const DEEDS = {
  'infill.fillHere': 'fill-hole',
  'infill.fillFunction': 'fill-function',
  'infill.fillFile': 'fill-file',
  'infill.repair': 'repair',
  'infill.writeDocstring': 'write-docstring',
  'infill.addParameter': 'add-parameter',
}
const STRENGTHS = {
  gently: 'about a third of it',
  moderately: 'more than half of it',
  freely: 'nearly all of it',
}

/** What texts may be of: an editor shows others, too, of which the server never hears. */
export const SCHEMES = ['file', 'untitled']

type Running = () => LanguageClient | undefined

/** Registers a command for each deed, and one to give up. `told` shows what went wrong. */
export function registerDeeds(
  running: Running,
  languages: readonly string[],
  told: (work: () => Promise<void>) => () => Promise<void>,
): vscode.Disposable {
  const begin = (deed: string): Promise<void> => act(deed, running(), languages)
  return vscode.Disposable.from(
    ...Object.entries(DEEDS).map(([command, deed]) =>
      vscode.commands.registerCommand(command, told(() => begin(deed))),
    ),
    // A key may be bound to one strength: { "command": "infill.rewrite", "args": "gently" }.
    vscode.commands.registerCommand('infill.rewrite', (wanted?: unknown) =>
      told(async () => {
        const strength = typeof wanted === 'string' && wanted in STRENGTHS ? wanted : await askForStrength()
        if (strength) await begin(`rewrite-${strength}`)
      })(),
    ),
    vscode.commands.registerCommand('infill.giveUp', told(() => giveUp(running()))),
  )
}

async function act(deed: string, client: LanguageClient | undefined, languages: readonly string[]): Promise<void> {
  const editor = vscode.window.activeTextEditor
  if (!editor) throw new Error('No file is open.')
  if (!client?.isRunning()) throw new Error('The server does not run; "Infill: Restart Server" starts it.')
  const { document, selection } = editor
  if (!languages.includes(document.languageId)) {
    throw new Error(`Files in ${document.languageId} are not shown to the server; it knows ${languages.join(', ')}.`)
  }
  if (!SCHEMES.includes(document.uri.scheme)) {
    throw new Error(`Only files and untitled texts are written into, and this is neither (${document.uri.scheme}:).`)
  }
  const uri = client.code2ProtocolConverter.asUri(document.uri)
  const range = client.code2ProtocolConverter.asRange(selection)
  const wish = { deed, uri, version: document.version, range }
  await client.sendRequest('workspace/executeCommand', { command: 'infill.act', arguments: [wish] })
}

async function askForStrength(): Promise<string | undefined> {
  const entries = Object.entries(STRENGTHS).map(([label, description]) => ({ label, description }))
  const chosen = await vscode.window.showQuickPick(entries, { title: 'How much of the selection may change?' })
  return chosen?.label
}

/** Gives up whatever is under way, in every file of this window. */
async function giveUp(client: LanguageClient | undefined): Promise<void> {
  if (client?.isRunning()) await client.sendRequest('workspace/executeCommand', { command: 'infill.cancel' })
}
