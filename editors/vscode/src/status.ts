/** The item in the status bar: what the server does, and why nothing is shown. Knows no client. */

import * as vscode from 'vscode'

/** How the server answers to `infill.status`. */
export interface Answer {
  model: string
  choice: string | null
  enabled: boolean
  loading: boolean
  ready: boolean
  failure: string | null
}

/** How it answers to `infill.why`. */
export interface Why {
  reason: string | null
  explanation: string
}

interface Look {
  icon: string
  words: string
  detail: string
  isBad?: boolean
  isReady?: boolean
}

const UNKNOWN: Why = { reason: null, explanation: '' }
const BUSY = 'loading~spin'

/** Why a program or a model that the workspace names is not used. */
const distrust = (): string[] =>
  vscode.workspace.isTrusted ? [] : ['This workspace is not trusted: what it says of program and model does not count.']

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('status', vscode.StatusBarAlignment.Right)
  private look: Look = { icon: 'circle-slash', words: 'off', detail: 'The server does not run.' }
  private asked = 0
  private readonly work = new Map<string | number, string>() // what is under way, in words
  private why = UNKNOWN

  constructor() {
    this.item.name = 'Infill'
    this.item.command = 'infill.menu'
    this.draw()
    this.item.show()
  }

  /** In words, for the menu. */
  get sentence(): string {
    return [this.look.detail, this.why.explanation].filter(Boolean).join(' ')
  }

  get isAtWork(): boolean {
    return this.work.size > 0
  }

  starting(): void {
    this.nothingIsDone()
    this.show({ icon: BUSY, words: 'starting', detail: 'The server starts.' })
  }

  stopped(detail: string, isBad: boolean): void {
    this.nothingIsDone()
    this.show({ icon: isBad ? 'warning' : 'circle-slash', words: isBad ? 'stopped' : 'off', detail, isBad })
  }

  answered(answer: Answer): void {
    const model = [answer.choice ?? `The model is ${answer.model}.`, ...distrust()].join(' ')
    if (!answer.enabled) this.show({ icon: 'circle-slash', words: 'off', detail: 'Switched off in the settings.' })
    else if (answer.loading) this.show({ icon: BUSY, words: 'loading', detail: `${model} It is being loaded.` })
    else if (answer.failure) this.show({ icon: 'warning', words: 'no model', detail: answer.failure, isBad: true })
    else if (answer.ready) this.show({ icon: 'check', words: 'ready', detail: model, isReady: true })
    else this.show({ icon: 'circle-slash', words: 'no model', detail: 'No model is loaded.' })
  }

  /** Shows that the model is asked for as long as `work` lasts, however it ends, and no longer than
   * somebody wants the answer. */
  async while<T>(work: () => T | PromiseLike<T>, wanted: vscode.CancellationToken): Promise<T> {
    let isOpen = true
    const end = () => {
      if (isOpen) this.asked -= 1
      isOpen = false
      this.draw()
    }
    this.asked += 1
    this.draw()
    const unwanted = wanted.onCancellationRequested(end)
    try {
      return await work()
    } finally {
      unwanted.dispose()
      end()
    }
  }

  /** Says what is being done, until `done` is said of the same token. */
  doing(token: string | number, words: string): void {
    this.work.set(token, words)
    this.draw()
  }

  done(token: string | number): void {
    this.work.delete(token)
    this.draw()
  }

  /** How the last request ended; without an answer nobody knows. */
  because(why: Why = UNKNOWN): void {
    this.why = why
    this.draw()
  }

  dispose(): void {
    this.item.dispose()
  }

  /** Nothing is under way any more, whatever a server that is gone said of it. */
  private nothingIsDone(): void {
    this.work.clear()
    this.why = UNKNOWN
  }

  private show(look: Look): void {
    this.look = look
    this.draw()
  }

  private draw(): void {
    const { icon, words, isBad, isReady } = this.look
    const doing = [...this.work.values()].at(-1) ?? (this.asked > 0 ? 'filling' : undefined)
    if (doing) this.item.text = `$(${BUSY}) Infill: ${doing}`
    else if (isReady && this.why.reason) this.item.text = '$(dash) Infill: silent'
    else this.item.text = `$(${icon}) Infill: ${words}`
    this.item.tooltip = this.sentence
    this.item.accessibilityInformation = { label: `Infill: ${doing ?? words}. ${this.sentence}` }
    this.item.backgroundColor = isBad ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined
  }
}
