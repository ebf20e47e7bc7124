/** The client: starts the server for the languages it has learnt and says how it is doing. Ghost
 * text, typing along and accepting by word or line are VS Code's own. */

import * as vscode from 'vscode'
import { LanguageClient, State, type Middleware } from 'vscode-languageclient/node'
import { options, setting } from './options'
import { environment, findServer, install, run } from './server'
import { StatusItem, type Answer } from './status'

const LANGUAGES = [
  'c', 'cpp', 'css', 'go', 'html', 'java', 'javascript', 'javascriptreact', 'json', 'jsonc', 'lua',
  'python', 'rust', 'shellscript', 'typescript', 'typescriptreact',
] // prettier-ignore
const BETWEEN_LOOKS = 500 // milliseconds, while a model is being loaded

let client: LanguageClient | undefined
let program: string | undefined
let turn: Promise<void> = Promise.resolve()

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel('Infill', { log: true })
  const status = new StatusItem()
  const restart = (): Promise<void> => (turn = turn.then(() => start(context, log, status)))
  const told = (work: () => Promise<void>) => () => work().catch(error => complain(error, log))

  context.subscriptions.push(
    log,
    status,
    vscode.commands.registerCommand('infill.restart', restart),
    vscode.commands.registerCommand('infill.showLog', () => log.show()),
    vscode.commands.registerCommand('infill.whyNot', told(whyNot)),
    vscode.commands.registerCommand('infill.doctor', told(() => doctor(log))),
    vscode.commands.registerCommand(
      'infill.install',
      told(async () => void ((await install(context, log)) && (await restart()))),
    ),
    vscode.commands.registerCommand('infill.menu', () => menu(status)),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
    vscode.workspace.onDidChangeConfiguration(async event => {
      if (!event.affectsConfiguration('infill')) return
      const isOfStart = ['serverPath', 'logLevel'].some(name => event.affectsConfiguration(`infill.${name}`))
      if (isOfStart || !client?.isRunning()) return void restart()
      await client.sendNotification('workspace/didChangeConfiguration', { settings: options() })
      await look(client, status)
    }),
  )
  void restart()
}

export async function deactivate(): Promise<void> {
  await turn
  await client?.stop()
}

/** Ends the server that runs and starts one. Never throws: what went wrong stands in the status item. */
async function start(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  status: StatusItem,
): Promise<void> {
  await client?.dispose().catch(error => log.warn(String(error)))
  client = undefined
  status.starting()
  try {
    program = await findServer(context)
    if (program === undefined) {
      status.stopped('infill-lsp is not installed; run "Infill: Install Server".', true)
      void offerToInstall()
      return
    }
    const args = ['--log-level', setting('logLevel', 'warning')]
    log.info(`starting ${program}`)
    const server = new LanguageClient('infill', 'Infill', { command: program, args, options: { env: environment } }, {
      documentSelector: LANGUAGES.flatMap(language => [
        { language, scheme: 'file' },
        { language, scheme: 'untitled' },
      ]),
      initializationOptions: options(),
      outputChannel: log,
      middleware: middleware(status, () => client),
    })
    client = server
    server.onDidChangeState(({ newState }) => {
      void vscode.commands.executeCommand('setContext', 'infill.running', newState === State.Running)
      if (server !== client) return
      if (newState === State.Running) void look(server, status)
      else if (newState === State.Stopped) status.stopped('The server has ended; the log may say why.', true)
    })
    await server.start()
  } catch (error) {
    status.stopped(String(error instanceof Error ? error.message : error), true)
    complain(error, log)
  }
}

function middleware(status: StatusItem, running: () => LanguageClient | undefined): Middleware {
  return {
    async provideInlineCompletionItems(document, position, context, token, next) {
      const items = await status.while(() => next(document, position, context, token))
      if (!token.isCancellationRequested) void why(document.uri, running()).then(text => status.because(text))
      return items
    },
    handleWorkDoneProgress(token, params, next) {
      next(token, params)
      if (params.kind !== 'report') void look(running(), status)
    },
  }
}

/** Asks the server how it is doing, again and again while a model is being loaded. */
async function look(server: LanguageClient | undefined, status: StatusItem): Promise<void> {
  while (server?.isRunning() && server === client) {
    const answer = await ask<Answer>(server, 'infill.status')
    if (answer === undefined || server !== client) return
    status.answered(answer)
    if (!answer.loading) return
    await new Promise(done => setTimeout(done, BETWEEN_LOOKS))
  }
}

async function ask<T>(server: LanguageClient, command: string, ...words: unknown[]): Promise<T | undefined> {
  try {
    return await server.sendRequest<T>('workspace/executeCommand', { command, arguments: words })
  } catch {
    return undefined // it ends, and its state says so
  }
}

async function why(uri: vscode.Uri, server: LanguageClient | undefined): Promise<string> {
  if (!server?.isRunning()) return 'The server does not run.'
  const coded = server.code2ProtocolConverter.asUri(uri)
  return (await ask<{ explanation: string }>(server, 'infill.why', coded))?.explanation ?? ''
}

async function whyNot(): Promise<void> {
  const document = vscode.window.activeTextEditor?.document
  const sentence = document ? await why(document.uri, client) : 'No file is open.'
  void vscode.window.showInformationMessage(`Infill: ${sentence || 'The server does not answer.'}`)
}

async function doctor(log: vscode.LogOutputChannel): Promise<void> {
  if (!program) throw new Error('infill-lsp is not installed; run "Infill: Install Server".')
  const words = ['doctor', '--model', setting('model', 'bundled')]
  const progress = { location: vscode.ProgressLocation.Notification, title: 'Infill: looking at every part' }
  log.show(true)
  await vscode.window.withProgress(progress, () => run(program!, words, log))
}

async function menu(status: StatusItem): Promise<void> {
  const commands = {
    'Why No Suggestion?': 'infill.whyNot',
    'Restart Server': 'infill.restart',
    'Show Log': 'infill.showLog',
    Doctor: 'infill.doctor',
    'Install Server': 'infill.install',
  }
  const chosen = await vscode.window.showQuickPick(Object.keys(commands), { title: status.sentence })
  if (chosen) await vscode.commands.executeCommand(commands[chosen as keyof typeof commands])
}

async function offerToInstall(): Promise<void> {
  const yes = 'Install'
  const words = 'Infill needs its server, infill-lsp, which was not found. Install it in an environment of its own?'
  const chosen = await vscode.window.showInformationMessage(words, yes, 'Open Settings')
  if (chosen === yes) await vscode.commands.executeCommand('infill.install')
  else if (chosen) await vscode.commands.executeCommand('workbench.action.openSettings', 'infill.serverPath')
}

function complain(error: unknown, log: vscode.LogOutputChannel): void {
  const sentence = error instanceof Error ? error.message : String(error)
  log.error(sentence)
  void vscode.window.showErrorMessage(`Infill: ${sentence}`, 'Show Log').then(chosen => {
    if (chosen) log.show()
  })
}
