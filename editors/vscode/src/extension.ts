/** The client: starts the server for the languages it has learnt and says how it is doing. Ghost
 * text, typing along and accepting by word or line are VS Code's own. */

import * as vscode from 'vscode'
import { LanguageClient, State, type Middleware } from 'vscode-languageclient/node'
import { asksInAList } from './choice'
import { registerDeeds, SCHEMES } from './deeds'
import { Drafts } from './drafts'
import { chooseModel, doctor } from './models'
import { options, setting } from './options'
import { environment, findServer, install } from './server'
import { StatusItem, type Answer, type Why } from './status'

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
  const drafts = new Drafts()
  const restart = (): Promise<void> => (turn = turn.then(() => start(context, log, status, drafts)))
  const told = (work: () => Promise<void>) => () => work().catch(error => complain(error, log))

  context.subscriptions.push(
    log,
    status,
    drafts,
    vscode.commands.registerCommand('infill.restart', restart),
    vscode.commands.registerCommand('infill.showLog', () => log.show()),
    vscode.commands.registerCommand('infill.whyNot', told(whyNot)),
    vscode.commands.registerCommand('infill.doctor', told(async () => doctor(installed(), log))),
    vscode.commands.registerCommand('infill.chooseModel', told(async () => chooseModel(installed(), log))),
    registerDeeds(() => client, LANGUAGES, told),
    vscode.commands.registerCommand(
      'infill.install',
      told(async () => void ((await install(context, log)) && (await restart()))),
    ),
    vscode.commands.registerCommand('infill.menu', () => menu(status)),
    vscode.window.onDidChangeActiveTextEditor(() => status.because()), // another file, other reasons
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
    vscode.workspace.onDidChangeConfiguration(async event => {
      if (!event.affectsConfiguration('infill')) return
      const isOfStart = ['serverPath', 'logLevel', 'drafts'].some(name => event.affectsConfiguration(`infill.${name}`))
      if (isOfStart || !client?.isRunning()) return void restart()
      await client.sendNotification('workspace/didChangeConfiguration', { settings: options() })
      await look(client, status)
    }),
  )
  void vscode.commands.executeCommand('setContext', 'infill.languages', LANGUAGES)
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
  drafts: Drafts,
): Promise<void> {
  const old = client
  client = undefined // it ends at our word: nobody need be warned
  status.starting()
  await old?.dispose().catch(error => log.warn(String(error)))
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
      documentSelector: LANGUAGES.flatMap(language => SCHEMES.map(scheme => ({ language, scheme }))),
      initializationOptions: { ...options(), canvas: setting('drafts', true) },
      outputChannel: log,
      middleware: middleware(status, () => client),
    })
    client = server
    asksInAList(server)
    drafts.follow(server)
    server.onDidChangeState(({ newState }) => {
      void vscode.commands.executeCommand('setContext', 'infill.running', newState === State.Running)
      if (server !== client) return
      if (newState === State.Running) void look(server, status)
      else if (newState === State.Starting) status.starting()
      else if (newState === State.Stopped) status.stopped('The server has ended; the log may say why.', true)
    })
    await server.start()
  } catch (error) {
    status.stopped(String(error instanceof Error ? error.message : error), true)
    complain(error, log)
  }
}

/** Work that can be given up is told in the status item, where a click gives it up; VS Code's own bar
 * in the same line could not. */
function middleware(status: StatusItem, running: () => LanguageClient | undefined): Middleware {
  const bars = new Map<string | number, string>()
  return {
    async provideInlineCompletionItems(document, position, context, token, next) {
      const items = await status.while(() => next(document, position, context, token), token)
      if (!token.isCancellationRequested) {
        void why(document.uri, running()).then(answer => {
          if (document === vscode.window.activeTextEditor?.document) status.because(answer)
        })
      }
      return items
    },
    handleWorkDoneProgress(token, params, next) {
      if (params.kind === 'begin' && params.cancellable) {
        const title = params.title.replace('infill-lsp: ', '')
        bars.set(token, title)
        status.doing(token, title)
      } else if (params.kind === 'report' && bars.has(token)) {
        status.doing(token, `${bars.get(token)} ${params.percentage ?? 0} %`)
      } else {
        next(token, params) // the end, too: it is the client that forgets the token
      }
      if (params.kind === 'report') return
      if (params.kind === 'end') {
        bars.delete(token)
        status.done(token)
      }
      void look(running(), status)
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

async function why(uri: vscode.Uri, server: LanguageClient | undefined): Promise<Why> {
  const answer = server?.isRunning() && (await ask<Why>(server, 'infill.why', server.code2ProtocolConverter.asUri(uri)))
  return answer || { reason: null, explanation: server?.isRunning() ? '' : 'The server does not run.' }
}

async function whyNot(): Promise<void> {
  const document = vscode.window.activeTextEditor?.document
  const sentence = document ? (await why(document.uri, client)).explanation : 'No file is open.'
  void vscode.window.showInformationMessage(`Infill: ${sentence || 'The server does not answer.'}`)
}

function installed(): string {
  if (program) return program
  throw new Error('infill-lsp is not installed; run "Infill: Install Server".')
}

async function menu(status: StatusItem): Promise<void> {
  const commands = {
    ...(status.isAtWork && { Cancel: 'infill.giveUp' }),
    'Why No Suggestion?': 'infill.whyNot',
    'Choose Model': 'infill.chooseModel',
    'Restart Server': 'infill.restart',
    'Show Log': 'infill.showLog',
    Doctor: 'infill.doctor',
    'Install Server': 'infill.install',
  }
  const chosen = await vscode.window.showQuickPick(Object.keys(commands), { title: status.sentence })
  if (chosen) await vscode.commands.executeCommand(commands[chosen as keyof typeof commands]!)
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
